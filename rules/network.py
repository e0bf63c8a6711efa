"""Compiles bound rules into tracks, windows, watches and leaves, sharing what is identical."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from drivers.reading import Millis, Value
from drivers.settings import millis
from rules import truth as kleene
from rules.agenda import Agenda
from rules.awaited import Awaited
from rules.binding import Instance, PointRef, members
from rules.cell import Cell, Comparing, Description, Filling, Online, Owner, Probe, Standing, reach_of
from rules.comparison import Compare, comparison, resolve
from rules.delay import Delay
from rules.group import Group
from rules.nodata import NoData
from rules.presence import DERIVED, Presence
from rules.site import SiteInfo
from rules.spread import build_spread
from rules.timetable import Calendar
from rules.track import Basis, FadingWindow, Track, Watch
from rules.tree import WINDOWED, Node
from rules.truth import Judge
from rules.weave import Ground, Weave, is_woven
from rules.window import Window, build_window

ROUNDS = 3
"""Missed rounds after which a point counts as silent, where the rule says nothing else."""
LEAST_SILENCE_MS = 300_000
EVENT_SILENCE_MS = 86_400_000
"""Devices that speak first send a sign of life at least once a day (LoRaWAN class A, Zigbee contacts)."""

FILLING = frozenset({"count", "count_true", "sum", "delta", "min", "max"})
"""Aggregates that a half-full window may belie."""


@dataclass(frozen=True, slots=True)
class Branch:
    """An inner node at work: `all`, `any`, `not` or `n_of` over others."""

    kind: str
    parts: tuple[Tree, ...]
    n: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A part of a condition with a `for` of its own."""

    part: Tree
    delay: Delay


@dataclass(frozen=True, slots=True)
class Crowd:
    """A group that a condition looks across, one tree for each member."""

    parts: tuple[Tree, ...]
    scopes: tuple[str, ...]
    group: Group


Tree = Branch | Cell | Waiting | Crowd


def judge_of(tree: Tree) -> Judge:
    """The closure that gives a tree's present truth."""
    if isinstance(tree, Cell):
        return lambda: tree.truth
    if isinstance(tree, Waiting):
        return tree.delay.judge
    if isinstance(tree, Crowd):
        return tree.group.judge
    parts = [judge_of(part) for part in tree.parts]
    if tree.kind == "not":
        return kleene.not_of(parts[0])
    if tree.kind == "n_of":
        return kleene.n_of(tree.n, parts)
    if len(parts) == 1:
        return parts[0]
    return kleene.all_of(parts) if tree.kind == "all" else kleene.any_of(parts)


def cells_of(tree: Tree) -> tuple[Cell, ...]:
    """All leaves of a tree, in the order written."""
    if isinstance(tree, Cell):
        return (tree,)
    return tuple(cell for part in parts_of(tree) for cell in cells_of(part))


def parts_of(tree: Tree) -> tuple[Tree, ...]:
    """The trees right below."""
    if isinstance(tree, Cell):
        return ()
    return (tree.part,) if isinstance(tree, Waiting) else tree.parts


def delays_of(tree: Tree) -> tuple[Delay, ...]:
    """All inner timers, the innermost first."""
    inner = tuple(delay for part in parts_of(tree) for delay in delays_of(part))
    return (*inner, tree.delay) if isinstance(tree, Waiting) else inner


def groups_of(tree: Tree) -> tuple[Group, ...]:
    """All groups that are looked across, the innermost first."""
    inner = tuple(group for part in parts_of(tree) for group in groups_of(part))
    return (*inner, tree.group) if isinstance(tree, Crowd) else inner


def gap_ms(every_ms: Millis) -> Millis:
    """How long data may pause without a running timer starting anew."""
    return max(ROUNDS * every_ms, LEAST_SILENCE_MS)


def silence_ms(every_ms: Millis) -> Millis:
    """How long a point of this period may be silent: three rounds, at least 5 min; a day where it
    speaks when it likes."""
    return max(ROUNDS * every_ms, LEAST_SILENCE_MS) if every_ms else EVENT_SILENCE_MS


