"""Compiles leaves that refer to something beside their own points: baselines, other roles, plans, sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from drivers.reading import Millis
from rules.arithmetic import Reference
from rules.assessor import Assessor, Averages, Estimate, Excess, ExcessFlow
from rules.awaited import Awaited, Clockwork
from rules.baseline import DAY_MS, BaselineKey
from rules.binding import Candidate, Instance, PointRef, members, points_of
from rules.cell import Cell, Online, Probe, reach_of
from rules.compiled import Branch, Crowd, Tree
from rules.finding import EXCESS, HOURLY, averages, parse_estimate
from rules.nodata import NoData
from rules.points import FILLING, Points
from rules.presence import CALENDAR
from rules.probe import compare_of, describe, probe_of
from rules.referring import Limit, Lookups, Measuring, Referring, Total, limit_of
from rules.rulebook import Rule
from rules.site import SiteInfo
from rules.slot import span_of
from rules.tally import Tally
from rules.timetable import ActiveTime, Calendar, Schedule
from rules.track import FadingWindow, Owner, Track, Watch
from rules.tree import WINDOWED, Measure, Node, Operand
from rules.window import Window
from rules.yardstick import Yardstick

OLD_WEATHER_MS: Millis = 6 * 3_600_000
"""An outdoor temperature older than this says nothing of the last day."""


LEAST_GAP_MS: Millis = 300_000
"""For an average a value holds at least so long, and three periods of its point."""


class Ground(NamedTuple):
    """What one instance of a rule is compiled on."""

    instance: Instance
    params: Mapping[str, float]
    nodata: NoData
    owner: Owner


class _Seen(NamedTuple):
    """A role's value: how to ask for it, and what it hangs on."""

    probe: Probe
    tracks: Sequence[Track]
    loss: Sequence[Watch]
    windows: Sequence[FadingWindow]

    def number(self, at: Millis) -> float | None:
        """The value as a number; None for a lost point or a text."""
        value = None if all(watch.lapses for watch in self.loss) else self.probe(at)
        return None if value is None or isinstance(value, str) else float(value)


def is_woven(node: Node) -> bool:
    """Whether a node is compiled here."""
    if node.across is not None:
        return node.across.measures
    special = node.references or node.window is not None or isinstance(node, Measure)
    return bool(special) or node.p in CALENDAR


