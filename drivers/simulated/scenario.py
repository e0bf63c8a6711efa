"""What happens in the virtual school beside its usual day, as events on the simulated clock."""

from __future__ import annotations

from enum import StrEnum

from drivers.simulated.physics import DEMO_START_S, School
from drivers.simulated.room import Room
from drivers.simulated.spaces import Use
from drivers.simulated.timetable import DAY_S, clock, day_of

MINUTE_S = 60.0
GAS_LEAK_M3_H = 30.0
"""A burner hose off its socket; a kitchen of 250 m3 reaches 20 % LEL in some five minutes."""
FAN_ACH = 18.0
DRIP_M3_H = 0.12
"""A tap that somebody has not closed: the tap that leaks each night."""
BURST_M3_H = 0.9


class Scenario(StrEnum):
    """The names that `campus-edge demo --scenario` takes."""

    SCHOOL_DAY = "school-day"
    BUS_CUT = "bus-cut"
    GAS_LEAK = "gas-leak"
    NIGHT_LEAK = "night-leak"
    UPLINK_DOWN = "uplink-down"
    POWER_CUT = "power-cut"


def start_of(scenario: Scenario) -> float:
    """The simulated time at which a scenario starts."""
    return clock(2) if scenario is Scenario.NIGHT_LEAK else DEMO_START_S


def prepare(school: School, scenario: Scenario, start_s: float) -> None:
    """Plans all events of a scenario that are physics; cuts of lines and power are the demo's own."""
    _forgotten_tap(school, start_s)
    if scenario is Scenario.NIGHT_LEAK:
        _burst(school, start_s + 6 * MINUTE_S, start_s + 30 * MINUTE_S)
        return
    _wasteful_lesson(school, start_s + 4 * MINUTE_S, start_s + 15 * MINUTE_S)
    school.at(start_s + 9 * MINUTE_S, _press_a_button)
    if scenario is Scenario.GAS_LEAK:
        _gas_leak(school, start_s + 8 * MINUTE_S)


def _press_a_button(school: School) -> None:
    for button in school.buttons()[:1]:
        button.press(school.now_s, 6 * MINUTE_S)


def _wasteful_lesson(school: School, start_s: float, end_s: float) -> None:
    """In one laboratory the air conditioner runs with the window open."""
    labs = [room for room in school.rooms_of(Use.LESSONS) if room.space.kind == "lab"]
    for lab in labs[:1]:
        _hold(school, lab, "window", 0.9, start_s, end_s)
        _hold(school, lab, "ac", 1.0, start_s - 2 * MINUTE_S, end_s + 5 * MINUTE_S)


def _hold(school: School, room: Room, what: str, level: float, start_s: float, end_s: float) -> None:
    def take(_: School) -> None:
        room.overrides[what] = level

    def release(_: School) -> None:
        room.overrides.pop(what, None)

    school.at(start_s, take)
    school.at(end_s, release)


def _leaking_room(school: School) -> Room | None:
    """Where the bad tap is: the first laboratory, else the first space of all."""
    rooms = list(school.rooms.values())
    labs = [room for room in rooms if room.space.kind == "lab"]
    return next(iter(labs or rooms), None)


def _forgotten_tap(school: School, start_s: float) -> None:
    """From ten in the evening to half past six, in the night before the start and the 30 behind it."""
    room = _leaking_room(school)
    if room is None:
        return
    for night in range(-1, 30):
        evening = day_of(start_s) * DAY_S + night * DAY_S + clock(22)
        _run_tap(school, room, DRIP_M3_H, max(evening, school.now_s), evening + 8.5 * 3600.0)


def _burst(school: School, start_s: float, end_s: float) -> None:
    room = _leaking_room(school)
    if room is not None:
        _run_tap(school, room, BURST_M3_H, start_s, end_s)


def _run_tap(school: School, room: Room, flow: float, start_s: float, end_s: float) -> None:
    def run(_: School) -> None:
        room.leak_m3_h += flow

    def close(_: School) -> None:
        room.leak_m3_h = max(0.0, room.leak_m3_h - flow)

    if end_s > start_s:
        school.at(start_s, run)
        school.at(end_s, close)


def _gas_leak(school: School, start_s: float) -> None:
    """Gas escapes in the kitchen; at 30 % LEL the cook shuts the valve and runs the fan until it is gone."""
    kitchens = school.rooms_of(Use.COOKING)
    if not kitchens:
        return
    kitchen = kitchens[0]

    def escape(_: School) -> None:
        kitchen.gas_leak_m3_h = GAS_LEAK_M3_H
        school.at(school.now_s, watch)

    def watch(_: School) -> None:
        if kitchen.gas_lel > 30.0:
            kitchen.gas_leak_m3_h, kitchen.exhaust_ach = 0.0, FAN_ACH
        if kitchen.exhaust_ach > 0.0 and kitchen.gas_lel < 1.0:
            kitchen.exhaust_ach = 0.0
            return
        school.at(school.now_s + 20.0, watch)

    school.at(start_s, escape)
