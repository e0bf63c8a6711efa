"""What must hold for any course of readings: against a plain model, across restarts, in any order."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.reading import Origin, Quality, Reading
from rules.alarm import Change, Condition, Transition
from rules.engine import Engine
from tests.rules.school import ALARM, SITE, T0, M, S, reading_of, rule

LONG = {"nodata": {"after": "7d"}}
VALUES = st.sampled_from([600.0, 1340.0, 1400.0, 1499.0, 1501.0, 1700.0])


class Step(NamedTuple):
    """What happens `after` seconds: a value, or only time."""

    after: int
    value: float | None
    device: str = "env-301"


COURSES = st.lists(st.builds(Step, st.integers(1, 200), st.none() | VALUES), min_size=1, max_size=40)
TIMINGS = st.tuples(st.sampled_from([0, 60, 240]), st.sampled_from([0, 60, 240]), st.booleans())


def timed(timing: tuple[int, int, bool], **more: Any) -> Any:
    """The rule of the small school with `for`, `clear_for` and `latch`."""
    seconds, clear_seconds, latch = timing
    return rule(for_=f"{seconds}s", clear_for=f"{clear_seconds}s", latch=latch, **{**LONG, **more})


class Plain:
    """The plainest engine for one leaf: every second it looks at everything."""

    def __init__(self, timing: tuple[int, int, bool]) -> None:
        self.wait, self.clear_wait, _ = timing
        self.condition = Condition.NORMAL
        self.since = 0
        self.truth: bool | None = None
        self.said: list[tuple[int, Change]] = []

    def value(self, now: int, value: float) -> None:
        """A value comes."""
        self.truth = value > (1350 if self.truth else 1500)
        if self.truth and self.condition is Condition.NORMAL:
            self._go(now, Condition.PENDING, Change.PENDED if self.wait else None)
        elif self.truth and self.condition is Condition.CLEARING:
            self._go(now, Condition.ACTIVE, Change.REASSERTED)
        elif not self.truth and self.condition is Condition.PENDING:
            self._go(now, Condition.NORMAL, Change.DROPPED)
        elif not self.truth and self.condition is Condition.ACTIVE:
            self._go(now, Condition.CLEARING, Change.CLEARING if self.clear_wait else None)

    def second(self, now: int) -> None:
        """A second is over."""
        if self.condition is Condition.PENDING and now >= self.since + self.wait:
            self._go(now, Condition.ACTIVE, Change.RAISED)
        elif self.condition is Condition.CLEARING and now >= self.since + self.clear_wait:
            self._go(now, Condition.NORMAL, Change.CLEARED)

    def _go(self, now: int, condition: Condition, change: Change | None) -> None:
        self.condition, self.since = condition, now
        if change is not None:
            self.said.append((now, change))


@given(COURSES, TIMINGS)
@settings(deadline=None)
def test_the_engine_does_what_the_plainest_model_does(
    course: list[Step], timing: tuple[int, int, bool]
) -> None:
    # of priority 1, since the plainest model knows nothing of chattering
    first = timed(timing, alarm={**ALARM, "prio": 1}, shelvable=False)
    engine, plain = Engine([first], SITE, None), Plain(timing)
    said, now = list(engine.tick(T0)), 0
    for step in course:
        for _ in range(step.after - 1):
            now += 1
            plain.second(now)
        now += 1
        if step.value is not None:
            said += engine.evaluate([reading_of(now * S, step.value)], T0 + now * S)
            plain.value(now, step.value)
        else:
            said += engine.tick(T0 + now * S)
        plain.second(now)
    changes = [((t.at - T0) // S, t.change) for t in said]
    assert changes == plain.said


TWO_LEAVES = {
    "any": [
        {"p": "co2", "agg": "avg", "over": "3m", "op": "gt", "val": 1500, "clear": 1350},
        {
            "all": [
                {"p": "co2", "op": "gt", "val": 1600},
                {"p": "co2", "agg": "max", "over": "2m", "op": "gt", "val": 1499},
            ]
        },
    ]
}
WHENS = st.sampled_from([None, TWO_LEAVES, {"not": {"p": "co2", "op": "lt", "val": 1500, "clear": 1600}}])


@given(COURSES, TIMINGS, WHENS, st.integers(0, 39))
@settings(deadline=None)
def test_an_engine_restored_at_any_point_goes_on_as_if_never_stopped(
    course: list[Step], timing: tuple[int, int, bool], when: dict[str, Any] | None, cut: int
) -> None:
    armed = timed(timing, **({"when": when} if when else {}))
    steady = Engine([armed], SITE, None)
    broken = Engine([armed], SITE, None)
    history: list[Reading] = []
    now = T0
    assert steady.tick(now) == broken.tick(now)
    for number, step in enumerate(course):
        now += step.after * S
        readings = [] if step.value is None else [reading_of(now - T0, step.value)]
        history += readings
        assert steady.evaluate(readings, now) == broken.evaluate(readings, now)
        if number == cut and history and now - history[-1].at <= 5 * M:
            states = broken.states()
            broken = Engine([armed], SITE, None, states)
            broken.warm(history, now)
    assert steady.states() == broken.states()


NOISE = st.lists(
    st.tuples(
        st.integers(0, 3_000),
        VALUES,
        st.sampled_from(list(Origin)),
        st.sampled_from([Quality.GOOD, Quality.GOOD, Quality.BAD]),
    ),
    max_size=60,
)


@given(NOISE, st.integers(0, 600))
@settings(deadline=None)
def test_no_order_of_readings_clears_an_alarm_without_its_clear_condition(
    noise: list[tuple[int, float, Origin, Quality]], clear_seconds: int
) -> None:
    engine = Engine([timed((0, clear_seconds, False))], SITE, None)
    said: list[Transition] = engine.tick(T0)
    below: list[int] = []
    now = 0
    for at, value, origin, quality in noise:
        now = max(now, at)
        said += engine.evaluate([reading_of(at * S, value, quality=quality, origin=origin)], T0 + now * S)
        if value <= 1350 and origin is Origin.LIVE and quality is Quality.GOOD:
            below.append(at)
    said += engine.tick(T0 + 24 * 60 * M)
    for transition in said:
        if transition.change is Change.CLEARED:
            at = (transition.at - T0) // S
            assert any(when <= at - clear_seconds for when in below)
    raised = [t for t in said if t.change is Change.RAISED]
    cleared = [t for t in said if t.change is Change.CLEARED]
    assert 0 <= len(raised) - len(cleared) <= 1
    assert len({t.state.occurrence for t in raised}) == len(raised)
    assert [t.notify for t in raised + cleared] == [True] * (len(raised) + len(cleared))


@given(COURSES, TIMINGS, st.lists(st.integers(1, 8_000), max_size=20))
@settings(deadline=None)
def test_when_the_engine_is_ticked_changes_nothing_but_when_it_is_told(
    course: list[Step], timing: tuple[int, int, bool], ticks: list[int]
) -> None:
    results = []
    for extra in ([], ticks):
        engine = Engine([timed(timing)], SITE, None)
        said = engine.tick(T0)
        moments: list[tuple[int, float | None]] = [(tick, None) for tick in extra]
        now = 0
        for step in course:
            now += step.after
            moments.append((now, step.value))
        end = max(at for at, _ in moments)
        for at, value in sorted(moments, key=lambda moment: moment[0]):
            readings = [] if value is None else [reading_of(at * S, value)]
            # a tick in the very second of a reading would see that second's end before the reading
            if value is None and any(at == other and v is not None for other, v in moments):
                continue
            said += engine.evaluate(readings, T0 + at * S)
        said += engine.tick(T0 + max(end, 9_000) * S)
        results.append([(t.at, t.change, t.state) for t in said])
    assert results[0] == results[1]


ACTS = st.lists(
    st.tuples(
        st.integers(1, 400),
        st.sampled_from(["high", "low", "parent", "alone", "shelve", "unshelve", "ack", "cut"]),
    ),
    max_size=40,
)


@given(ACTS)
@settings(deadline=None)
def test_whatever_lies_over_it_who_heard_of_an_alarm_hears_of_its_end_once_and_nobody_else_does(
    acts: list[tuple[int, str]],
) -> None:
    parent = rule(id="parent", when={"p": "occupied", "op": "eq", "val": True}, parent_of=["high"], **LONG)
    rules = (timed((0, 60, False), realarm="10m"), parent)
    engine = Engine(rules, SITE, None)
    said, now = engine.tick(T0), 0
    history: list[Reading] = []
    for after, act in [*acts, (1, "low"), (700, "low"), (5_000, "low")]:
        now += after * S
        values = {
            "high": ("co2", 1700.0),
            "low": ("co2", 600.0),
            "parent": ("occupied", True),
            "alone": ("occupied", False),
        }
        if act in values:
            point, value = values[act]
            history.append(reading_of(now, value, point=point))
            said += engine.evaluate(history[-1:], T0 + now)
        said += engine.tick(T0 + now)
        if act == "shelve":
            said += engine.shelve("high", "r301", "wang", "why", T0 + now + 300 * S, T0 + now)
        elif act == "unshelve":
            said += engine.unshelve("high", "r301", T0 + now)
        elif act == "ack":
            said += engine.acknowledge("high", "r301", "wang", "", T0 + now)
        elif act == "cut":
            engine = Engine(rules, SITE, None, engine.states())
            engine.warm(history, T0 + now)
            said += engine.tick(T0 + now)
    for occurrence in {t.state.occurrence for t in said if t.state.rule == "high" and t.state.occurrence}:
        own = [t for t in said if t.state.occurrence == occurrence]
        heard = [t.change for t in own if t.notify]
        assert Change.CLEARED in [t.change for t in own]
        assert heard.count(Change.CLEARED) == bool(set(heard) - {Change.CLEARED})
        assert not heard or heard[-1] is Change.CLEARED