class Network:
    """Everything that readings flow through. One track per point, one window per (point, agg, over)."""

    filling = FILLING

    def __init__(self, agenda: Agenda, site: SiteInfo, calendar: Calendar | None = None) -> None:
        self.presences: dict[str, Presence] = {}
        self._site = site
        self.tracks: dict[tuple[str, str], Track] = {}
        self.watches: dict[tuple[str, str, Basis, Millis, Millis], Watch] = {}
        self._windows: dict[tuple[str, str, str, Millis, str], FadingWindow] = {}
        self._agenda = agenda
        self.weave = Weave(self, site, calendar or Calendar())

    def compile(
        self, node: Node, instance: Instance, params: Mapping[str, float], nodata: NoData, owner: Owner
    ) -> Tree | None:
        """The tree of one instance; None for a part whose optional roles are not bound."""
        tree = self._bare(node, instance, params, nodata, owner)
        if tree is None or node.for_ is None:
            return tree
        return Waiting(tree, Delay(judge_of(tree), millis(node.for_), self._agenda, owner))

    def _bare(
        self, node: Node, instance: Instance, params: Mapping[str, float], nodata: NoData, owner: Owner
    ) -> Tree | None:
        """The tree without the node's own `for`."""
        if is_woven(node):
            ground = Ground(instance, params, nodata, owner)
            woven = self.weave.leaf(node, ground) if node.p else self.weave.total(node, ground)
            return _with_loss(woven, node)
        if node.p is not None:
            refs = instance.roles[node.p]
            return _with_loss(self._leaf(node, refs, params, node.nodata or nodata, owner), node)
        if node.across is not None:
            return self._crowd(node, instance, params, nodata, owner)
        compiled = [self.compile(child, instance, params, nodata, owner) for _, child in node.children]
        parts = tuple(part for part in compiled if part is not None)
        if not parts:
            return None
        if node.n_of is not None:
            return Branch("n_of", parts, min(node.n_of.n, len(parts)))
        return Branch("all" if node.all_ is not None else "any" if node.any_ is not None else "not", parts)

    def _crowd(
        self, node: Node, instance: Instance, params: Mapping[str, float], nodata: NoData, owner: Owner
    ) -> Tree | None:
        across, val = node.across, resolve(node.val, params)
        if across is None or val is None:
            return None
        trees = {
            member.scope: tree
            for member in members(across, instance, self._site)
            if (tree := self.compile(across.of, member, params, nodata, owner)) is not None
        }
        if not trees:
            return None
        compare = comparison(node.op or "ge", val, resolve(node.clear, params))
        group = Group([judge_of(tree) for tree in trees.values()], across.agg == "share", compare)
        return Crowd(tuple(trees.values()), tuple(trees), group)

    def begin(self, at: Millis) -> None:
        """The engine starts: silence is counted from now where nothing ever came."""
        for track in self.tracks.values():
            track.armed_at = at
        for watch in self.watches.values():
            watch.schedule()
        self.weave.start(at)

    def follow(self, ref: PointRef) -> None:
        """Keeps track of a point that no leaf may look at."""
        self._track(ref)

    def lookback(self) -> dict[tuple[str, str], Millis]:
        """The longest window, or time without change, that is looked at of each point."""
        longest: dict[tuple[str, str], Millis] = {}
        spans = [((key[0], key[1]), key[3]) for key in self._windows]
        spans += [((key[0], key[1]), key[3]) for key in self.watches if key[2] == "changed"]
        spans += [
            ((one.tracks[0].device, one.tracks[0].point), one.longest)
            for one in self.weave.timed
            if isinstance(one, Awaited)
        ]
        for point, span in spans:
            longest[point] = max(span, longest.get(point, 0))
        return longest

    def catch_up(self, at: Millis) -> None:
        """After history was replayed: windows and watches as they stand at `at`."""
        for window in self._windows.values():
            window.window.expire(at)
        for watch in self.watches.values():
            watch.resume(at)
        for track in self.tracks.values():
            for cell in track.cells:
                cell.refresh(at)

    def _leaf(
        self,
        node: Node,
        refs: Sequence[PointRef],
        params: Mapping[str, float],
        nodata: NoData,
        owner: Owner,
    ) -> Tree | None:
        if not refs:
            return None
        if len(refs) == 1 or node.pick in ("max", "min", "avg"):
            return self._cell(node, refs, params, nodata, owner)
        cells = tuple(self._cell(node, (ref,), params, nodata, owner) for ref in refs)
        # A device is silent only when all of its points are.
        return Branch("all" if node.p == "*" else node.pick or "any", cells)

    def _cell(
        self,
        node: Node,
        refs: Sequence[PointRef],
        params: Mapping[str, float],
        nodata: NoData,
        owner: Owner,
    ) -> Cell:
        tracks = [self._track(ref) for ref in refs]
        description = _describe(node, refs[0], params)
        if node.agg == "last" and refs[0].point in DERIVED:
            return self._online(tracks[0], owner, description)
        if node.agg == "absent":
            span = silence_ms(refs[0].every_ms) if node.over is None else millis(node.over)
            watch = self._watch(tracks[0], "live", span, span)
            return _attach(Standing(description, tracks, (), owner, watch=watch), tracks, [watch])
        loss = [self._loss(track, nodata) for track in tracks]
        if node.agg == "unchanged" and node.over is not None:
            watch = self._watch(tracks[0], "changed", millis(node.over), millis(node.over))
            cell: Cell = Standing(description, tracks, loss, owner, watch=watch)
            return _attach(cell, tracks, [*loss, watch])
        return self._compared(node, tracks, loss, owner, description)

    def _compared(
        self,
        node: Node,
        tracks: Sequence[Track],
        loss: Sequence[Watch],
        owner: Owner,
        description: Description,
    ) -> Cell:
        compare = _comparison(description)
        if node.agg in WINDOWED:
            windows = [self._window(track, node) for track in tracks]
            cell: Cell
            if node.agg in FILLING and len(windows) == 1:
                cell = Filling(description, tracks, loss, owner, window=windows[0].window, compare=compare)
            else:
                probe = _merged(node.pick, [_window_probe(w.window) for w in windows], loss)
                reach = reach_of(description, windows[0].window)
                cell = Comparing(description, tracks, loss, owner, probe=probe, compare=compare, reach=reach)
            for window in windows:
                window.cells.append(cell)
            return _attach(cell, tracks, loss)
        one = _since_probe if node.agg == "since_change" else _last_probe
        probe = _merged(node.pick, [one(track) for track in tracks], loss)
        reach = None if node.agg == "since_change" else reach_of(description)
        cell = Comparing(description, tracks, loss, owner, probe=probe, compare=compare, reach=reach)
        ramps = _ramp_watches(self._watch, tracks, description) if node.agg == "since_change" else []
        return _attach(cell, tracks, [*loss, *ramps])

    def _online(self, track: Track, owner: Owner, description: Description) -> Cell:
        """Whether a device answers: by what is read of it, and false once it fell silent."""
        span = silence_ms(track.every_ms)
        watch = self._watch(track, "good", span, span)

        def probe(_: Millis) -> Value | None:
            return False if watch.lapsed else None if watch.unsure else track.value

        cell = Online(
            description, [track], (), owner,
            probe=probe, compare=_comparison(description), reach=reach_of(description),
        )  # fmt: skip
        return _attach(cell, [track], [watch])

    # -- what `weave` builds with

    @property
    def agenda(self) -> Agenda:
        """Where timers stand."""
        return self._agenda

    def track(self, ref: PointRef) -> Track:
        """The track of a point."""
        return self._track(ref)

    def loss(self, track: Track, nodata: NoData) -> Watch:
        """The watch that sees a point lost."""
        return self._loss(track, nodata)

    def window(self, track: Track, node: Node) -> FadingWindow:
        """The window that a leaf looks through."""
        return self._window(track, node)

    def describe(self, node: Node, ref: PointRef, params: Mapping[str, float]) -> Description:
        """What a leaf says."""
        return _describe(node, ref, params)

    def comparison(self, description: Description) -> Compare:
        """A leaf's comparison with fixed values."""
        return _comparison(description)

    def merged(
        self, node: Node, windows: Sequence[Window], tracks: Sequence[Track], loss: Sequence[Watch]
    ) -> Probe:
        """The value of several points as one."""
        if windows:
            return _merged(node.pick, [_window_probe(one) for one in windows], loss)
        one = _since_probe if node.agg == "since_change" else _last_probe
        return _merged(node.pick, [one(track) for track in tracks], loss)

    def _track(self, ref: PointRef) -> Track:
        key = (ref.device, ref.point)
        track = self.tracks.get(key)
        if track is None:
            track = self.tracks[key] = Track(ref.device, ref.point, ref.unit, ref.every_ms)
            if ref.point in DERIVED:
                self.presences[ref.device] = Presence(track)
        return track

    def _watch(self, track: Track, basis: Basis, span: Millis, first_span: Millis) -> Watch:
        key = (track.device, track.point, basis, span, first_span)
        watch = self.watches.get(key)
        if watch is None:
            watch = self.watches[key] = Watch(
                track, basis, span, first_span, self._agenda, len(self.watches) + 1
            )
            track.watches.append(watch)
        return watch

    def _loss(self, track: Track, nodata: NoData) -> Watch:
        after = silence_ms(track.every_ms) if nodata.after is None else millis(nodata.after)
        held = millis(nodata.max) if nodata.then == "hold" else 0
        return self._watch(track, "good", after + held, after)

    def _window(self, track: Track, node: Node) -> FadingWindow:
        over = millis(node.over) if node.over is not None else 0
        unit = (node.unit or "") if node.agg in ("rate", "slope", "min_rate") else ""
        bucket = 0 if node.bucket is None else millis(node.bucket)
        if bucket:
            unit = f"{unit} {bucket}"
        key = (track.device, track.point, node.agg, over, unit)
        window = self._windows.get(key)
        if window is None:
            spread = node.agg in ("stddev", "p95", "min_rate")
            made = (
                build_spread(node.agg, over, bucket, node.unit)
                if spread
                else build_window(node.agg, over, node.unit)
            )
            window = FadingWindow(made, self._agenda)
            self._windows[key] = window
            track.windows.append(window)
        return window