class Weave:
    """The part of a network that knows calendar, plan and baselines."""

    def __init__(self, points: Points, site: SiteInfo, calendar: Calendar) -> None:
        self._points = points
        self._site = site
        self._calendar = calendar
        self._zone = ZoneInfo(site.timezone)
        self._slots = {slot.id: slot for slot in calendar.slots}
        self._outdoor: Callable[[Millis], float | None] | None = None
        self.yardsticks: dict[BaselineKey, Yardstick] = {}
        self.timed: list[Awaited | Clockwork] = []
        self._clockwork: Clockwork | None = None
        self._tallied: dict[Track, Tally] = {}

    def start(self, at: Millis) -> None:
        """The engine starts, or the clock was stepped."""
        for one in self.timed:
            one.start(at)

    def leaf(self, node: Node, ground: Ground) -> Tree | None:
        """One leaf of an instance."""
        refs = ground.instance.roles[node.p or ""]
        if not refs:
            return None
        if node.p in CALENDAR:
            return self._closed(node, refs[0], ground)
        if node.window is not None:
            awaited = [cell for ref in refs if (cell := self._awaited(node, ref, ground)) is not None]
            return awaited[0] if len(awaited) == 1 else Branch("all", tuple(awaited)) if awaited else None
        if len(refs) == 1 or node.pick in ("max", "min", "avg"):
            return self._compared(node, refs, ground)
        cells = tuple(self._compared(node, (ref,), ground) for ref in refs)
        return Branch(node.pick or "any", cells)

    def total(self, node: Node, ground: Ground) -> Tree | None:
        """A sum or mean over a group."""
        across = node.across
        if across is None or node.val is None:
            return None
        found: list[Measuring] = []
        scopes: list[str] = []
        for member in members(across, ground.instance, self._site):
            refs = member.roles[across.of.p or ""]
            if refs:
                found.append(self._measuring(across.of, refs, ground))
                scopes.append(member.scope)
        if not found:
            return None
        others: list[Measuring] = []

        def own(reference: Reference) -> Callable[[Millis], float | None]:
            cell = self._measuring(across.of, ground.instance.roles[reference.name], ground)
            others.append(cell)
            scopes.append(ground.instance.scope)
            return lambda _: cell.latest

        lookups = {one: own(one) for one in node.references}
        limit = _still(limit_of(node.val, ground.params, lookups))
        clear = None if node.clear is None else _still(limit_of(node.clear, ground.params, lookups))
        group = Total(found, across.agg == "avg", node.op or "ge", limit, clear)
        return Crowd((*found, *others), tuple(scopes), group)

    def yardstick(self, device: str, point: str, name: str) -> Yardstick:
        """The one yardstick of a baseline."""
        key = BaselineKey(device, point, name)
        if key not in self.yardsticks:
            outdoor = self._weather() if name.startswith("degree_day") else lambda _: None
            self.yardsticks[key] = Yardstick(key, self._calendar, self._zone, outdoor)
        return self.yardsticks[key]

    # -- findings

    def assessor(self, rule: Rule, instance: Instance, params: Mapping[str, float]) -> Assessor | None:
        """What follows the findings of one instance; None for a rule without any."""
        spec = rule.finding
        if spec is None:
            return None
        unit = spec.unit or ""
        if spec.est is None:
            return Assessor(spec, unit, None)
        if spec.est != EXCESS:
            roles = {role: self._tallies(role, instance) for role in averages(spec.est)}
            units = {HOURLY.get(track.unit, "") for points in roles.values() for track, _ in points}
            estimate = Averages(spec.est, parse_estimate(spec.est), params, roles)
            return Assessor(spec, unit or next(iter(units), ""), estimate)
        leaf = rule.excess_leaf
        refs = instance.roles[leaf.p or ""] if leaf is not None else ()
        if leaf is None or not refs:
            return Assessor(spec, unit, None)
        suspects: list[tuple[str, Estimate]] = []
        meter = self._site.device_by_id.get(refs[0].device)
        if spec.suspects is not None and meter is not None:
            for below in self._site.submeters(meter):
                if refs[0].point in below.points:
                    ref = refs[0]._replace(device=below.id, every_ms=below.every_ms)
                    suspects.append((below.id, self._excess(leaf, ref)))
        return Assessor(spec, unit or refs[0].unit, self._excess(leaf, refs[0]), suspects)

    def _excess(self, leaf: Node, ref: PointRef) -> Estimate:
        """The excess of a counter over the baseline that a leaf names."""
        track = self._points.track(ref)
        grown = leaf.model_copy(update={"agg": "delta", "bucket": None, "unit": None})
        name = next(one.name for one in leaf.references if one.kind == "baseline")
        yardstick = self.yardstick(ref.device, ref.point, name)
        if leaf.agg == "min_rate":
            return ExcessFlow(track, self._points.window(track, leaf).window, yardstick)
        return Excess(track, self._points.window(track, grown).window, yardstick)

    def _tallies(self, role: str, instance: Instance) -> list[tuple[Track, Tally]]:
        """The points of a role, each with what adds it up."""
        found = []
        device = self._site.device_by_id.get(instance.scope)
        candidate = Candidate(instance.scope, instance.space, device, instance.line)
        for ref in points_of(role, candidate, self._site):
            track = self._points.track(ref)
            if track not in self._tallied:
                self._tallied[track] = Tally(max(3 * ref.every_ms, LEAST_GAP_MS) if ref.every_ms else DAY_MS)
                track.windows.append(FadingWindow(self._tallied[track], self._points.agenda))
            found.append((track, self._tallied[track]))
        return found

    # -- inside

    def _compared(self, node: Node, refs: Sequence[PointRef], ground: Ground) -> Cell:
        own = self._seen(node, refs, ground.nodata)
        yardsticks: list[Yardstick] = []
        hangs_on = [own]

        def look(reference: Reference) -> Callable[[Millis], float | None]:
            if reference.kind == "baseline":
                yardsticks.append(self.yardstick(refs[0].device, refs[0].point, reference.name))
                return yardsticks[-1].value
            other = self._seen(node, ground.instance.roles[reference.name], ground.nodata)
            hangs_on.append(other)
            return other.number

        lookups: Lookups = {one: look(one) for one in node.references}
        cell = Referring(
            describe(node, refs[0], ground.params), own.tracks, own.loss, ground.owner,
            probe=own.probe,
            limit=limit_of(_given(node.val), ground.params, lookups),
            clear=None if node.clear is None else limit_of(node.clear, ground.params, lookups),
            window=self._filling(node, own),
            yardsticks=yardsticks,
        )  # fmt: skip
        self._hang(cell, hangs_on)
        for yardstick in yardsticks:
            yardstick.cells.append(cell)
        return cell

    def _measuring(self, node: Node, refs: Sequence[PointRef], ground: Ground) -> Measuring:
        seen = self._seen(node, refs, ground.nodata)
        cell = Measuring(
            describe(node, refs[0], ground.params), seen.tracks, seen.loss, ground.owner,
            probe=seen.probe, window=self._filling(node, seen),
        )  # fmt: skip
        self._hang(cell, [seen])
        return cell

    def _seen(self, node: Node, refs: Sequence[PointRef], nodata: NoData) -> _Seen:
        """A role aggregated as the node says."""
        points = self._points
        tracks = [points.track(ref) for ref in refs]
        loss = [points.loss(track, node.nodata or nodata) for track in tracks]
        windows = [points.window(track, node) for track in tracks] if node.agg in WINDOWED else []
        return _Seen(probe_of(node, tracks, [one.window for one in windows], loss), tracks, loss, windows)

    def _filling(self, node: Node, seen: _Seen) -> Window | None:
        """The window that a leaf may belie while it is not full."""
        single = node.agg in FILLING and len(seen.windows) == 1
        return seen.windows[0].window if single else None

    def _hang(self, cell: Cell, seen: Sequence[_Seen]) -> None:
        """The leaf looks again whenever anything changes that it hangs on."""
        for one in seen:
            for places in (one.tracks, one.loss, one.windows):
                for place in places:
                    if cell not in place.cells:
                        place.cells.append(cell)

    def _awaited(self, node: Node, ref: PointRef, ground: Ground) -> Cell | None:
        slot = self._slots.get(ground.instance.scope)
        if slot is None or node.window is None:
            return None
        track = self._points.track(ref)
        hours = ActiveTime(cal=slot.cal, days=slot.days, between=slot.between)
        cell = Awaited(
            describe(node, ref, ground.params), [track], ground.owner,
            schedule=Schedule(hours, self._calendar, self._zone), span=span_of(node.window),
            agenda=self._points.agenda,
        )  # fmt: skip
        track.cells.append(cell)
        self.timed.append(cell)
        return cell

    def _closed(self, node: Node, ref: PointRef, ground: Ground) -> Cell | None:
        if self._calendar.opening is None:
            return None
        track = self._points.track(ref)
        if self._clockwork is None:
            schedule = Schedule(self._calendar.opening, self._calendar, self._zone)
            self._clockwork = Clockwork(track, schedule, self._points.agenda)
            self.timed.append(self._clockwork)
        description = describe(node, ref, ground.params)
        cell = Online(
            description, [track], (), ground.owner,
            probe=lambda _: track.value, compare=compare_of(description),
            reach=reach_of(description),
        )  # fmt: skip
        track.cells.append(cell)
        return cell

    def _weather(self) -> Callable[[Millis], float | None]:
        """The mean outdoor temperature of the last day."""
        if self._outdoor is None:
            ref = self._site.outdoor
            if ref is None:
                self._outdoor = lambda _: None
                return self._outdoor
            track = self._points.track(PointRef(*ref))
            day = Node(p="temperature", agg="avg", over=timedelta(milliseconds=DAY_MS), op="gt", val=0.0)
            window = self._points.window(track, day).window

            def mean(at: Millis) -> float | None:
                fresh = track.at is not None and at - track.at <= OLD_WEATHER_MS
                return window.value() if fresh and window.covered(at) else None

            self._outdoor = mean
        return self._outdoor


def _still(limit: Limit) -> Callable[[], float | None]:
    """A limit that hangs on no time of its own."""

    def now() -> float | None:
        value = limit(0)
        return None if value is None or isinstance(value, str) else float(value)

    return now


def _given(operand: Operand | None) -> Operand:
    if operand is None:
        raise ValueError("nothing to compare with")
    return operand
