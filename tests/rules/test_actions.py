"""What rules do, from the words in the file to decisions about points; the engine does the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drivers.reading import Origin, Quality, Reading, Value
from edge.config.library import read_vocabulary
from rules.action_check import check_together
from rules.alarm import Change
from rules.arbitration import Standing
from rules.check import check_rule
from rules.engine import Engine
from rules.intent import Act, ActKind
from rules.proving import prove
from rules.rulebook import Rule, RuleError, parse_rules
from rules.site import SiteInfo, SpaceInfo
from tests.rules import school
from tests.rules.school import ALARM, T0, H, M, S, device, raw, reading_of

VOCABULARY, _ = read_vocabulary(Path(__file__).parents[2] / "configs" / "vocabulary.yaml")
assert VOCABULARY is not None
UNITS = {name: spec.unit for name, spec in VOCABULARY.points.items()}
KINDS = frozenset(VOCABULARY.space_kinds)
VERBS = VOCABULARY.commands


def told(name: str, space: str, kind: str, *points: str, writes: str = "on") -> Any:
    """A device that takes values."""
    made = device(name, space, kind, ())
    return replace(made, points={p: UNITS[p] for p in points}, writable=frozenset(writes.split()))


SPACES = (
    *school.SPACES,
    SpaceInfo("office-1", "办公室", "office", "b1", {"offices": True}),
    SpaceInfo("clinic-1", "医务室", "classroom", "b1", {"clinic": True}),
)
DEVICES = (
    *(one for one in school.DEVICES if one.id != "ac-301"),
    told("ac-301", "r301", "air_conditioner", "on", "active_power", "setpoint", writes="on setpoint"),
    told("ac-office", "office-1", "air_conditioner", "on", "setpoint", writes="on setpoint"),
    told("lamp-301", "r301", "lighting", "on"),
    told("lamp-clinic", "clinic-1", "lighting", "on"),
    told("fan-301", "r301", "ventilation", "on"),
    told("siren-b1", "b1", "siren", "on"),
    told("valve-k", "kitchen", "gas_valve", "valve_open", writes="valve_open"),
    told("fire", "b1", "smoke_detector", "smoke", writes=""),
)
SITE = SiteInfo(
    "shangde", "Asia/Shanghai", SPACES, DEVICES,
    frozenset({"building", "classroom", "kitchen", "office"}), frozenset(VOCABULARY.device_kinds),
    verbs=VERBS,
)  # fmt: skip

AC_OFF = {
    "cmd": "ac.off", "to": "room", "mode": "auto", "undo": "never",
    "verify": {"p": "air_conditioner.active_power", "op": "lt", "val": 0.06, "within": "90s"},
}  # fmt: skip
FRESH = {
    "cmd": "fresh_air.on", "to": "room", "mode": "auto", "min_on": "10m",
    "verify": {"p": "ventilation.on", "within": "60s"},
}  # fmt: skip
LIGHT_OFF = {
    "cmd": "light.off", "to": "room", "mode": "auto", "undo": "never",
    "verify": {"p": "on", "op": "eq", "val": False, "within": "30s"},
}  # fmt: skip


def rule(**given: Any) -> Rule:
    """CO2 above 1500 in room 301, changed by what is given."""
    (found,) = parse_rules(raw(**given))
    return found


class Run:
    """An engine over the school, and what its rules decided; times in milliseconds since T0."""

    def __init__(self, *rules: Rule, acting: Standing | None = None, **more: Any) -> None:
        self.rules, self.engine = rules, Engine(rules, SITE, None, acting=acting, **more)
        self.engine.tick(T0)
        self.acts: list[Act] = []

    def feed(
        self, at: int, value: Value, *, device: str = "env-301", point: str = "co2", **more: Any
    ) -> None:
        """One reading."""
        origin = more.get("origin", Origin.LIVE)
        reading = Reading(device, point, value, UNITS[point], T0 + at, T0 + at, Quality.GOOD, "", origin)
        self.said = self.engine.evaluate([reading], T0 + at)
        self.acts += self.engine.hands.arbiter.drain()

    def tick(self, at: int) -> None:
        """Time passes."""
        self.said = self.engine.tick(T0 + at)
        self.acts += self.engine.hands.arbiter.drain()

    def told(self, kind: ActKind = ActKind.ORDERED) -> list[tuple[int, str, Value]]:
        """Seconds, device and value of all orders."""
        return [((a.at - T0) // S, a.intent.device, a.value) for a in self.acts if a.kind is kind]


def faults(*, of: SiteInfo = SITE, **given: Any) -> dict[tuple[Any, ...], str]:
    """The faults of a rule at the school."""
    return {fault.path: fault.message for fault in check_rule(rule(**given), UNITS, of)}


# -- at work


def test_an_alarm_acts_at_its_own_time_and_takes_it_back_when_it_clears() -> None:
    run = Run(rule(for_="5m", do=[FRESH]))
    run.feed(0, False, device="fan-301", point="on")
    for minute in range(8):
        run.feed(minute * M, 1600.0)
    assert run.told() == [(300, "fan-301", True)]
    run.feed(9 * M, True, device="fan-301", point="on")
    run.feed(9 * M, 1000.0)
    run.tick(H)
    assert run.told() == [(300, "fan-301", True), (900, "fan-301", False)]  # min_on: ten minutes


@pytest.mark.parametrize(
    ("to", "found"),
    [
        ("scope", ["ac-301"]),
        ("room", ["ac-301"]),
        ("building", ["ac-301", "ac-office"]),
        ("zone", ["ac-301", "ac-office"]),
        ("site", ["ac-301", "ac-office"]),
        ("group:offices", ["ac-office"]),
        ("air_conditioner", ["ac-301"]),
    ],
)
def test_a_command_goes_where_to_says(to: str, found: list[str]) -> None:
    run = Run(rule(do=[{**AC_OFF, "to": to}]))
    run.feed(0, 1600.0)
    assert [name for _, name, _ in run.told()] == found


def test_a_device_scope_tells_itself_and_the_room_around_it() -> None:
    run = Run(
        rule(
            scope={"each": "air_conditioner", "where": {"has": ["active_power"]}},
            when={"p": "active_power", "op": "gt", "val": 1},
            do=[{**AC_OFF, "to": "scope"}, {**LIGHT_OFF, "to": "room"}],
        )
    )
    run.feed(0, 2.0, device="ac-301", point="active_power")
    assert [name for _, name, _ in run.told()] == ["ac-301", "lamp-301"]


def test_a_room_with_a_mark_is_left_alone() -> None:
    dark = rule(
        id="dark", scope={"each": "classroom", "where": {"has": ["lighting.on"]}},
        when={"p": "lighting.on", "op": "eq", "val": True},
        do=[{**LIGHT_OFF, "unless": ["room.tag.clinic"]}],
    )  # fmt: skip
    run = Run(dark)
    run.feed(0, True, device="lamp-301", point="on")
    run.feed(S, True, device="lamp-clinic", point="on")
    assert run.told() == [(0, "lamp-301", False)]
    assert run.told(ActKind.BLOCKED) == [(1, "lamp-clinic", False)]


FIRE = {"p": "smoke_detector.smoke", "op": "eq", "val": True, "pick": "any", "at": "site"}


def test_an_interlock_of_the_site_forbids_holds_while_unknown_and_ends_what_runs() -> None:
    run = Run(rule(interlocks={"fire": FIRE}, do=[{**FRESH, "unless": ["fire"]}]))
    run.feed(0, False, device="fan-301", point="on")
    run.feed(0, 1600.0)
    assert run.told() == []  # nobody knows yet whether it burns
    run.feed(M, False, device="fire", point="smoke")
    assert run.told() == [(60, "fan-301", True)]
    run.feed(20 * M, True, device="fire", point="smoke")
    assert run.told() == [(60, "fan-301", True), (1200, "fan-301", False)]


def test_an_interlock_of_a_file_is_shared_by_its_rules() -> None:
    found = parse_rules(
        {
            "interlocks": {"fire": FIRE},
            "rules": [raw(do=[{**FRESH, "unless": ["fire"]}]), raw(id="other")],
        }
    )
    assert list(found[0].interlocks) == ["fire"]
    assert not found[1].interlocks


@pytest.mark.parametrize("origin", [Origin.RETAINED, Origin.BACKFILL])
def test_retained_and_backfilled_values_never_act(origin: Origin) -> None:
    run = Run(rule(do=[FRESH]))
    run.feed(0, 1600.0, origin=origin)
    run.tick(H)
    assert run.acts == []


def test_history_that_is_played_at_a_start_never_acts() -> None:
    engine = Engine([rule(do=[FRESH])], SITE, None)
    engine.warm([reading_of(i * M, 1600.0) for i in range(10)], T0 + 10 * M)
    engine.tick(T0 + 11 * M)
    assert engine.hands.arbiter.drain() == []


def test_a_shelved_alarm_does_not_act() -> None:
    run = Run(rule(do=[FRESH]))
    run.engine.shelve("high", "r301", "wang", "painting", T0 + H, T0)
    run.feed(0, 1600.0)
    assert run.acts == []


def test_a_restart_goes_on_with_actions_as_with_alarms() -> None:
    first = Run(rule(do=[FRESH]))
    first.feed(0, False, device="fan-301", point="on")
    first.feed(0, 1600.0)
    arbiter = first.engine.hands.arbiter
    left = Standing(tuple(arbiter.plans.values()), tuple(arbiter.levers.values()))
    then = Run(rule(do=[FRESH]), states=first.engine.states(), acting=left)
    then.feed(M, 1600.0)
    then.feed(20 * M, 1000.0)
    assert first.told() == [(0, "fan-301", True)]
    assert then.told() == [(1200, "fan-301", False)]


def test_a_rule_that_is_gone_lets_go_of_what_it_held() -> None:
    first = Run(rule(do=[FRESH]))
    first.feed(0, False, device="fan-301", point="on")
    first.feed(0, 1600.0)
    arbiter = first.engine.hands.arbiter
    left = Standing(tuple(arbiter.plans.values()), tuple(arbiter.levers.values()))
    then = Run(rule(id="other"), states=first.engine.states(), acting=left)
    then.tick(20 * M)
    assert then.told() == [(600, "fan-301", False)]
    assert Change.CLOSED in {t.change for t in [*then.said]} or then.acts[-1].restores


def test_the_time_it_ends_comes_without_any_reading() -> None:
    loud = rule(
        id="leak", latch=True, scope={"each": "gas_detector"},
        when={"p": "gas_lel", "op": "ge", "val": 20, "clear": 5},
        do=[{"cmd": "siren.on", "to": "site", "prio": 2, "mode": "auto", "max_on": "3m", "undo": "on_reset"}],
    )  # fmt: skip
    run = Run(loud)
    run.feed(0, 30.0, device="gas-1", point="gas_lel")
    assert run.engine.next_due() == T0 + 3 * M
    run.tick(3 * M)
    assert run.told() == [(0, "siren-b1", True), (180, "siren-b1", False)]


def test_coverage_tells_where_a_rule_watches_and_cannot_act() -> None:
    both = rule(scope={"each": "classroom", "where": {"has": ["co2"]}}, do=[AC_OFF, LIGHT_OFF])
    (coverage,) = Engine([both], SITE, None).coverage()
    assert coverage.bound == ("r301", "r302")
    (lack,) = coverage.cannot_act
    assert lack.scope == "r302"
    assert lack.missing == (
        "ac.off: nothing in room that can be told", "light.off: nothing in room that can be told",
    )  # fmt: skip


def test_changing_what_a_rule_does_keeps_its_alarm() -> None:
    before, after = rule(do=[FRESH]), rule(do=[{**FRESH, "prio": 9}])
    assert before.core == after.core
    assert before.deeds != after.deeds


def test_a_rule_may_only_act_and_call_nobody() -> None:
    data = raw(do=[FRESH])
    del data["alarm"]
    (found,) = parse_rules(data)
    run = Run(found)
    run.feed(0, False, device="fan-301", point="on")
    run.feed(0, 1600.0)
    assert run.told() == [(0, "fan-301", True)]
    assert not any(t.notify for t in run.said)


# -- refused


@pytest.mark.parametrize(
    ("action", "path", "words"),
    [
        ({"cmd": "ac.of"}, ("cmd",), "did you mean ac.off"),
        ({"verify": None}, ("mode",), "needs verify"),
        ({"to": "attic"}, ("to",), "neither a kind of device nor"),
        ({"unless": ["fyre"]}, ("unless", 0), "there is no interlock fyre"),
        ({"args": {"delta": 2}}, ("args", "delta"), "takes no argument delta"),
        ({"cmd": "ac.setpoint_shift"}, ("cmd",), "needs the argument delta"),
        ({"cmd": "ac.setpoint_shift", "args": {"delta": True}}, ("args", "delta"), "value of setpoint"),
        ({"cmd": "gas_valve.close", "to": "site"}, ("mode",), "never automatic"),
        ({"cmd": "door.unlock", "to": "site"}, ("mode",), "never automatic"),
        ({"min_on": "10m", "max_on": "5m"}, ("min_on",), "longer than it lasts"),
        ({"undo": "on_reset"}, ("undo",), "no latch"),
        ({"verify": {"p": "nonsense", "within": "9s"}}, ("verify", "p"), "no point of the vocabulary"),
        ({"verify": {"p": "active_power", "within": "9s"}}, ("verify", "p"), "say op and val"),
        ({"verify": {"p": "on", "op": "gt", "val": 1, "within": "9s"}}, ("verify", "val"), "no value of on"),
    ],
)
def test_a_wrong_action_is_refused_at_its_place(
    action: dict[str, Any], path: tuple[Any, ...], words: str
) -> None:
    assert words in faults(do=[{**AC_OFF, **action}])[("do", 0, *path)]


def test_a_siren_calls_people_and_needs_no_proof_of_effect() -> None:
    assert faults(do=[{"cmd": "siren.on", "to": "site", "mode": "auto"}]) == {}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"restore": {"stagger": "60s"}}, "there are none"),
        ({"steps": [{"at": "60s", "do": AC_OFF}, {"at": "0s", "do": AC_OFF}]}, "in the order"),
        ({"do": [{**AC_OFF, "prio": 17}]}, "less than or equal to 16"),
        ({"do": [{**AC_OFF, "mode": "maybe"}]}, "'advise', 'confirm' or 'auto'"),
        ({"do": [{**AC_OFF, "verify": {"p": "on", "op": "eq", "within": "9s"}}]}, "go together"),
        ({"interlocks": {"manual_override": FIRE}}, "always there"),
    ],
)
def test_a_wrong_form_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(RuleError, match=words):
        rule(**given)


def test_steps_and_their_places() -> None:
    found = faults(steps=[{"at": "0s", "do": {**AC_OFF, "verify": None}}])
    assert list(found) == [("steps", 0, "do", "mode")]


def together(*rules: Rule) -> list[str]:
    """What is wrong with rules together."""
    return [f"{one.rule} {one.fault.path}: {one.fault.message}" for one in check_together(rules, SITE)]


def test_two_automatic_rules_may_not_write_one_point_at_one_priority() -> None:
    first, second = rule(do=[AC_OFF]), rule(id="second", do=[AC_OFF])
    (found,) = together(first, second)
    assert found.startswith("second ('do', 0, 'prio'): high writes ac-301.on automatically at prio 13 too")
    assert together(first, rule(id="second", do=[{**AC_OFF, "prio": 12}])) == []
    assert together(first, rule(id="second", do=[{**AC_OFF, "mode": "confirm"}])) == []


LIT = {"p": "lighting.on", "op": "eq", "val": True, "pick": "any"}


def test_a_rule_that_switches_off_what_it_sees_on_is_no_circle_but_with_an_undo_it_is() -> None:
    assert together(rule(when=LIT, do=[LIGHT_OFF])) == []
    (found,) = together(rule(when=LIT, do=[{**LIGHT_OFF, "undo": "on_clear"}]))
    assert "undo: never would end it" in found


def test_rules_that_drive_each_other_round_are_refused() -> None:
    off = rule(id="off", when=LIT, do=[LIGHT_OFF])
    on = rule(
        id="on", when={"not": LIT}, do=[{**LIGHT_OFF, "cmd": "light.on", "prio": 12}],
    )  # fmt: skip
    (found,) = together(off, on)
    assert "rules drive each other round: off -> on -> off" in found


# -- a rule's own tests


def test_a_rule_carries_the_commands_that_it_is_to_give() -> None:
    tests = [
        {"given": {"co2": "0..20m @1m 1600", "ventilation.on": False},
         "expect": {"commands": [{"cmd": "fresh_air.on", "by": "6m"}]}},
        {"given": {"co2": ["0..9m @1m 1600", "10m..40m @1m 800"], "ventilation.on": False},
         "expect": {"commands": [{"cmd": "fresh_air.on"}, {"cmd": "fresh_air.on", "restores": True}]}},
        {"given": {"co2": "0..20m @1m 800"}, "expect": {"commands": []}},
    ]  # fmt: skip
    good = rule(scope={"each": "classroom"}, for_="5m", do=[FRESH], tests=tests)
    assert prove(good, UNITS, KINDS, VERBS) == []
    (wrong,) = prove(
        rule(scope={"each": "classroom"}, do=[FRESH], tests=[{**tests[0], "expect": {"commands": []}}]),
        UNITS,
        KINDS,
        VERBS,
    )
    assert "commands: fresh_air.on at 0 s; other ones are expected" in wrong.message


def test_a_proposal_counts_in_a_rules_own_tests() -> None:
    closing = rule(
        scope={"each": "kitchen"}, when={"p": "gas_lel", "op": "ge", "val": 20},
        do=[{"cmd": "gas_valve.close", "to": "room", "prio": 1, "mode": "confirm"}], alarm={**ALARM},
        tests=[{"given": {"gas_lel": "0..5m @10s 25"},
                "expect": {"commands": [{"cmd": "gas_valve.close", "proposed": True}]}}],
    )  # fmt: skip
    assert prove(closing, UNITS, KINDS, VERBS) == []