def _with_loss(tree: Tree | None, node: Node) -> Tree | None:
    """A leaf with what it is when its data are lost, where it says so itself."""
    if tree is not None and node.p is not None and node.nodata is not None:
        for cell in cells_of(tree):
            cell.otherwise = {"clear": False, "raise": True}.get(node.nodata.then)
    return tree


def _attach(cell: Cell, tracks: Sequence[Track], watches: Sequence[Watch]) -> Cell:
    for track in tracks:
        track.cells.append(cell)
    for watch in watches:
        watch.cells.append(cell)
    return cell


def _describe(node: Node, ref: PointRef, params: Mapping[str, float]) -> Description:
    natural = {"count": "1", "count_true": "1", "since_change": "s", "min_rate": f"{ref.unit}/h"}
    unit = node.unit or natural.get(node.agg, ref.unit)
    return Description(
        role=node.p or "",
        agg=node.agg,
        over_ms=None if node.over is None else millis(node.over),
        op=node.op or "",
        val=resolve(node.val, params),
        clear=resolve(node.clear, params),
        unit=unit,
    )


def _comparison(description: Description) -> Compare:
    if description.val is None:
        raise ValueError(f"{description.role}: nothing to compare with")
    return comparison(description.op, description.val, description.clear)


def _last_probe(track: Track) -> Probe:
    return lambda _: track.value


