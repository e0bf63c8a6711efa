"""A small school, short ways to write rules and readings, and an engine that is fed by the minute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from drivers.reading import Origin, Quality, Reading, Value
from rules.alarm import AlarmState, Change, Transition
from rules.engine import Engine
from rules.rulebook import Rule, parse_rules
from rules.site import DeviceInfo, SiteInfo, SpaceInfo
from rules.timetable import Calendar

S = 1_000
M = 60 * S
H = 60 * M
T0 = 1_772_409_600_000
"""2026-03-02 00:00 UTC, a Monday: 08:00 in Shanghai."""

UNITS: Mapping[str, str] = {
    "co2": "[ppm]",
    "temperature": "Cel",
    "occupied": "bool",
    "open": "bool",
    "pressed": "bool",
    "gas_lel": "%",
    "active_power": "kW",
    "volume": "m3",
    "flow": "m3/h",
    "mode": "text",
    "voltage_l1": "V",
}


def device(
    name: str, space: str, kind: str, points: Iterable[str], every: int = 30 * S, line: str = ""
) -> DeviceInfo:
    """A device with vocabulary points."""
    return DeviceInfo(name, space, kind, every, {point: UNITS[point] for point in points}, line)


SPACES = (
    SpaceInfo("b1", "教学楼一", "building"),
    SpaceInfo("r301", "三〇一教室", "classroom", "b1", {"south": True}),
    SpaceInfo("r302", "三〇二教室", "classroom", "b1"),
    SpaceInfo("kitchen", "厨房", "kitchen"),
)
DEVICES = (
    device("env-301", "r301", "classroom_env", ("co2", "temperature", "occupied")),
    device("env-302", "r302", "classroom_env", ("co2", "temperature")),
    device("gas-1", "kitchen", "gas_detector", ("gas_lel",)),
    device("button-1", "r301", "emergency_button", ("pressed",), every=0),
    device("em-b1", "b1", "electricity_meter", ("active_power", "voltage_l1"), every=60 * S),
    device("water-b1", "b1", "water_meter", ("volume", "flow"), every=60 * S),
    device("win-1", "r301", "contact", ("open",), every=0),
    device("win-2", "r301", "contact", ("open",), every=0),
    device("ac-301", "r301", "air_conditioner", ("active_power", "mode"), every=30 * S),
)
SITE = SiteInfo(
    "shangde",
    "Asia/Shanghai",
    SPACES,
    DEVICES,
    frozenset({"building", "classroom", "kitchen"}),
    frozenset(info.kind for info in DEVICES),
)

ALARM: Mapping[str, Any] = {
    "prio": 3,
    "owner": "logistics",
    "title": {"zh": "测试", "en": "Test"},
    "consequence": {"zh": "后果", "en": "Consequence"},
    "guide": {"zh": "处理", "en": "Act"},
    "respond_within": "15m",
}
HIGH: Mapping[str, Any] = {"p": "co2", "op": "gt", "val": 1500, "clear": 1350}


def raw(**given: Any) -> dict[str, Any]:
    """A rule's data: CO2 above 1500 (clear 1350) in room 301, changed by what is given; `for_` is `for`."""
    data: dict[str, Any] = {
        "id": "high",
        "scope": {"each": "room", "where": {"in": "r301"}},
        "when": dict(HIGH),
        "alarm": dict(ALARM),
    }
    given = {key.rstrip("_"): value for key, value in given.items()}
    return data | given


def rule(**given: Any) -> Rule:
    """The same, parsed."""
    return parse_rules(raw(**given))[0]


class Run:
    """An engine and what it said; times in milliseconds since T0."""

    def __init__(
        self,
        *rules: Rule,
        states: Sequence[AlarmState] = (),
        calendar: Calendar | None = None,
        site: SiteInfo = SITE,
        start: int = 0,
    ) -> None:
        self.site = site
        self.engine = Engine(rules, site, calendar, states)
        self.said: list[Transition] = list(self.engine.tick(T0 + start))

    def feed(
        self,
        at: int,
        value: Value | None,
        *,
        device: str = "env-301",
        point: str = "co2",
        quality: Quality = Quality.GOOD,
        origin: Origin = Origin.LIVE,
        now: int | None = None,
    ) -> list[Transition]:
        """One reading measured at `at`, seen at `now`."""
        came = T0 + (at if now is None else now)
        reading = reading_of(at, value, device, point, quality, origin)._replace(received_at=came)
        return self._keep(self.engine.evaluate([reading], came))

    def series(self, values: Mapping[int, Value], **more: Any) -> list[Transition]:
        """Several readings, each at its time."""
        return [said for at, value in values.items() for said in self.feed(at, value, **more)]

    def tick(self, at: int) -> list[Transition]:
        """Time passes."""
        return self._keep(self.engine.tick(T0 + at))

    def state(self, rule: str = "high", scope: str = "r301") -> AlarmState:
        """The present state of one instance."""
        return next(s for s in self.engine.states() if (s.rule, s.scope) == (rule, scope))

    @property
    def changes(self) -> list[tuple[int, Change]]:
        """All that happened, each with its time since T0."""
        return [(said.at - T0, said.change) for said in self.said]

    @property
    def told(self) -> list[Change]:
        """What a person had to hear of."""
        return [said.change for said in self.said if said.notify]

    def _keep(self, said: list[Transition]) -> list[Transition]:
        self.said.extend(said)
        return said


def reading_of(
    at: int,
    value: Value | None,
    device: str = "env-301",
    point: str = "co2",
    quality: Quality = Quality.GOOD,
    origin: Origin = Origin.LIVE,
) -> Reading:
    """One reading, `at` since T0."""
    if value is None:
        quality = Quality.BAD
    reason = "" if quality is Quality.GOOD else "timeout"
    return Reading(device, point, value, UNITS[point], T0 + at, T0 + at, quality, reason, origin)
