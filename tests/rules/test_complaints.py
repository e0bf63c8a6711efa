"""What users of other systems complain about, each as a test that a naive engine fails."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from drivers.reading import Origin
from rules.alarm import Change, Condition
from rules.engine import Engine
from rules.rehearsal import rehearse
from rules.timetable import Calendar
from tests.rules.school import SITE, T0, H, M, Run, S, device, reading_of, rule

LEFT_OPEN = {"p": "contact.open", "op": "eq", "val": True, "pick": "any"}


def at(text: str) -> int:
    """Milliseconds since T0 of a UTC time."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000) - T0


# (a) flapping


def test_a_value_that_wavers_around_the_threshold_raises_once() -> None:
    run = Run(rule(clear_for="2m"))
    run.series({i * 30 * S: 1510.0 if i % 2 else 1490.0 for i in range(100)})
    assert [change for _, change in run.changes] == [Change.RAISED]


def test_a_spike_shorter_than_for_is_never_told() -> None:
    run = Run(rule(for_="5m"))
    run.series({i * 30 * S: 3000.0 if i % 10 == 5 else 600.0 for i in range(100)})
    run.tick(60 * M)
    assert run.told == []


# (b) no data


def test_a_sensor_that_dies_in_an_alarm_keeps_that_alarm_as_stale_and_opens_no_second() -> None:
    run = Run(rule(nodata={"after": "15m", "then": "hold", "max": "30m"}))
    run.feed(0, 1600.0)
    for minute in range(1, 120):
        run.feed(minute * M, None)
    assert run.changes == [(0, Change.RAISED), (45 * M, Change.QUALITY)]
    assert run.state().condition is Condition.ACTIVE and run.state().stale


def test_a_sensor_that_dies_while_normal_does_not_pass_for_normal() -> None:
    run = Run(rule())
    run.feed(0, 800.0)
    run.tick(2 * H)
    assert run.state().stale
    run.feed(2 * H, 800.0)
    assert not run.state().stale
    assert run.told == []


def test_an_alarm_that_is_clearing_does_not_clear_while_nothing_is_known() -> None:
    run = Run(rule(clear_for="10m", nodata={"after": "5m", "then": "hold", "max": "0s"}))
    run.series({0: 1600.0, 1 * M: 1000.0})
    run.tick(3 * H)
    assert run.state().condition is Condition.CLEARING and run.state().stale
    run.series({3 * H: 1000.0, 3 * H + 4 * M: 1000.0, 3 * H + 8 * M: 1000.0, 3 * H + 10 * M: 1000.0})
    assert run.said[-1].change is Change.CLEARED
    assert run.said[-1].at - T0 == 3 * H + 10 * M


def test_a_bad_reading_is_neither_the_old_value_nor_zero() -> None:
    run = Run(rule(for_="2m", when={"p": "temperature", "op": "lt", "val": 5}))
    run.feed(0, 21.0, point="temperature")
    for minute in range(1, 10):
        run.feed(minute * M, None, point="temperature")
    assert run.said == []
    assert run.engine.counts.bad == 9


# (c) restart


def test_a_running_for_survives_a_restart_with_a_small_gap() -> None:
    first = Run(rule(for_="5m"))
    first.feed(0, 1600.0)
    second = Run(rule(for_="5m"), states=first.engine.states(), start=3 * M)
    second.feed(4 * M, 1600.0)
    second.tick(5 * M)
    assert second.changes == [(5 * M, Change.RAISED)]


def test_a_running_for_restarts_after_a_long_gap() -> None:
    first = Run(rule(for_="5m"))
    first.feed(0, 1600.0)
    second = Run(rule(for_="5m"), states=first.engine.states(), start=60 * M)
    assert second.tick(61 * M) == []
    second.feed(62 * M, 1600.0)
    second.tick(67 * M)
    assert second.changes == [(62 * M, Change.PENDED), (67 * M, Change.RAISED)]


def test_a_restart_raises_nothing_again_and_clears_what_cleared_meanwhile_once() -> None:
    first = Run(rule(clear_for="1m"))
    first.feed(0, 1600.0)
    second = Run(rule(clear_for="1m"), states=first.engine.states(), start=10 * M)
    second.feed(11 * M, 1400.0)
    assert second.said == []
    second.series({12 * M: 1000.0, 13 * M: 1000.0, 14 * M: 1000.0})
    assert second.told == [Change.CLEARED]
    assert second.said[-1].state.occurrence == first.said[0].state.occurrence


