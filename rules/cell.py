"""A leaf at work: reads its points, compares, remembers its truth, and wakes its monitor on a change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from drivers.reading import Millis, Value
from rules.comparison import Compare
from rules.run import Run
from rules.track import Owner, Track, Watch
from rules.tree import DOWNWARD, UPWARD, Agg, Operand
from rules.truth import Truth
from rules.window import Window

Probe = Callable[[Millis], Value | None]
"""The value a leaf compares, as of an event time; None when it cannot be told."""
Reach = Callable[[Run], Sequence[Value] | None]
"""Values that a comparison must agree on to agree on all that a probe gives during a run; None when
that cannot be told."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a leaf says, for people and for the explanation."""

    role: str
    agg: Agg
    over_ms: Millis | None
    op: str
    val: Operand | None
    clear: Operand | None
    unit: str


class Cell:
    """One leaf over one point, or over several merged into one number.

    `truth` is None while it cannot be told; `held` is the last definite truth, which
    decides whether `val` or `clear` is the threshold. `lost` says that too long no good
    value came from any of its points; then its truth is `otherwise`.
    """

    __slots__ = ("description", "dirty", "held", "loss", "otherwise", "owner", "tracks", "truth")

    def __init__(
        self, description: Description, tracks: Sequence[Track], loss: Sequence[Watch], owner: Owner
    ) -> None:
        self.description = description
        self.tracks = tuple(tracks)
        self.loss = tuple(loss)
        self.owner = owner
        self.truth: Truth = None
        self.held = False
        self.dirty = False
        self.otherwise: Truth = None

    @property
    def lost(self) -> bool:
        """Whether all of its points fell silent for too long."""
        return bool(self.loss) and all(watch.lapsed for watch in self.loss)

    @property
    def unheard(self) -> bool:
        """Whether none of its points can be told: lost, or not heard since a restart."""
        return all(watch.lapses for watch in self.loss)

    def refresh(self, at: Millis) -> None:
        """Judges anew and wakes the owner when the truth changed."""
        truth = self.judge(at)
        if truth is not None:
            self.held = truth
        if truth is not self.truth or self.dirty:
            self.truth = truth
            self.dirty = False
            self.owner.wake()

    def refresh_quietly(self, at: Millis) -> None:
        """Judges anew, but a change is no edge: it only makes the owner doubt what it knew, and moves
        no hysteresis."""
        truth = self.judge(at)
        if truth is not self.truth:
            self.truth = truth
            self.owner.doubt()

    def lapse(self, at: Millis) -> None:
        """Judges anew after a watch lapsed, and wakes the owner in any case."""
        self.dirty = True
        self.refresh(at)

    def steady(self, run: Run) -> bool:
        """Whether no sample of a run of its only point can change its truth; what cannot tell says no."""
        return False

    def compared(self, at: Millis) -> tuple[Operand | None, Operand | None]:
        """`val` and `clear` as of `at`."""
        return self.description.val, self.description.clear

    @property
    def reference(self) -> str:
        """What the numbers that it is compared with stand on, in words; empty for plain ones."""
        return ""

    def judge(self, at: Millis) -> Truth:
        """The truth as of `at`."""
        raise NotImplementedError

    def value(self, at: Millis) -> Value | None:
        """The compared value as of `at`."""
        raise NotImplementedError


