"""The school that is made for one test of a rule: one scope with all the roles that the test names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from drivers.reading import Millis, Value
from rules.binding import PATROL_SLOT, SUBMETER
from rules.presence import CALENDAR, DERIVED
from rules.rulebook import Rule, as_names
from rules.series import samples
from rules.site import DeviceInfo, SiteInfo, SlotInfo, SpaceInfo
from rules.targets import GROUP
from rules.targets import PLACES as AROUND_SCOPE
from rules.timetable import WEEKDAYS, ActiveTime, Calendar, DayType, Slot
from rules.trial import Trial
from rules.verbs import Verbs

ZONE = ZoneInfo("Asia/Shanghai")
MONDAY = date(2026, 3, 2)
"""The day of a test, unless its rule is for other weekdays."""
LEAST_STEP: Millis = 1_000
PLACES = frozenset({"space", "room"})
SUBJECT, HERE, SLOT = "subject", "here", "slot"
"""The device, the space and the slot that a test is about."""
_SUBMETER = re.compile(rf"{SUBMETER}(_\d+)?")

Steps = Sequence[tuple[Millis, Value]]


@dataclass(frozen=True, slots=True)
class Stage:
    """`scope` is what the rule is watched on, `start` when the test begins; `series` and `constants` are what
    is given, by role."""

    site: SiteInfo
    scope: str
    calendar: Calendar
    start: Millis
    series: Mapping[str, Steps]
    constants: Mapping[str, Value]

    @property
    def day(self) -> date:
        """The local day on which it begins."""
        return datetime.fromtimestamp(self.start / 1000, ZONE).date()

    @property
    def pace(self) -> Millis:
        """How often constants are repeated: as the finest series."""
        return min((step_of(steps) for steps in self.series.values()), default=LEAST_STEP)


def stage_of(
    rule: Rule, trial: Trial, points: Mapping[str, str], kinds: frozenset[str], verbs: Verbs | None
) -> Stage:
    """The school of one test; ValueError for a role that is no point, KeyError for a command that is none."""
    return _Maker(rule, trial, points, kinds, verbs or {}).stage()


def place_of(role: str) -> str:
    """The device that has a role: one of the named kind, or the subject itself."""
    return role.rpartition(".")[0] or SUBJECT


def step_of(steps: Steps) -> Millis:
    """The distance of a series' samples."""
    gaps = [second[0] - first[0] for first, second in pairwise(steps)]
    return max(LEAST_STEP, min((gap for gap in gaps if gap > 0), default=LEAST_STEP))


