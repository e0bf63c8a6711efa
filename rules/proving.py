"""Plays the tests that a rule carries, on a school made for it: one scope with all its roles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from drivers.reading import Millis, Quality, Reading, Value
from drivers.settings import millis
from rules.alarm import Change, Transition
from rules.baseline import DAY_MS, SLOTS, Baseline, BaselineKey
from rules.engine import Engine
from rules.intent import Act, ActKind
from rules.presence import CALENDAR, DERIVED
from rules.rulebook import Rule, RuleFault, Where, as_names
from rules.site import DeviceInfo, SiteInfo, SpaceInfo
from rules.targets import GROUP
from rules.targets import PLACES as AROUND_SCOPE
from rules.timetable import WEEKDAYS, ActiveTime, Calendar, DayType
from rules.trial import ExpectedCommand, Trial, samples
from rules.verbs import Verbs

ZONE = "Asia/Shanghai"
MONDAY = date(2026, 3, 2)
LEAST_STEP: Millis = 1_000
PLACES = frozenset({"space", "room"})


def prove(
    rule: Rule, points: Mapping[str, str], kinds: frozenset[str], verbs: Verbs | None = None
) -> list[RuleFault]:
    """What the rule's own tests find wrong with it; empty when all hold.

    `points` is the vocabulary (point -> unit), `kinds` its kinds of spaces, `verbs` its commands (None:
    what a rule would do is not looked at). RuleFault paths start at the rule's top.
    """
    faults = []
    for number, trial in enumerate(rule.tests):
        try:
            found = list(_Stage(rule, trial, points, kinds, verbs).faults())
        except (ValueError, KeyError) as error:
            found = [f"cannot be played: {error}"]
        faults += [RuleFault(("tests", number), f"this test of {rule.id} fails: {text}") for text in found]
    return faults


class _Stage:
    """One test at play."""

    def __init__(
        self,
        rule: Rule,
        trial: Trial,
        points: Mapping[str, str],
        kinds: frozenset[str],
        verbs: Verbs | None,
    ) -> None:
        self._rule = rule
        self._verbs = verbs
        self._acts: list[Act] = []
        self._trial = trial
        self._points = {**points, **DERIVED}
        self._given = {role: one for role, one in trial.given.items() if role not in CALENDAR}
        self._series = {role: samples(given) for role, given in self._given.items()}
        self._steps = {role: list(series) for role, series in self._series.items() if series is not None}
        self._site, self._scope = self._build(kinds)
        self._start = self._begin()

    def faults(self) -> Iterator[str]:
        """What did not come as expected."""
        end = max(at for steps in self._steps.values() for at, _ in steps)
        if self._trial.lasts is not None:
            end = max(end, millis(self._trial.lasts))
        said = self._play(end)
        raised = [t.at - self._start for t in said if t.change is Change.RAISED]
        cleared = [t.at - self._start for t in said if t.change in (Change.CLEARED, Change.CLOSED)]
        expect = self._trial.expect
        shown = ", ".join(f"{at / 1000:g} s" for at in raised) or "never"
        for wanted, word in ((expect.active_at, True), (expect.normal_at, False)):
            if wanted is not None:
                at = millis(wanted)
                active = sum(1 for t in raised if t <= at) > sum(1 for t in cleared if t <= at)
                if active is not word:
                    state = "active" if word else "normal"
                    yield f"not {state} at {at / 1000:g} s (raised: {shown})"
        if expect.active_never and raised:
            yield f"raised at {shown}, and should never be"
        if expect.occurrences is not None and len(raised) != expect.occurrences:
            yield f"{len(raised)} occurrences (raised: {shown}), not {expect.occurrences}"
        if expect.occurrences_le is not None and len(raised) > expect.occurrences_le:
            yield f"{len(raised)} occurrences (raised: {shown}), more than {expect.occurrences_le}"
        begun = sum(1 for t in said if t.finding is not None and t.finding.ended_at is None)
        if expect.findings is not None and begun != expect.findings:
            yield f"{begun} findings, not {expect.findings}"
        if expect.commands is not None and self._verbs is not None:
            yield from self._deeds(expect.commands)

    def _deeds(self, expected: tuple[ExpectedCommand, ...]) -> Iterator[str]:
        done = [act for act in self._acts if act.kind in (ActKind.ORDERED, ActKind.PROPOSED)]
        told = [(act.intent.cmd, act.restores, act.kind is ActKind.PROPOSED) for act in done]
        shown = ", ".join(
            f"{act.intent.cmd}{' back' if act.restores else ''} at {(act.at - self._start) / 1000:g} s"
            for act in done
        )
        if told != [(one.cmd, one.restores, one.proposed) for one in expected]:
            yield f"commands: {shown or 'none'}; other ones are expected"
            return
        for act, one in zip(done, expected, strict=True):
            if one.by is not None and act.at - self._start > millis(one.by):
                yield f"commands: {shown}; {one.cmd} is expected by {one.by.total_seconds():g} s"

    def _play(self, end: Millis) -> list[Transition]:
        # One rule alone: nothing above it, and of the devices there only those of the test.
        alone = self._rule.model_copy(update={"supervise": (), "parent_of": ()})
        engine = Engine([alone], self._site, self._calendar())
        bound = engine.coverage()[0]
        if self._scope not in bound.bound:
            missing = ", ".join(name for one in bound.unbound for name in one.missing)
            raise ValueError(f"given lacks {missing or 'what its scope asks for'}")
        engine.learn(self._usual(engine.wanted()))
        said = list(engine.tick(self._start))
        for at, readings in self._rounds(end):
            said += engine.evaluate(readings, self._start + at)
        said += engine.tick(self._start + end)
        self._acts = engine.hands.arbiter.drain()
        return [t for t in said if t.state.scope == self._scope]

    def _usual(self, wanted: Sequence[BaselineKey]) -> Iterator[Baseline]:
        """The test's baselines, of every counter that the rule compares with its usual."""
        for device, point, name in wanted:
            if name in self._trial.baselines:
                usual = self._trial.baselines[name]
                values = {
                    "tow_p50_28d": (usual,) * len(SLOTS),
                    "degree_day_12m": (usual, usual, 0.0, 0.0, 0.0, 0.0),
                }.get(name, (usual,))
                since = self._start - DAY_MS
                yield Baseline(device, point, name, self._points[point], since, "", "", 28, values)

    def _rounds(self, end: Millis) -> Iterator[tuple[Millis, list[Reading]]]:
        """All readings by time; constants are repeated with the finest series."""
        pace = min((_step(steps) for steps in self._steps.values()), default=LEAST_STEP)
        values: list[tuple[Millis, str, Value]] = [
            (at, role, value) for role, steps in self._steps.items() for at, value in steps if at <= end
        ]
        for role, given in self._given.items():
            if role not in self._steps and not isinstance(given, tuple):
                values += [(at, role, given) for at in range(0, end + 1, pace)]
        order = {role: number for number, role in enumerate(self._given)}
        # What does not change is known before what does.
        values.sort(key=lambda one: (one[0], one[1] in self._steps, order[one[1]]))
        for at, role, value in values:
            yield at, [self._reading(role, value, self._start + at)]

    def _reading(self, role: str, value: Value, at: Millis) -> Reading:
        device, point = self._place(role), role.rpartition(".")[2]
        unit = self._points[point]
        if unit not in ("bool", "text") and not isinstance(value, bool | str):
            value = float(value)
        if point == "online":
            silent = value is False
            some = next(iter(self._site.device_by_id[device].points))
            reason = "timeout" if silent else ""
            quality = Quality.BAD if silent else Quality.GOOD
            return Reading(device, some, None if silent else 0.0, "1", at, at, quality, reason)
        return Reading(device, point, value, unit, at, at)

    # -- the school

    def _build(self, kinds: frozenset[str]) -> tuple[SiteInfo, str]:
        scope = self._rule.scope
        wanted = (*scope.where.kinds, scope.each)
        space_kind = next((kind for kind in wanted if kind in kinds), "classroom")
        tags = {
            name: tag[0] if isinstance(tag, tuple) else tag for name, tag in (scope.where.tags or {}).items()
        }
        for placed in self._rule.actions:
            if placed.action.to.startswith(GROUP):
                tags[placed.action.to.removeprefix(GROUP)] = True
        inside = as_names(scope.where.in_)
        space = SpaceInfo("here", "here", space_kind, inside[0] if inside else "building", tags)
        spaces: tuple[SpaceInfo, ...] = (SpaceInfo("building", "building", "building"), space)
        if inside and inside[0] != "building":
            spaces = (*spaces, SpaceInfo(inside[0], inside[0], "floor", "building"))
        devices = tuple(self._devices(scope.where, scope.each, space_kind))
        about_space = scope.each in PLACES or scope.each in kinds
        subject = "site" if scope.each == "site" else "line" if scope.each == "line" else "here"
        if not about_space and subject == "here":
            subject = self._place("")
        return SiteInfo("site", ZONE, spaces, devices, verbs=self._verbs or {}, opens=True), subject

    def _devices(self, where: Where, each: str, space_kind: str) -> Iterator[DeviceInfo]:
        points: dict[str, dict[str, str]] = {}
        for role in self._given:
            point = role.rpartition(".")[2]
            if point not in self._points:
                raise ValueError(f"{role} is no point of the vocabulary")
            points.setdefault(self._place(role), {})[point] = self._points[point]
        points.setdefault(self._place(""), {})
        bare = "sensor" if each in PLACES | {space_kind} else each
        own = next((kind for kind in where.kinds if kind != space_kind), bare)
        if where.medium is not None:
            own = f"{as_names(where.medium)[0]}_meter"
        elif own == "meter":
            own = "electricity_meter"
        self._told_devices(points, own)
        for device, found in points.items():
            kind = own if device == "subject" else device
            known = {name: unit for name, unit in found.items() if name not in DERIVED}
            every = min((_step(self._steps[r]) for r in self._steps if self._place(r) == device), default=0)
            known = known or {"status_word": "1"}
            yield DeviceInfo(device, "here", kind, every, known, "line", writable=frozenset(known))

    def _told_devices(self, points: dict[str, dict[str, str]], own: str) -> None:
        """Adds what the rule's commands are written to."""
        for placed in self._rule.actions:
            verb = (self._verbs or {}).get(placed.action.cmd)
            if verb is None:
                continue
            kinds = verb.kinds if _is_place(placed.action.to) else (placed.action.to,)
            there = next((kind for kind in kinds if kind in points), kinds[0])
            device = "subject" if own in kinds else there
            points.setdefault(device, {})[verb.point] = self._points[verb.point]

    def _place(self, role: str) -> str:
        """The device that has a role: one of the named kind, or the subject itself."""
        return role.rpartition(".")[0] or "subject"

    def _calendar(self) -> Calendar:
        day = self._day()
        closed = self._trial.given.get("schedule.closed")
        # Open on a kind of day that is not: closed all day.
        opening = ActiveTime(cal="exam" if day != "exam" else "rest") if closed else ActiveTime()
        return Calendar(week=dict.fromkeys(WEEKDAYS, day), opening=opening)

    def _day(self) -> DayType:
        if self._trial.day is not None:
            return self._trial.day
        active = self._rule.active
        if active is None or active.cal == "any":
            return "school"
        return active.cal if isinstance(active.cal, str) else active.cal[0]

    def _begin(self) -> Millis:
        active = self._rule.active
        between = None if active is None else active.between
        clock = self._trial.start or (between[0] if between else "09:00")
        day = MONDAY
        if active is not None and active.days is not None:
            day += timedelta(days=WEEKDAYS.index(active.days[0]))
        local = datetime.combine(day, time.fromisoformat(clock), ZoneInfo(ZONE))
        return round(local.timestamp() * 1000)


def _is_place(to: str) -> bool:
    return to in AROUND_SCOPE or to.startswith(GROUP)


def _step(steps: list[tuple[Millis, Value]]) -> Millis:
    """The distance of a series' samples."""
    gaps = [second[0] - first[0] for first, second in pairwise(steps)]
    return max(LEAST_STEP, min((gap for gap in gaps if gap > 0), default=LEAST_STEP))