def _window_probe(window: Window) -> Probe:
    return lambda _: window.value()


def _since_probe(track: Track) -> Probe:
    return lambda at: None if track.changed_at is None else (at - track.changed_at) / 1000


def _merged(pick: str | None, probes: Sequence[Probe], loss: Sequence[Watch]) -> Probe:
    """The greatest, least or mean of the points that speak; None when none does."""
    if len(probes) == 1:
        return probes[0]
    merge: Callable[[list[float]], float] = (
        max if pick == "max" else min if pick == "min" else lambda values: sum(values) / len(values)
    )
    pairs = tuple(zip(probes, loss, strict=True))

    def probe(at: Millis) -> Value | None:
        values = [value for each, watch in pairs if not watch.lapses and (value := each(at)) is not None]
        numbers = [float(value) for value in values if not isinstance(value, str)]
        return merge(numbers) if numbers else None

    return probe


def _ramp_watches(
    watch: Callable[[Track, Basis, Millis, Millis], Watch], tracks: Sequence[Track], description: Description
) -> list[Watch]:
    """Watches for the moments at which the time since a change passes a threshold by itself."""
    thresholds: list[float] = []
    for operand in (description.val, description.clear):
        for part in operand if isinstance(operand, tuple) else (operand,):
            if isinstance(part, float | int) and not isinstance(part, bool):
                thresholds.append(part)
    # A strict comparison turns one millisecond behind the threshold.
    late = 1 if description.op in ("gt", "le", "between") else 0
    spans = {max(1, round(seconds * 1000) + late) for seconds in thresholds}
    return [watch(track, "changed", span, span) for track in tracks for span in sorted(spans)]
