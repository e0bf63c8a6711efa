"""What lies over an alarm: parents, shelves, chattering, floods, alarming again; also over a restart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from drivers.reading import Reading
from rules.alarm import AlarmState, Change, Condition, Transition
from rules.aside import NotShelvable, NotTakenOut, Outage
from rules.engine import Engine
from rules.rulebook import Rule
from rules.site import DeviceInfo, SiteInfo, SpaceInfo
from tests.rules.school import ALARM, SITE, T0, H, M, Run, S, device, reading_of, rule

P1 = {**ALARM, "prio": 1}
OFFLINE = {"p": "online", "op": "eq", "val": False}

LINE_DOWN = rule(
    id="line-down",
    scope={"each": "line"},
    when={"across": {"each": "device", "agg": "share", "of": OFFLINE}, "op": "ge", "val": 0.8},
    for_="30s",
    clear_for="1m",
    parent_of=["silent"],
    alarm={**ALARM, "prio": 2},
)
SILENT = rule(id="silent", scope={"each": "device"}, when={"p": "*", "agg": "absent"})
PANIC = rule(
    id="panic", scope={"each": "emergency_button"}, when={"p": "pressed", "op": "eq", "val": True},
    latch=True, shelvable=False, alarm=P1,
)  # fmt: skip
GAS = rule(
    id="gas", scope={"each": "gas_detector"}, when={"p": "gas_lel", "op": "ge", "val": 20},
    latch=True, shelvable=False, alarm=P1,
)  # fmt: skip
GUARD = rule(
    id="guard", scope={"each": "device"}, when=OFFLINE, for_="30s", supervise=["panic", "gas"],
    shelvable=False, alarm=P1,
)  # fmt: skip
BUS_RULES = (LINE_DOWN, SILENT, PANIC, GAS, GUARD)


def bus(rooms: int = 58) -> SiteInfo:
    """One line with sixty devices: two of them guard lives."""
    devices = [
        device("button", "r301", "emergency_button", ("pressed",), every=S, line="bus-a"),
        device("gas", "kitchen", "gas_detector", ("gas_lel",), every=10 * S, line="bus-a"),
        *(
            device(f"env-{n}", "r302", "classroom_env", ("co2",), every=60 * S, line="bus-a")
            for n in range(rooms)
        ),
        device("other", "r302", "classroom_env", ("co2",), every=60 * S, line="bus-b"),
    ]
    return replace(SITE, devices=tuple(devices))


class Bus:
    """A line that is polled round by round, and can be unplugged."""

    def __init__(self, site: SiteInfo, *rules: Rule) -> None:
        self.site = site
        self.rules = rules
        self.engine = Engine(rules, site, None)
        self.said = self.engine.tick(T0)

    def poll(self, start: int, end: int, *, dead: bool = False, alive: frozenset[str] = frozenset()) -> None:
        """Every device at its own pace, with good readings or timeouts; `alive` ones answer anyway."""
        rounds: list[tuple[int, DeviceInfo]] = sorted(
            (
                (at, info)
                for number, info in enumerate(self.site.devices)
                for at in range(start + number * 100, end, max(info.every_ms, 10 * S))
            ),
            key=lambda pair: pair[0],
        )
        for at, info in rounds:
            silent = dead and info.line == "bus-a" and info.id not in alive
            self.keep(self.engine.evaluate([self.reading(at, info, silent)], T0 + at))
        self.keep(self.engine.tick(T0 + end))

    def reading(self, at: int, info: DeviceInfo, silent: bool) -> Reading:
        """What a poll of a device gives."""
        (point,) = info.points
        value: float | bool = False if point == "pressed" else 0.0 if point == "gas_lel" else 600.0
        return reading_of(at, None if silent else value, info.id, point)

    def restart(self, at: int) -> None:
        """Killed, and started anew from its states."""
        self.engine = Engine(self.rules, self.site, None, self.engine.states())
        self.keep(self.engine.tick(T0 + at))

    def keep(self, said: list[Transition]) -> None:
        """Keeps what was said."""
        self.said += said

    @property
    def told(self) -> list[tuple[str, str, Change]]:
        """What people heard."""
        return [(t.state.rule, t.state.scope, t.change) for t in self.said if t.notify]


def test_an_unplugged_bus_of_sixty_devices_is_one_alarm_and_one_push_and_lives_are_guarded_apart() -> None:
    run = Bus(bus(), *BUS_RULES)
    run.poll(0, 5 * M)
    assert run.told == []
    run.poll(5 * M, 25 * M, dead=True)
    assert sorted(run.told) == [
        ("guard", "button", Change.RAISED),
        ("guard", "gas", Change.RAISED),
        ("line-down", "bus-a", Change.RAISED),
    ]
    states = run.engine.states()
    (line,) = [s for s in states if s.rule == "line-down" and s.scope == "bus-a"]
    children = [s for s in states if s.rule == "silent" and s.is_raised]
    assert len(children) == 60
    assert {child.suppressed_by for child in children} == {line.occurrence}
    assert {child.isa for child in children} == {"suppressed"}


def test_a_device_that_stays_dead_after_the_bus_is_back_is_told_then_and_the_others_never() -> None:
    run = Bus(bus(8), *BUS_RULES)
    run.poll(0, 5 * M)
    run.poll(5 * M, 25 * M, dead=True)
    back = frozenset(d.id for d in run.site.devices) - {"env-3"}
    run.poll(25 * M, 40 * M, dead=True, alive=back)
    told = [t for t in run.told if t[0] in ("line-down", "silent")]
    assert told == [
        ("line-down", "bus-a", Change.RAISED),
        ("line-down", "bus-a", Change.CLEARED),
        ("silent", "env-3", Change.ANNOUNCED),
    ]
    run.poll(40 * M, 45 * M)
    assert run.told[-1] == ("silent", "env-3", Change.CLEARED)


def test_a_single_dead_device_waits_for_the_parents_diagnosis_and_is_told_20_seconds_later() -> None:
    run = Bus(bus(8), *BUS_RULES)
    run.poll(0, 5 * M)
    run.poll(5 * M, 20 * M, dead=True, alive=frozenset(d.id for d in run.site.devices) - {"env-3"})
    (raised, told) = [t for t in run.said if t.state.scope == "env-3"]
    assert (raised.change, raised.notify, told.change, told.notify) == (
        Change.RAISED, False, Change.ANNOUNCED, True,
    )  # fmt: skip
    assert told.at - raised.at == 20 * S


def test_suppression_outlives_a_restart() -> None:
    run = Bus(bus(8), *BUS_RULES)
    run.poll(0, 5 * M)
    run.poll(5 * M, 12 * M, dead=True)
    run.restart(12 * M)
    run.poll(12 * M, 30 * M, dead=True)
    assert [t for t in run.told if t[0] == "silent"] == []
    run.restart(30 * M)
    run.poll(30 * M, 40 * M)
    assert [t for t in run.told if t[0] in ("line-down", "silent")] == [
        ("line-down", "bus-a", Change.RAISED),
        ("line-down", "bus-a", Change.CLEARED),
    ]


def test_an_exception_reply_is_an_answer_and_no_line_down() -> None:
    run = Run(rule(scope={"each": "device"}, when=OFFLINE))
    refused = reading_of(0, None)._replace(reason="exception:2")
    run.engine.evaluate([refused], T0)
    run.tick(1 * M)
    assert run.state("high", "env-301").condition is Condition.NORMAL
    run.feed(2 * M, None)
    assert run.state("high", "env-301").condition is Condition.ACTIVE


# shelves


def shelved(run: Run, until: int, at: int) -> None:
    """Room 301's alarm is put aside."""
    run.said += run.engine.shelve("high", "r301", "wang", "探头在换", T0 + until, T0 + at)


