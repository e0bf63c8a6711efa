"""The arbiter alone: what must hold for any course of alarms, people and time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.reading import Value
from drivers.vocabulary import CommandSpec
from rules.action import Placed, WithActions
from rules.alarm import AlarmState, Change, Condition, Transition
from rules.arbitration import Arbiter, Standing
from rules.intent import FREE_PRIO, Act, ActKind
from rules.levers import Seen
from rules.plan import Equipment, Equipped, Target
from tests.rules.school import T0, H, M, S

OFF = CommandSpec(zh="关", en="Off", kinds=("air_conditioner",), point="on", value=False)
ON = CommandSpec(zh="开", en="On", kinds=("air_conditioner",), point="on", value=True)
SHIFT = CommandSpec(zh="调", en="Shift", kinds=("air_conditioner",), point="setpoint", shift="delta")
VERBS = {"ac.off": OFF, "ac.on": ON, "ac.setpoint_shift": SHIFT}
LAMP = Target("ac-301", "on")
DIAL = Target("ac-301", "setpoint")
ZONE = ZoneInfo("Asia/Shanghai")


def equipped(
    *do: dict[str, Any], steps: Any = (), stagger: int = 0, latch: bool = False, on: Target = LAMP
) -> Equipment:
    """What a rule does, on one point."""
    written = WithActions.model_validate({"do": do, "steps": steps})
    return Equipment("v1", tuple(_one(placed, on) for placed in written.actions), stagger, latch=latch)


def _one(placed: Placed, on: Target) -> Equipped:
    verb = VERBS[placed.action.cmd]
    return Equipped(placed, verb, (DIAL if verb is SHIFT else on,))


def auto(cmd: str = "ac.off", **more: Any) -> dict[str, Any]:
    """An automatic action."""
    return {"cmd": cmd, "mode": "auto", "verify": {"p": "on", "within": "10s"}, **more}


@dataclass
class World:
    """Points that obey at once, rules that raise and clear, and an arbiter over them."""

    equipment: dict[tuple[str, str], Equipment]
    points: dict[Target, Value | None] = field(default_factory=lambda: {LAMP: True, DIAL: 24.0})
    settings: Standing = field(default_factory=Standing)
    now: int = T0
    acts: list[Act] = field(default_factory=list)
    read_at: dict[Target, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.states: dict[str, AlarmState] = {}
        self.arbiter = Arbiter(self.equipment, ZONE, self._seen, self.settings)
        self.arbiter.begin(self.now, ())

    def _seen(self, device: str, point: str, at: int) -> Seen:
        target = Target(device, point)
        return Seen(self.points.get(target), self.read_at.get(target, at))

    def restart(self) -> None:
        """A new arbiter goes on with what the old one left."""
        left = replace(
            self.settings,
            plans=tuple(self.arbiter.plans.values()),
            levers=tuple(self.arbiter.levers.values()),
            armed=self.arbiter.armed,
        )
        self.arbiter = Arbiter(self.equipment, ZONE, self._seen, left)
        self.arbiter.begin(self.now, self.states.values())
        self._obey()

    def wait(self, ms: int) -> None:
        """Time passes, each due instant at its own time."""
        end = self.now + ms
        while (due := self.arbiter.next_due()) is not None and due <= end:
            self.now = max(self.now, due)
            self.arbiter.tick(due)
            self._obey()
        self.now = end

    def raises(self, rule: str, *, locks: tuple[str, ...] = (), latched: bool = False) -> None:
        """A rule's alarm is raised."""
        state = AlarmState(
            rule, "r301", Condition.ACTIVE, self.now, f"{rule}.r301.{self.now}", self.now,
            latched=latched, interlocks=locks,
        )  # fmt: skip
        self.states[rule] = state
        self._tell(Transition(Change.RAISED, state, self.now))

    def clears(self, rule: str) -> None:
        """It is back to normal."""
        state = replace(self.states[rule], condition=Condition.NORMAL)
        self.states[rule] = state
        self._tell(Transition(Change.CLEARED, state, self.now))

    def resets(self, rule: str) -> None:
        """A person lets the latch go."""
        state = replace(self.states[rule], latched=False)
        self.states[rule] = state
        self._tell(Transition(Change.RESET, state, self.now))

    def locks(self, rule: str, *names: str) -> None:
        """Other interlocks hold."""
        state = replace(self.states[rule], interlocks=names)
        self.states[rule] = state
        self._tell(Transition(Change.NOTED, state, self.now))

    def manual(self, value: Value, target: Target = LAMP) -> None:
        """A person tells a point something."""
        self.arbiter.manual(target.device, target.point, value, "guard", self.now)
        self.points[target] = value
        self._obey()

    def says(self, *kinds: ActKind) -> list[tuple[int, Value]]:
        """Seconds and values of the acts of some kinds, default: orders."""
        return [((a.at - T0) // S, a.value) for a in self.acts if a.kind in (kinds or (ActKind.ORDERED,))]

    def _tell(self, transition: Transition) -> None:
        self.arbiter.take(transition)
        self._obey()

    def _obey(self) -> None:
        for act in self.arbiter.drain():
            self.acts.append(act)
            if act.kind is ActKind.ORDERED:
                self.points[Target(act.intent.device, act.intent.point)] = act.value


def world(**rules: Equipment) -> World:
    """A world with these rules on room 301."""
    return World({(name, "r301"): one for name, one in rules.items()})


def test_an_action_is_ordered_once_and_taken_back_when_the_alarm_is_over() -> None:
    run = world(a=equipped(auto()))
    run.raises("a")
    run.wait(M)
    assert run.says() == [(0, False)]
    run.clears("a")
    assert run.says() == [(0, False), (60, True)]
    assert run.acts[-1].restores


def test_undo_never_leaves_the_point_as_it_is() -> None:
    run = world(a=equipped(auto(undo="never")))
    run.raises("a")
    run.clears("a")
    assert run.says() == [(0, False)]


def test_a_point_that_is_so_already_is_not_told_and_not_taken_back() -> None:
    run = world(a=equipped(auto()))
    run.points[LAMP] = False
    run.raises("a")
    run.clears("a")
    assert run.says() == []
    assert run.says(ActKind.SPARED) == [(0, False)]


def test_the_strongest_intent_holds_and_the_next_one_follows_it() -> None:
    run = world(a=equipped(auto(prio=13)), b=equipped(auto("ac.on", prio=8)))
    run.raises("a")
    run.wait(M)
    run.raises("b")
    run.wait(M)
    run.clears("b")
    run.wait(M)
    run.clears("a")
    assert run.says() == [(0, False), (60, True), (120, False), (180, True)]


def test_a_weaker_intent_waits_behind_a_stronger_one() -> None:
    run = world(a=equipped(auto("ac.on", prio=13)), b=equipped(auto(prio=8)))
    run.raises("b")
    run.raises("a")
    assert run.says() == [(0, False)]
    run.clears("b")
    assert run.says() == [(0, False), (0, True)]


def test_minimum_times_put_the_way_back_off() -> None:
    run = world(a=equipped(auto(min_off="5m")))
    run.raises("a")
    run.wait(M)
    run.clears("a")
    run.wait(10 * M)
    assert run.says() == [(0, False), (300, True)]


def test_up_to_priority_five_minimum_times_do_not_count() -> None:
    run = world(a=equipped(auto(min_off="5m")), b=equipped(auto("ac.on", prio=FREE_PRIO)))
    run.raises("a")
    run.wait(M)
    run.raises("b")
    assert run.says() == [(0, False), (60, True)]


def test_the_dead_man_ends_it_though_the_alarm_stands() -> None:
    run = world(a=equipped(auto("ac.on", max_on="3m", undo="on_reset"), latch=True))
    run.points[LAMP] = None
    run.raises("a", latched=True)
    run.wait(10 * M)
    assert run.says() == [(0, True), (180, False)]
    run.clears("a")
    run.resets("a")
    assert run.says() == [(0, True), (180, False)]


def test_undo_on_reset_waits_for_the_reset() -> None:
    run = world(a=equipped(auto("ac.on", undo="on_reset"), latch=True))
    run.points[LAMP] = False
    run.raises("a", latched=True)
    run.wait(M)
    run.clears("a")
    run.wait(M)
    run.restart()
    assert run.says() == [(0, True)]
    run.resets("a")
    assert run.says() == [(0, True), (120, False)]


def test_undo_after_a_time_comes_whatever_becomes_of_the_alarm() -> None:
    run = world(a=equipped(auto(undo={"after": "2m"})))
    run.raises("a")
    run.wait(M)
    run.clears("a")
    run.wait(5 * M)
    assert run.says() == [(0, False), (120, True)]


def test_a_person_wins_for_an_hour_and_then_the_rule_has_its_way_again() -> None:
    run = world(a=equipped(auto()))
    run.raises("a")
    run.wait(M)
    run.manual(value=True)
    run.wait(2 * H)
    assert run.says() == [(0, False), (60 + 3600, False)]
    run.clears("a")
    assert run.says()[-1] == (60 + 7200, True)  # what the person wanted, not what was there before


def test_an_action_unless_manual_override_is_not_taken_up_at_all_while_a_person_holds_the_point() -> None:
    run = world(a=equipped(auto(unless=["manual_override"])))
    run.manual(value=True)
    run.raises("a")
    run.wait(2 * H)
    assert run.says() == []
    assert run.says(ActKind.BLOCKED) == [(0, False)]


def test_an_interlock_forbids_and_lets_go() -> None:
    run = world(a=equipped(auto(unless=["fire"])))
    run.raises("a", locks=("fire",))
    run.wait(M)
    assert run.says() == []
    run.locks("a")
    assert run.says() == [(60, False)]
    run.wait(M)
    run.locks("a", "fire")
    assert run.says() == [(60, False), (120, True)]
    run.locks("a")
    run.wait(M)
    assert run.says() == [(60, False), (120, True)]  # an action of an occurrence is taken up once


def test_steps_come_in_turn_and_go_back_in_reverse_one_by_one() -> None:
    steps = [
        {"at": "0s", "do": auto("ac.setpoint_shift", args={"delta": 2})},
        {"at": "3m", "do": auto("ac.off")},
    ]
    run = world(a=equipped(steps=steps, stagger=60 * S))
    run.raises("a")
    run.wait(5 * M)
    assert run.says() == [(0, 26.0), (180, False)]
    run.clears("a")
    run.wait(5 * M)
    assert run.says()[2:] == [(300, True), (360, 24.0)]


def test_steps_whose_time_has_not_come_are_dropped_with_the_alarm() -> None:
    run = world(a=equipped(steps=[{"at": "3m", "do": auto("ac.off")}]))
    run.raises("a")
    run.wait(M)
    run.clears("a")
    run.wait(H)
    assert run.says() == []


def test_a_shift_starts_from_what_was_there_before_any_rule() -> None:
    run = world(
        a=equipped(auto("ac.setpoint_shift", args={"delta": 2})),
        b=equipped(auto("ac.setpoint_shift", args={"delta": 1}, prio=10)),
    )
    run.raises("a")
    run.raises("b")
    run.clears("a")
    run.clears("b")
    assert [value for _, value in run.says()] == [26.0, 25.0, 24.0]


def test_a_shift_from_an_unknown_value_is_refused() -> None:
    run = world(a=equipped(auto("ac.setpoint_shift", args={"delta": 2})))
    run.points[DIAL] = None
    run.raises("a")
    assert run.says() == []
    assert [act.kind for act in run.acts] == [ActKind.REFUSED]


def test_at_most_so_often_a_day_by_the_local_calendar() -> None:
    run = world(a=equipped(auto(max_per_day=2, undo="never")))
    for _ in range(4):
        run.points[LAMP] = True
        run.raises("a")
        run.wait(M)
        run.clears("a")
        run.wait(M)
    assert len(run.says()) == 2
    assert len(run.says(ActKind.REFUSED)) == 2
    run.wait(16 * H)  # 08:00 in Shanghai at T0, so another day
    run.points[LAMP] = True
    run.raises("a")
    assert len(run.says()) == 3


def test_advice_is_said_and_nothing_is_moved() -> None:
    run = world(a=equipped({"cmd": "ac.off", "mode": "advise"}))
    run.raises("a")
    assert run.says() == []
    assert run.says(ActKind.ADVISED) == [(0, False)]


def test_a_proposal_waits_for_a_person_and_then_holds_like_any_intent() -> None:
    run = world(a=equipped({"cmd": "ac.off", "mode": "confirm"}))
    run.raises("a")
    (proposal,) = run.acts
    assert proposal.kind is ActKind.PROPOSED
    assert not run.arbiter.confirm("nothing", "wang", run.now)
    assert run.arbiter.confirm(proposal.intent.id, "wang", run.now)
    run._obey()
    assert run.says() == [(0, False)]
    assert run.acts[-1].intent.person == "wang"
    assert not run.arbiter.confirm(proposal.intent.id, "wang", run.now)
    run.clears("a")
    assert run.says() == [(0, False), (0, True)]


def test_a_proposal_expires_with_its_time_and_with_its_alarm() -> None:
    run = world(a=equipped({"cmd": "ac.off", "mode": "confirm"}))
    run.raises("a")
    run.wait(H)
    assert run.says(ActKind.EXPIRED) == [(900, False)]
    run.clears("a")
    run.raises("a")
    run.clears("a")
    assert len(run.says(ActKind.EXPIRED)) == 2
    assert run.says() == []


def test_a_person_may_say_no() -> None:
    run = world(a=equipped({"cmd": "ac.off", "mode": "confirm"}))
    run.raises("a")
    assert run.arbiter.reject(run.acts[0].intent.id, run.now)
    run.wait(H)
    assert run.says() == []


def test_in_shadow_it_says_what_it_would_do_and_moves_nothing() -> None:
    run = World({("a", "r301"): equipped(auto(min_off="5m"))}, settings=Standing(armed=frozenset()))
    run.raises("a")
    run.wait(M)
    run.clears("a")
    run.wait(10 * M)
    assert run.says() == []
    assert run.says(ActKind.SHADOWED) == [(0, False), (300, True)]


def test_a_disarmed_rule_lets_go_of_what_it_held() -> None:
    run = world(a=equipped(auto()))
    run.raises("a")
    run.arbiter.stand_down("a", run.now)
    run._obey()
    assert run.says() == [(0, False), (0, True)]


def test_an_edited_rule_does_what_it_says_now_only_from_the_next_alarm_on() -> None:
    run = world(a=equipped(steps=[{"at": "3m", "do": auto("ac.off")}]))
    run.raises("a")
    run.equipment["a", "r301"] = run.equipment["a", "r301"]._replace(meaning="v2")
    run.restart()
    run.wait(H)
    assert run.says() == []


def test_an_alarm_that_was_over_while_the_gateway_was_down_is_undone_once() -> None:
    run = world(a=equipped(auto()))
    run.raises("a")
    run.wait(M)
    run.states["a"] = replace(run.states["a"], condition=Condition.NORMAL)
    run.restart()
    run.restart()
    assert run.says() == [(0, False), (60, True)]


def test_what_was_ordered_counts_until_a_newer_reading_comes() -> None:
    run = world(a=equipped(auto()))
    run.read_at[LAMP] = T0 - M
    run.raises("a")
    run.wait(S)
    run.clears("a")
    run.points[LAMP] = False  # as last read, long before
    run.wait(S)
    run.raises("a")
    run.wait(S)
    run.clears("a")
    assert [value for _, value in run.says()] == [False, True, False, True]


def test_a_clock_that_is_set_back_moves_all_times() -> None:
    run = world(a=equipped(auto("ac.on", max_on="3m")))
    run.points[LAMP] = False
    run.raises("a")
    run.wait(M)
    run.arbiter.shift(-H)
    run.now -= H
    run.wait(10 * M)
    assert run.says() == [(0, True), (180 - 3600, False)]


# -- for any course

EVENTS = st.one_of(
    st.tuples(st.just("raise"), st.sampled_from("abc")),
    st.tuples(st.just("clear"), st.sampled_from("abc")),
    st.tuples(st.just("wait"), st.integers(1, 900)),
    st.tuples(st.just("manual"), st.booleans()),
    st.tuples(st.just("restart"), st.just(0)),
)
COURSES = st.lists(EVENTS, max_size=40)
PULSES = st.lists(st.tuples(st.sampled_from("aaabc"), st.integers(0, 300), st.integers(0, 300)), max_size=12)
"""Alarms that come, stay and pause for so many seconds; nobody touches anything."""
LIMITS = 3


def busy() -> World:
    """Three rules that want one point on and off, with all limits there are."""
    return world(
        a=equipped(auto(prio=13, min_off="2m", min_on="1m", max_per_day=LIMITS)),
        b=equipped(auto("ac.on", prio=10, min_on="3m", undo={"after": "4m"})),
        c=equipped(auto(prio=4, max_on="5m", undo="never")),
    )


def play(run: World, course: list[tuple[str, Any]], *, restarts: bool = True) -> list[tuple[int, bool]]:
    """Plays a course; when people told the point something, and what."""
    told: list[tuple[int, bool]] = []
    for what, arg in course:
        if what == "wait":
            run.wait(arg * S)
            continue
        raised = arg in run.states and run.states[arg].is_raised
        if what == "raise" and not raised:
            run.raises(arg)
        elif what == "clear" and raised:
            run.clears(arg)
        elif what == "manual":
            told.append((run.now, arg))
            run.manual(arg)
        elif what == "restart" and restarts:
            run.restart()
        run.wait(1)
    return told


@given(COURSES)
@settings(deadline=None)
def test_a_person_always_wins_while_the_lease_runs(course: list[tuple[str, Any]]) -> None:
    run = busy()
    told = play(run, course)
    for at, _ in told:
        assert not [a for a in run.acts if a.kind is ActKind.ORDERED and at < a.at < at + H]


def pulses(course: list[tuple[str, int, int]]) -> list[tuple[str, Any]]:
    """The events of such alarms; every other one overlaps with the next."""
    events: list[tuple[str, Any]] = []
    for number, (rule, stays, pauses) in enumerate(course):
        events += [("raise", rule), ("wait", stays)]
        events += [("clear", rule)] if number % 2 == 0 else []
        events += [("wait", pauses), ("restart", 0)]
    return events


@given(COURSES | PULSES.map(pulses))
@settings(deadline=None)
def test_limits_hold_and_no_decision_has_the_name_of_another(course: list[tuple[str, Any]]) -> None:
    run = busy()
    told = [at for at, _ in play(run, course)]
    orders = [act for act in run.acts if act.kind is ActKind.ORDERED]
    assert len({act.key for act in orders}) == len(orders)
    assert len({act.at for act in orders}) == len(orders)  # never two values at once
    for before, after in pairwise(orders):
        assert before.value != after.value or any(before.at <= at <= after.at for at in told)
        held = before.intent.min_on_ms if before.value else before.intent.min_off_ms
        if after.intent.prio > FREE_PRIO:
            assert after.at - before.at >= held
    mine = [act for act in orders if act.intent.rule == "a" and not act.restores]
    assert len(mine) <= LIMITS


@given(COURSES | PULSES.map(pulses))
@settings(deadline=None)
def test_the_point_holds_what_the_strongest_wants_and_in_the_end_what_was_found(
    course: list[tuple[str, Any]],
) -> None:
    run = busy()
    course = [one for one in course if one[0] != "manual"]
    play(run, course)
    for lever in run.arbiter.levers.values():
        if lever.standing and run.now >= lever.held_until:
            assert run.points[LAMP] == lever.standing[0].value
    for name in "abc":
        if name in run.states and run.states[name].is_raised:
            run.clears(name)
    run.wait(H)
    assert all(not lever.standing and lever.leaving is None for lever in run.arbiter.levers.values())
    assert not run.arbiter.plans
    if not any(what == "raise" and arg == "c" for what, arg in course):  # its undo is never
        assert run.points[LAMP] is True


@given(COURSES | PULSES.map(pulses))
@settings(deadline=None)
def test_a_restart_changes_nothing(course: list[tuple[str, Any]]) -> None:
    broken, steady = busy(), busy()
    play(broken, course)
    play(steady, course, restarts=False)
    assert broken.acts == steady.acts
    assert broken.points == steady.points


@pytest.mark.parametrize("cut", [1, 7, 60, 400])
def test_time_may_be_cut_in_any_way(cut: int) -> None:
    whole, parts = busy(), busy()
    for run in (whole, parts):
        run.raises("a")
        run.raises("b")
    whole.wait(1200 * S)
    for _ in range(1200 // cut):
        parts.wait(cut * S)
    assert [a.key for a in whole.acts] == [a.key for a in parts.acts]
