"""Compiles bound rules into leaves over points, and the trees that join them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from drivers.reading import Millis, Value
from drivers.settings import millis
from rules.agenda import Agenda
from rules.awaited import Awaited
from rules.binding import Instance, PointRef, members
from rules.cell import Cell, Comparing, Description, Filling, Online, Standing, reach_of
from rules.comparison import comparison, resolve
from rules.compiled import Branch, Crowd, Tree, Waiting, cells_of, judge_of
from rules.delay import Delay
from rules.group import Group
from rules.nodata import NoData
from rules.points import FILLING, Points
from rules.presence import DERIVED
from rules.probe import compare_of, describe, probe_of, ramps_of
from rules.silence import silence_ms
from rules.site import SiteInfo
from rules.timetable import Calendar
from rules.track import Owner, Track, Watch
from rules.tree import WINDOWED, Node
from rules.weave import Ground, Weave, is_woven


class Network:
    """The rules of a site, compiled: `points` is what readings flow through, `weave` the part that knows
    calendar, plan and baselines."""

    def __init__(self, agenda: Agenda, site: SiteInfo, calendar: Calendar | None = None) -> None:
        self.points = Points(agenda)
        self.weave = Weave(self.points, site, calendar or Calendar())
        self._site = site
        self._agenda = agenda

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
        """The engine starts."""
        self.points.begin(at)
        self.weave.start(at)

    def lookback(self) -> dict[tuple[str, str], Millis]:
        """How much history each point needs, so that what looks at it knows what it knew."""
        longest = self.points.lookback()
        for one in self.weave.timed:
            if isinstance(one, Awaited):
                point = (one.tracks[0].device, one.tracks[0].point)
                longest[point] = max(one.longest, longest.get(point, 0))
        return longest

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
        tracks = [self.points.track(ref) for ref in refs]
        description = describe(node, refs[0], params)
        if node.agg == "last" and refs[0].point in DERIVED:
            return self._online(tracks[0], owner, description)
        if node.agg == "absent":
            span = silence_ms(refs[0].every_ms) if node.over is None else millis(node.over)
            watch = self.points.watch(tracks[0], "live", span)
            return _attach(Standing(description, tracks, (), owner, watch=watch), tracks, [watch])
        loss = [self.points.loss(track, nodata) for track in tracks]
        if node.agg == "unchanged" and node.over is not None:
            watch = self.points.watch(tracks[0], "changed", millis(node.over))
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
        compare = compare_of(description)
        if node.agg in WINDOWED:
            windows = [self.points.window(track, node) for track in tracks]
            cell: Cell
            if node.agg in FILLING and len(windows) == 1:
                cell = Filling(description, tracks, loss, owner, window=windows[0].window, compare=compare)
            else:
                probe = probe_of(node, tracks, [window.window for window in windows], loss)
                reach = reach_of(description, windows[0].window)
                cell = Comparing(description, tracks, loss, owner, probe=probe, compare=compare, reach=reach)
            for window in windows:
                window.cells.append(cell)
            return _attach(cell, tracks, loss)
        probe = probe_of(node, tracks, (), loss)
        reach = None if node.agg == "since_change" else reach_of(description)
        cell = Comparing(description, tracks, loss, owner, probe=probe, compare=compare, reach=reach)
        ramps = ramps_of(description) if node.agg == "since_change" else ()
        passing = [self.points.watch(track, "changed", span) for track in tracks for span in ramps]
        return _attach(cell, tracks, [*loss, *passing])

    def _online(self, track: Track, owner: Owner, description: Description) -> Cell:
        """Whether a device answers: by what is read of it, and false once it fell silent."""
        span = silence_ms(track.every_ms)
        watch = self.points.watch(track, "good", span)

        def probe(_: Millis) -> Value | None:
            return False if watch.lapsed else None if watch.unsure else track.value

        cell = Online(
            description, [track], (), owner,
            probe=probe, compare=compare_of(description), reach=reach_of(description),
        )  # fmt: skip
        return _attach(cell, [track], [watch])


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