def test_a_shelved_alarm_is_quiet_and_heard_again_when_its_time_is_over() -> None:
    run = Run(rule())
    run.feed(0, 1600.0)
    shelved(run, 1 * H, 1 * M)
    assert run.state().isa == "shelved" and run.state().shelved_reason == "探头在换"
    run.tick(59 * M)
    assert run.told == [Change.RAISED]
    run.tick(1 * H)
    assert run.changes[-2:] == [(1 * H, Change.UNSHELVED), (1 * H, Change.ANNOUNCED)]
    assert not run.state().acked and run.state().shelved_until is None


def test_the_end_of_what_was_told_is_told_even_from_the_shelf() -> None:
    run = Run(rule())
    run.feed(0, 1600.0)
    shelved(run, 1 * H, 1 * M)
    run.feed(5 * M, 600.0)
    assert run.told == [Change.RAISED, Change.CLEARED]


def test_what_comes_and_goes_on_the_shelf_is_never_told() -> None:
    run = Run(rule())
    shelved(run, 1 * H, 0)
    run.series({1 * M: 1600.0, 5 * M: 600.0})
    run.tick(2 * H)
    assert run.told == []
    assert Change.RAISED in [change for _, change in run.changes]


def test_a_shelf_outlives_a_restart() -> None:
    run = Run(rule())
    run.feed(0, 1600.0)
    shelved(run, 1 * H, 1 * M)
    again = Run(rule(), states=run.engine.states(), start=2 * M)
    again.feed(3 * M, 1600.0)
    again.tick(1 * H)
    assert again.told == [Change.ANNOUNCED]