def test_a_restart_after_an_hour_finds_no_device_silent_until_it_really_is() -> None:
    silent = rule(scope={"each": "classroom_env"}, when={"p": "co2", "agg": "absent", "over": "5m"})
    dead = rule(id="dead", nodata={"after": "2m", "then": "raise"})
    first = Run(silent, dead)
    history = [first.feed(minute * M, 700.0) for minute in range(5)]
    assert not any(history)
    second = Run(silent, dead, states=first.engine.states(), start=64 * M)
    second.feed(65 * M, 700.0)
    second.feed(65 * M, 700.0, device="env-302")
    assert second.said == []
    second.tick(70 * M)
    assert sorted(second.changes)[-1] == (70 * M, Change.RAISED)


# (d) replayed, backfilled, retained


def test_a_retained_message_shows_but_does_not_raise_until_a_live_one_says_the_same() -> None:
    run = Run(rule())
    run.feed(0, 1600.0, origin=Origin.RETAINED)
    run.tick(10 * M)
    assert run.said == []
    explained = run.engine.explain("high", "r301")
    assert explained.truth is True and explained.awaiting == "data"
    run.feed(11 * M, 1600.0)
    assert run.changes == [(11 * M, Change.RAISED)]


def test_a_retained_message_does_not_clear_either() -> None:
    run = Run(rule())
    run.feed(0, 1600.0)
    run.feed(1 * M, 600.0, origin=Origin.RETAINED)
    run.tick(5 * M)
    assert run.told == [Change.RAISED]
    run.feed(6 * M, 600.0)
    assert run.told == [Change.RAISED, Change.CLEARED]


def test_a_retained_state_counts_beside_a_live_reading() -> None:
    both = {"all": [{"p": "air_conditioner.active_power", "op": "gt", "val": 0.1}, LEFT_OPEN]}
    run = Run(rule(when=both))
    run.feed(0, True, device="win-1", point="open", origin=Origin.RETAINED)
    run.feed(0, False, device="win-2", point="open", origin=Origin.RETAINED)
    assert run.said == []
    run.feed(1 * M, 1.5, device="ac-301", point="active_power")
    assert run.changes == [(1 * M, Change.RAISED)]


def test_backfilled_and_late_readings_are_counted_and_change_nothing() -> None:
    run = Run(rule())
    run.feed(10 * M, 700.0)
    run.feed(2 * M, 1600.0, now=11 * M)
    run.feed(12 * M, 1600.0, origin=Origin.BACKFILL)
    run.feed(10 * M, 700.0, now=13 * M)
    assert run.told == []
    assert (run.engine.counts.late, run.engine.counts.backfill) == (2, 1)


def test_a_reading_from_the_future_does_not_silence_its_point() -> None:
    run = Run(rule())
    run.feed(100 * H, 700.0, now=0)
    run.feed(1 * M, 1600.0)
    assert run.told == [Change.RAISED]
    assert run.engine.counts.future == 1


# (f) holidays, make-up workdays, summer time

LESSONS = {"cal": "school", "between": ["07:30", "18:00"]}
YEAR = Calendar.model_validate(
    {
        "days": [
            {"first": "2026-10-01", "last": "2026-10-07", "type": "rest", "name": "国庆节"},
            {"first": "2026-10-10", "last": "2026-10-10", "type": "school", "follows": "wed"},
        ]
    }
)


def test_a_rule_of_school_hours_sleeps_on_a_holiday_and_works_on_a_make_up_saturday() -> None:
    holiday, saturday = at("2026-10-01T02:00"), at("2026-10-10T02:00")
    for start, expected in ((holiday, []), (saturday, [Change.RAISED])):
        run = Run(rule(active=LESSONS), calendar=YEAR, start=start)
        run.feed(start + M, 1600.0)
        assert run.told == expected


def test_the_end_of_the_active_time_clears_an_alarm_by_itself_and_the_next_morning_may_raise_anew() -> None:
    run = Run(rule(active=LESSONS), start=0)
    run.feed(0, 1600.0)
    run.tick(12 * H)
    assert run.changes[-1] == (10 * H, Change.CLEARED)
    assert run.told == [Change.RAISED, Change.CLEARED]
    run.feed(20 * H, 1600.0)
    run.feed(23 * H + 20 * M, 1600.0)
    run.tick(23 * H + 40 * M)
    assert run.changes[-1] == (23 * H + 30 * M, Change.RAISED)