class _Maker:
    """What a rule and its test ask for, put into spaces and devices."""

    def __init__(
        self, rule: Rule, trial: Trial, points: Mapping[str, str], kinds: frozenset[str], verbs: Verbs
    ) -> None:
        self._rule = rule
        self._trial = trial
        self._points = {**points, **DERIVED}
        self._kinds = kinds
        self._verbs = verbs
        given = {role: one for role, one in trial.given.items() if role not in CALENDAR}
        self._roles = (*given, *(role for role in trial.history if role not in given))
        self._series: dict[str, Steps] = {}
        self._constants: dict[str, Value] = {}
        for role, one in given.items():
            series = samples(one)
            if series is not None:
                self._series[role] = list(series)
            elif not isinstance(one, tuple):
                self._constants[role] = one

    def stage(self) -> Stage:
        """All of it."""
        scope = self._rule.scope
        wanted = (*scope.where.kinds, scope.each)
        space_kind = next((kind for kind in wanted if kind in self._kinds), "classroom")
        devices = tuple(self._devices(space_kind))
        slots = (SlotInfo(SLOT, SUBJECT),) if scope.each == PATROL_SLOT else ()
        spaces = tuple(self._spaces(space_kind))
        site = SiteInfo("site", ZONE.key, spaces, devices, slots=slots, verbs=self._verbs, opens=True)
        return Stage(site, self._subject(), self._calendar(), self._begin(), self._series, self._constants)

    def _subject(self) -> str:
        each = self._rule.scope.each
        if each in PLACES or each in self._kinds:
            return HERE
        return {"site": "site", "line": "line", PATROL_SLOT: SLOT}.get(each, SUBJECT)

    def _spaces(self, kind: str) -> Iterator[SpaceInfo]:
        where = self._rule.scope.where
        tags = {name: tag[0] if isinstance(tag, tuple) else tag for name, tag in (where.tags or {}).items()}
        for placed in self._rule.actions:
            if placed.action.to.startswith(GROUP):
                tags[placed.action.to.removeprefix(GROUP)] = True
        inside = as_names(where.in_)
        yield SpaceInfo("building", "building", "building")
        yield SpaceInfo(HERE, HERE, kind, inside[0] if inside else "building", tags)
        if inside and inside[0] != "building":
            yield SpaceInfo(inside[0], inside[0], "floor", "building")
        for place in dict.fromkeys(map(place_of, self._roles)):
            if _SUBMETER.fullmatch(place):
                yield SpaceInfo(place, place, "classroom", HERE)

    def _devices(self, space_kind: str) -> Iterator[DeviceInfo]:
        points: dict[str, dict[str, str]] = {}
        for role in self._roles:
            point = role.rpartition(".")[2]
            if point not in self._points:
                raise ValueError(f"{role} is no point of the vocabulary")
            points.setdefault(place_of(role), {})[point] = self._points[point]
        points.setdefault(SUBJECT, {})
        own = self._own_kind(space_kind)
        self._told_devices(points, own)
        for device, found in points.items():
            below = _SUBMETER.fullmatch(device) is not None
            kind = own if device == SUBJECT or below else device
            known = {name: unit for name, unit in found.items() if name not in DERIVED}
            known = known or {"status_word": "1"}
            own_steps = [steps for role, steps in self._series.items() if place_of(role) == device]
            every = min(map(step_of, own_steps), default=0)
            space = device if below else HERE
            yield DeviceInfo(device, space, kind, every, known, "line", writable=frozenset(known))

    def _own_kind(self, space_kind: str) -> str:
        """The kind of the device that the test is about."""
        where, each = self._rule.scope.where, self._rule.scope.each
        bare = "sensor" if each in PLACES | {space_kind} else "patrol_point" if each == PATROL_SLOT else each
        own = next((kind for kind in where.kinds if kind != space_kind), bare)
        if where.medium is not None:
            return f"{as_names(where.medium)[0]}_meter"
        return "electricity_meter" if own == "meter" else own

    def _told_devices(self, points: dict[str, dict[str, str]], own: str) -> None:
        """Adds what the rule's commands are written to."""
        for placed in self._rule.actions:
            verb = self._verbs.get(placed.action.cmd)
            if verb is None:
                continue
            kinds = verb.kinds if _is_place(placed.action.to) else (placed.action.to,)
            there = next((kind for kind in kinds if kind in points), kinds[0])
            device = SUBJECT if own in kinds else there
            points.setdefault(device, {})[verb.point] = self._points[verb.point]

    def _calendar(self) -> Calendar:
        day = self._day()
        closed = self._trial.given.get("schedule.closed")
        # Open on a kind of day that is not: closed all day.
        opening = ActiveTime(cal="exam" if day != "exam" else "rest") if closed else ActiveTime()
        slot = self._trial.slot
        slots = () if slot is None else (Slot(id=SLOT, device=SUBJECT, between=slot),)
        return Calendar(week=dict.fromkeys(WEEKDAYS, day), opening=opening, slots=slots)

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
        local = datetime.combine(day, time.fromisoformat(clock), ZONE)
        return round(local.timestamp() * 1000)


def _is_place(to: str) -> bool:
    return to in AROUND_SCOPE or to.startswith(GROUP)