def test_what_came_on_the_shelf_and_is_still_there_at_its_end_is_told_once() -> None:
    run = Run(rule())
    shelved(run, 1 * H, 0)
    run.feed(1 * M, 1600.0)
    run.tick(1 * H)
    assert run.told == [Change.ANNOUNCED]


def test_taking_an_alarm_off_the_shelf_early_tells_it() -> None:
    run = Run(rule())
    shelved(run, 1 * H, 0)
    run.feed(1 * M, 1600.0)
    run.said += run.engine.unshelve("high", "r301", T0 + 2 * M)
    assert run.told == [Change.ANNOUNCED]


def test_life_safety_is_never_shelved_and_nothing_is_without_reason_or_end() -> None:
    first = Run(rule(alarm=P1, shelvable=False))
    run = Run(rule())
    for engine, reason, until in (
        (first.engine, "wegen", T0 + H),
        (run.engine, "  ", T0 + H),
        (run.engine, "why", T0),
        (run.engine, "why", T0 + 200 * 24 * H),
    ):
        with pytest.raises(NotShelvable):
            engine.shelve("high", "r301", "wang", reason, until, T0)


# out of service


def worked_on(run: Run, until: int, at: int, device: str = "env-301") -> None:
    """Somebody works on a device."""
    run.said += run.engine.out_of_service(device, "wang", "WO-17", T0 + until, T0 + at)


@pytest.mark.parametrize("alarm", [ALARM, P1])
def test_what_a_device_does_while_it_is_worked_on_calls_nobody_and_leaves_nothing_to_see(
    alarm: dict[str, Any],
) -> None:
    run = Run(rule(alarm=alarm, shelvable=False))
    worked_on(run, 4 * H, 0)
    run.feed(1 * M, 1600.0)
    assert run.state().is_raised and run.state().isa == "out_of_service" and run.state().hidden
    run.feed(5 * M, 600.0)
    run.tick(5 * H)
    assert run.told == []
    assert run.state().isa == "normal" and run.state().acked and run.state().oos_until is None


@pytest.mark.parametrize("alarm", [ALARM, P1])
def test_what_is_still_there_when_the_work_is_done_or_its_time_is_over_is_told(alarm: dict[str, Any]) -> None:
    early, late = Run(rule(alarm=alarm, shelvable=False)), Run(rule(alarm=alarm, shelvable=False))
    for run in (early, late):
        worked_on(run, 1 * H, 0)
        run.feed(1 * M, 1600.0)
    early.said += early.engine.into_service("env-301", T0 + 2 * M)
    late.tick(59 * M)
    assert late.told == []
    late.tick(1 * H)
    for run in (early, late):
        assert run.told == [Change.ANNOUNCED]
        assert run.state().isa == "unacknowledged"
        assert run.engine.outages() == []


