"""Leaves whose threshold moves: a baseline, or another role's value, or arithmetic of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from drivers.reading import Millis, Value
from rules import arithmetic
from rules.arithmetic import Reference
from rules.cell import Cell, Comparing, Description, Probe, certain_of
from rules.comparison import test_of
from rules.group import Group
from rules.track import Owner, Track, Watch
from rules.tree import Operand, param_name
from rules.truth import Truth
from rules.window import Window
from rules.yardstick import Yardstick

Lookups = Mapping[Reference, Callable[[Millis], float | None]]
"""What each baseline or role is at an instant; None when it cannot be told."""


class Threshold:
    """One operand with references, compiled: its number at an instant."""

    __slots__ = ("_lookups", "_names", "_text", "_tree")

    def __init__(self, text: str, params: Mapping[str, float], lookups: Lookups) -> None:
        self._text = text
        self._tree = arithmetic.parse(text)
        self._names = dict(params)
        self._lookups = tuple((one.key, lookups[one]) for one in arithmetic.references(text))

    def __call__(self, at: Millis) -> float | None:
        """The number; None while a part of it cannot be told, or where it has none (a division by 0)."""
        names = dict(self._names)
        for key, lookup in self._lookups:
            value = lookup(at)
            if value is None:
                return None
            names[key] = value
        try:
            return arithmetic.value_of(self._tree, self._text, names)
        except ValueError:
            return None


Limit = Callable[[Millis], Value | None]


def limit_of(operand: Operand, params: Mapping[str, float], lookups: Lookups) -> Limit:
    """An operand's value at an instant, whether it moves or not."""
    if isinstance(operand, str):
        if arithmetic.references(operand):
            return Threshold(operand, params, lookups)
        if arithmetic.is_expression(operand):
            fixed: Value = arithmetic.evaluate(operand, params)
            return lambda _: fixed
        name = param_name(operand)
        value: Value = operand if name is None else params[name]
        return lambda _: value
    if isinstance(operand, tuple):
        raise ValueError(f"{operand!r}: a list holds no baselines and no other points")
    return lambda _: operand


class Referring(Comparing):
    """Compares what `probe` gives with limits that move; unknown while a limit is.

    A `window` that may not be full yet is told of only where more samples cannot change it.
    """

    __slots__ = ("_certain", "_clear", "_limit", "_test", "_window", "yardsticks")

    def __init__(
        self,
        description: Description,
        tracks: Sequence[Track],
        loss: Sequence[Watch],
        owner: Owner,
        *,
        probe: Probe,
        limit: Limit,
        clear: Limit | None,
        window: Window | None,
        yardsticks: Sequence[Yardstick],
    ) -> None:
        self._test = test_of(description.op)
        super().__init__(
            description, tracks, loss, owner, probe=probe, compare=lambda value, _: bool(self._test(value, 0))
        )
        self._limit = limit
        self._clear = clear
        self._window = window
        self._certain = certain_of(description)
        self.yardsticks = tuple(yardsticks)

    def judge(self, at: Millis) -> Truth:
        """Unknown when lost, when there is no value, or no limit."""
        value, limit = self._probe(at), self.limit(at)
        if value is None or limit is None or (self.loss[0].lapses and self.unheard):
            return self.otherwise if self.lost else None
        truth: bool = bool(self._test(value, limit))
        if self._window is not None and truth is not self._certain and not self._window.covered(at):
            return None
        return truth

    def limit(self, at: Millis) -> Value | None:
        """What it is compared with at an instant, given the side that it is on."""
        return (self._clear if self.held and self._clear is not None else self._limit)(at)

    def compared(self, at: Millis) -> tuple[Operand | None, Operand | None]:
        """`val` and `clear` in numbers; None where they cannot be told."""
        return self._limit(at), None if self._clear is None else self._clear(at)

    @property
    def reference(self) -> str:
        """What its baselines stand on, or why nothing may be concluded."""
        return "; ".join(one.words for one in self.yardsticks)


class Measuring(Cell):
    """A leaf that gives a value and compares it with nothing: `latest`, None while it cannot be told."""

    __slots__ = ("_probe", "_window", "latest")

    def __init__(
        self,
        description: Description,
        tracks: Sequence[Track],
        loss: Sequence[Watch],
        owner: Owner,
        *,
        probe: Probe,
        window: Window | None,
    ) -> None:
        super().__init__(description, tracks, loss, owner)
        self._probe = probe
        self._window = window
        self.latest: float | None = None

    def judge(self, at: Millis) -> Truth:
        """Takes the value as of `at`; true when there is one, else unknown."""
        value = self._probe(at)
        lost = self.loss[0].lapses and self.unheard
        if value is None or isinstance(value, str) or lost or not self._full(at):
            self.latest = None
            return None
        self.latest = float(value)
        return True

    def refresh(self, at: Millis) -> None:
        """Wakes the owner whenever the value changed: a sum may turn on any of its parts."""
        before = self.latest
        self.truth = self.judge(at)
        if self.latest != before or self.dirty:
            self.dirty = False
            self.owner.wake()

    def refresh_quietly(self, at: Millis) -> None:
        """As for any leaf: no edge."""
        before = self.latest
        self.truth = self.judge(at)
        if self.latest != before:
            self.owner.doubt()

    def value(self, at: Millis) -> Value | None:
        """What the probe gives."""
        return self._probe(at)

    def _full(self, at: Millis) -> bool:
        return self._window is None or self._window.covered(at)


class Total(Group):
    """The sum, or the mean, of what a group measures; unknown while one of them (for a mean: all) is."""

    __slots__ = ("_cells", "_clear", "_limit", "_mean", "_test")

    def __init__(
        self, cells: Sequence[Measuring], mean: bool, op: str, limit: Callable[[], float | None],
        clear: Callable[[], float | None] | None,
    ) -> None:  # fmt: skip
        super().__init__((), False, lambda _, held: held)
        self._cells = tuple(cells)
        self._mean = mean
        self._test = test_of(op)
        self._limit = limit
        self._clear = clear

    def judge(self) -> Truth:
        """The present truth."""
        value = self.total()
        limit = (self._clear if self.held and self._clear is not None else self._limit)()
        if value is None or limit is None:
            return None
        self.held = bool(self._test(value, limit))
        return self.held

    def total(self) -> float | None:
        """The sum or mean; None when it cannot be told."""
        known = [cell.latest for cell in self._cells if cell.latest is not None]
        if not known or (not self._mean and len(known) < len(self._cells)):
            return None
        return sum(known) / len(known) if self._mean else sum(known)

    def bounds(self) -> tuple[float, float]:
        """The total twice: nothing of it is open."""
        total = self.total() or 0.0
        return total, total