class Comparing(Cell):
    """Compares what `probe` gives."""

    __slots__ = ("_compare", "_probe", "_reach")

    def __init__(
        self,
        description: Description,
        tracks: Sequence[Track],
        loss: Sequence[Watch],
        owner: Owner,
        *,
        probe: Probe,
        compare: Compare,
        reach: Reach | None = None,
    ) -> None:
        super().__init__(description, tracks, loss, owner)
        self._probe = probe
        self._compare = compare
        self._reach = reach

    def judge(self, at: Millis) -> Truth:
        """Unknown when lost, or when there is no value."""
        value = self._probe(at)
        if value is None or (self.loss[0].lapses and self.unheard):
            return self.otherwise if self.lost else None
        return self._compare(value, self.held)

    def steady(self, run: Run) -> bool:
        """True where the comparison agrees with the present truth all along."""
        truth = self.truth
        if truth is None or truth is not self.held or self.dirty or len(self.tracks) > 1:
            return False
        if self._reach is None:
            return False
        values = self._reach(run)
        return values is not None and all(self._compare(value, truth) is truth for value in values)

    def value(self, at: Millis) -> Value | None:
        """What the probe gives."""
        return self._probe(at)


def reach_of(description: Description, window: Window | None = None) -> Reach | None:
    """How a leaf over the newest value, or over a window, can tell for a whole run: an ordered
    comparison by the least and the greatest, another one by each value."""
    ordered = description.op in UPWARD or description.op in DOWNWARD
    if window is not None:
        return window.reach if ordered else None
    return (lambda run: run.ends) if ordered else (lambda run: run.different)


class Online(Comparing):
    """Compares whether a device answers; its probe knows silence too, so nothing is ever lost."""

    __slots__ = ()

    def judge(self, at: Millis) -> Truth:
        """Unknown until something, or long enough nothing, was heard."""
        value = self._probe(at)
        return None if value is None else self._compare(value, self.held)


class Filling(Comparing):
    """Compares a window that may not be full yet: only what more samples cannot change is told.

    Before the window is covered a count, growth or maximum can only rise and a minimum
    only fall; everything else is unknown until then.
    """

    __slots__ = ("_certain", "_window")

    def __init__(
        self,
        description: Description,
        tracks: Sequence[Track],
        loss: Sequence[Watch],
        owner: Owner,
        *,
        window: Window,
        compare: Compare,
    ) -> None:
        super().__init__(
            description, tracks, loss, owner, probe=lambda _: window.value(), compare=compare,
            reach=reach_of(description, window),
        )  # fmt: skip
        self._window = window
        self._certain = certain_of(description)

    def judge(self, at: Millis) -> Truth:
        """As for any comparison, less what is not certain yet."""
        truth = super().judge(at)
        if truth is None or truth is self._certain or self._window.covered(at):
            return truth
        return None

    def steady(self, run: Run) -> bool:
        """As for any comparison, once the window is full."""
        return self._window.covered(run.times[0]) and super().steady(run)


def certain_of(description: Description) -> Truth:
    """The truth that more samples cannot change while the window fills; None where they may."""
    rises = description.agg in ("count", "count_true", "delta", "max")
    falls = description.agg == "min"
    if description.op in UPWARD:
        return True if rises else False if falls else None
    if description.op in DOWNWARD:
        return False if rises else True if falls else None
    return None


class Standing(Cell):
    """True while a watch has lapsed: `absent` (nothing live came) and `unchanged` (only the same came)."""

    __slots__ = ("_watch",)

    def __init__(
        self,
        description: Description,
        tracks: Sequence[Track],
        loss: Sequence[Watch],
        owner: Owner,
        *,
        watch: Watch,
    ) -> None:
        super().__init__(description, tracks, loss, owner)
        self._watch = watch

    def judge(self, at: Millis) -> Truth:
        """Unknown before the first value (for `absent`: the first live one) and after a restart,
        and `unchanged` also when lost, until the watch lapses or something comes."""
        track = self.tracks[0]
        if self.loss:
            unknown = track.value is None or self.unheard
        else:
            unknown = track.live_at is None and not self._watch.lapsed
        return None if unknown or self._watch.unsure else self._watch.lapsed

    def steady(self, run: Run) -> bool:
        """True while something comes: the watch itself tells whether it could lapse."""
        return self.truth is not None and not self.dirty

    def value(self, at: Millis) -> Value | None:
        """The newest value of the point."""
        return self.tracks[0].value