def test_the_end_of_what_was_told_before_the_work_began_is_told() -> None:
    run = Run(rule())
    run.feed(0, 1600.0)
    worked_on(run, 1 * H, 1 * M)
    run.feed(5 * M, 600.0)
    assert run.told == [Change.RAISED, Change.CLEARED]


def test_work_outlives_a_restart_and_an_edited_rule() -> None:
    run = Run(rule())
    worked_on(run, 1 * H, 0)
    edited = Run(rule(for_="1m"), states=run.engine.states(), start=2 * M)
    assert edited.engine.outages() == [Outage("env-301", "WO-17", "wang", T0 + 1 * H)]
    edited.feed(3 * M, 1600.0)
    edited.tick(30 * M)
    assert edited.told == []
    edited.tick(1 * H)
    assert edited.told == [Change.ANNOUNCED]


def test_a_guard_unplugged_for_work_is_no_lost_supervision_and_others_are_heard() -> None:
    run = Bus(bus(), *BUS_RULES)
    run.poll(0, 5 * M)
    run.keep(run.engine.out_of_service("gas", "wang", "WO-18", T0 + 2 * H, T0 + 5 * M))
    run.poll(5 * M, 25 * M, dead=True)
    assert sorted(t[:2] for t in run.told) == [("guard", "button"), ("line-down", "bus-a")]


def test_an_order_an_end_and_a_watched_device_are_wanted() -> None:
    engine = Run(rule()).engine
    for worked, order, until in (
        ("env-301", "  ", T0 + H),
        ("env-301", "WO-1", T0),
        ("env-301", "WO-1", T0 + 31 * 24 * H),
        ("nobody", "WO-1", T0 + H),
    ):
        with pytest.raises(NotTakenOut):
            engine.out_of_service(worked, "wang", order, until, T0)
    assert engine.into_service("env-301", T0) == []


# chattering, alarming again, least time


def test_the_third_raise_in_a_minute_is_held_and_told_as_chattering_once() -> None:
    run = Run(rule())
    run.series({i * 10 * S: 1600.0 if i % 2 == 0 else 1000.0 for i in range(60)})
    raises = [t for t in run.said if t.change is Change.RAISED]
    assert len(raises) == 3 and raises[-1].state.chattering and raises[-1].notify
    assert run.state().condition in (Condition.ACTIVE, Condition.CLEARING)
    run.tick(60 * 10 * S + 9 * M)
    assert run.told[-1] is Change.RAISED
    run.feed(60 * 10 * S + 10 * M, 600.0)
    assert run.told[-1] is Change.CLEARED and not run.state().chattering


def test_six_raises_in_an_hour_chatter_too_and_a_restart_does_not_forget_them() -> None:
    first = Run(rule())
    first.series({i * 9 * M + late * M: 1000.0 if late else 1600.0 for i in range(5) for late in (0, 1)})
    assert not first.state().chattering
    again = Run(rule(), states=first.engine.states(), start=44 * M)
    again.feed(45 * M, 1600.0)
    assert again.state().chattering


def test_a_panic_button_never_chatters() -> None:
    run = Run(PANIC)
    for i in range(10):
        run.feed(i * 2 * S, i % 2 == 0, device="button-1", point="pressed")
    assert run.told == [Change.RAISED, Change.CLEARED] * 5


def test_an_acknowledged_alarm_that_stays_is_alarmed_again() -> None:
    run = Run(rule(realarm="2h", nodata={"after": "1d"}))
    run.feed(0, 1600.0)
    run.said += run.engine.acknowledge("high", "r301", "wang", "", T0 + 5 * M)
    run.tick(2 * H)
    assert run.told == [Change.RAISED]
    run.tick(2 * H + 5 * M)
    assert run.changes[-1] == (2 * H + 5 * M, Change.REALARMED) and run.told[-1] is Change.REALARMED
    assert run.state().isa == "unacknowledged"