def test_a_night_rule_follows_the_clock_over_both_changes_of_summer_time() -> None:
    london = replace(SITE, timezone="Europe/London")
    night = {"between": ["00:30", "05:00"]}
    for midnight, ends in (
        ("2026-03-29T00:00", "2026-03-29T04:00"),
        ("2026-10-24T23:00", "2026-10-25T05:00"),
    ):
        start = at(midnight)
        run = Run(rule(active=night, nodata={"after": "1d"}), site=london, start=start)
        run.feed(start + M, 1600.0)
        run.tick(start + 12 * H)
        raised, cleared = run.changes
        assert raised == (start + 30 * M, Change.RAISED)
        assert cleared == (at(ends), Change.CLEARED)


def test_a_retained_state_does_not_raise_when_the_active_time_begins() -> None:
    run = Run(rule(active=LESSONS), start=-2 * H)
    run.feed(-1 * H, 1600.0, origin=Origin.RETAINED)
    run.tick(0)
    assert run.told == []
    run.feed(1 * M, 1600.0)
    assert run.told == [Change.RAISED]


def test_stored_history_from_before_a_long_stop_makes_nothing_silent() -> None:
    dead = rule(nodata={"after": "2m", "then": "raise"})
    silent = rule(id="silent", when={"p": "co2", "agg": "absent", "over": "5m"})
    engine = Engine([dead, silent], SITE, None)
    engine.warm([reading_of(0, 700.0)], T0 + 2 * H)
    assert engine.tick(T0 + 2 * H + 1 * M) == []
    told = [t.state.rule for t in engine.tick(T0 + 2 * H + 6 * M) if t.notify]
    assert told == ["high", "silent"]


# (e) a dead bus


def test_a_dead_bus_is_one_alarm_and_one_push_whatever_hangs_on_it() -> None:
    devices = tuple(
        device(f"d{n}", "r301", "classroom_env", ("co2",), every=30 * S, line="bus-a") for n in range(60)
    )
    offline = {"p": "online", "op": "eq", "val": False}
    down = rule(
        id="down", scope={"each": "line"}, for_="30s", parent_of=["silent"],
        when={"across": {"each": "device", "agg": "share", "of": offline}, "op": "ge", "val": 0.8},
    )  # fmt: skip
    silent = rule(id="silent", scope={"each": "device"}, when={"p": "*", "agg": "absent"})
    run = Run(down, silent, site=replace(SITE, devices=devices))
    for at in range(0, 30 * M, 30 * S):
        for n in range(60):
            run.feed(at + n * 50, 600.0 if at < 5 * M else None, device=f"d{n}")
    assert run.told == [Change.RAISED]
    assert sum(state.is_raised for state in run.engine.states()) == 61


# (h) trying a rule on the past


def test_a_rule_is_tried_on_the_past_by_the_same_engine_and_nobody_is_told() -> None:
    past = [reading_of(n * M, 1600.0 if 20 <= n < 50 else 600.0) for n in range(90)]
    run = Run(rule(for_="5m"))
    for reading in past:
        run.said += run.engine.evaluate([reading], reading.at)
    found = rehearse([rule(for_="5m")], SITE, None, past, T0, T0 + 90 * M)
    (raised, cleared) = [t for t in run.said if t.notify]
    (one,) = found.occurrences
    assert (one.raised_at, one.cleared_at) == (raised.at, cleared.at) == (T0 + 25 * M, T0 + 50 * M)


# (i) one rule for all rooms


def test_one_rule_watches_every_room_and_says_which_it_cannot() -> None:
    run = Run(rule(scope={"each": "room"}))
    (coverage,) = run.engine.coverage()
    assert coverage.bound == ("r301", "r302")
    assert [(gap.scope, gap.missing) for gap in coverage.unbound] == [("kitchen", ("co2",))]


# (j) the end is never swallowed


def test_the_end_is_told_though_the_alarm_was_shelved_or_its_parent_came_meanwhile() -> None:
    shelved = Run(rule())
    shelved.feed(0, 1600.0)
    shelved.engine.shelve("high", "r301", "wang", "探头在换", T0 + 5 * H, T0 + 1 * M)
    shelved.feed(2 * M, 600.0)
    assert shelved.told == [Change.RAISED, Change.CLEARED]
    parent = rule(id="parent", when={"p": "occupied", "op": "eq", "val": True}, parent_of=["high"])
    hidden = Run(rule(), parent)
    hidden.feed(0, 1600.0)
    hidden.tick(1 * M)
    hidden.feed(2 * M, True, point="occupied")
    hidden.feed(3 * M, 600.0)
    assert [(t.state.rule, t.change) for t in hidden.said if t.notify] == [
        ("high", Change.ANNOUNCED),
        ("parent", Change.RAISED),
        ("high", Change.CLEARED),
    ]