def test_an_alarm_lasts_at_least_its_least_time() -> None:
    run = Run(rule(min_active="10m"))
    run.series({0: 1600.0, 1 * M: 600.0})
    assert run.state().condition is Condition.CLEARING
    run.tick(10 * M)
    assert run.changes[-1] == (10 * M, Change.CLEARED)


# floods


def crowd(count: int) -> SiteInfo:
    """Many rooms in two buildings."""
    buildings = [SpaceInfo(f"b{n}", f"楼{n}", "building") for n in (1, 2)]
    rooms = [SpaceInfo(f"r{n}", f"室{n}", "classroom", f"b{1 + n % 2}") for n in range(count)]
    devices = [device(f"e{n}", f"r{n}", "classroom_env", ("co2", "temperature")) for n in range(count)]
    return SiteInfo("shangde", "Asia/Shanghai", (*buildings, *rooms), tuple(devices))


def flood(engine: Engine, first: int, last: int, value: float = 1600.0) -> list[Transition]:
    """One room a second."""
    said = []
    for n in range(first, last):
        said += engine.evaluate([reading_of(n * S, value, f"e{n}")], T0 + n * S)
    return said


ROOMS: dict[str, Any] = {"scope": {"each": "classroom"}, "nodata": {"after": "1d"}}


def test_a_flood_is_told_in_one_digest_for_each_building_and_its_first_alarm_is_marked() -> None:
    engine = Engine([rule(**ROOMS)], crowd(100), None)
    said = engine.tick(T0) + flood(engine, 0, 100) + engine.tick(T0 + 10 * M)
    alone = [t for t in said if t.notify and t.change is Change.RAISED]
    digests = [t for t in said if t.notify and t.change is Change.DIGEST]
    assert len(alone) == 10
    assert sorted({t.group for t in digests}) == ["b1", "b2"]
    assert len(digests) == 4 and sum(t.count for t in digests) == 90
    assert [s.scope for s in engine.states() if s.first_out] == ["r0"]
    assert all(s.told for s in engine.states())


def test_the_end_of_a_digest_is_told_once_when_the_last_of_it_is_gone() -> None:
    engine = Engine([rule(**ROOMS)], crowd(31), None)
    engine.tick(T0)
    flood(engine, 0, 31)
    engine.tick(T0 + 5 * M)
    said = []
    for n in range(31):
        said += engine.evaluate([reading_of(6 * M + n * S, 600.0, f"e{n}")], T0 + 6 * M + n * S)
    assert len([t for t in said if t.change is Change.CLEARED]) == 31
    assert len([t for t in said if t.notify]) == 10 + 2


def test_in_a_flood_priority_one_and_two_are_told_alone() -> None:
    for prio, more in ((1, {"shelvable": False}), (2, {})):
        engine = Engine([rule(**ROOMS, **more, alarm={**ALARM, "prio": prio})], crowd(50), None)
        said = engine.tick(T0) + flood(engine, 0, 50)
        assert len([t for t in said if t.notify and t.change is Change.RAISED]) == 50


@pytest.mark.parametrize("cut", [5, 12, 30, 64, 90])
def test_a_flood_goes_on_over_a_restart_as_if_nothing_had_happened(cut: int) -> None:
    armed = rule(**ROOMS)
    steady = Engine([armed], crowd(100), None)
    expected = steady.tick(T0) + flood(steady, 0, 100) + steady.tick(T0 + 10 * M)
    broken = Engine([armed], crowd(100), None)
    said = broken.tick(T0) + flood(broken, 0, cut)
    states: list[AlarmState] = broken.states()
    broken = Engine([armed], crowd(100), None, states)
    said += broken.tick(T0 + (cut - 1) * S) + flood(broken, cut, 100) + broken.tick(T0 + 10 * M)
    assert [(t.at, t.change, t.state.scope, t.notify, t.count) for t in said] == [
        (t.at, t.change, t.state.scope, t.notify, t.count) for t in expected
    ]
