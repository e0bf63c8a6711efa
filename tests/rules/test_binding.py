"""One rule, many instances: scopes, roles, coverage and per-space parameters."""

from __future__ import annotations

from typing import Any

from rules.alarm import Change
from rules.binding import bind
from rules.engine import Engine
from tests.rules.school import HIGH, SITE, M, Run, rule


def scopes(**given: Any) -> tuple[str, ...]:
    """The scopes that a rule is bound on."""
    return tuple(instance.scope for instance in bind(rule(**given), SITE).instances)


def test_a_rule_for_each_room_watches_every_room_and_names_those_it_cannot() -> None:
    engine = Engine([rule(scope={"each": "room"})], SITE, None)
    (coverage,) = engine.coverage()
    assert coverage.bound == ("r301", "r302")
    assert [(found.scope, found.missing) for found in coverage.unbound] == [("kitchen", ("co2",))]


def test_scopes_may_be_kinds_groups_tags_places_and_mediums() -> None:
    always = {"p": "*", "agg": "absent"}
    assert scopes(scope={"each": "classroom"}) == ("r301", "r302")
    assert scopes(scope={"each": "room", "where": {"tags": {"south": True}}}) == ("r301",)
    assert scopes(scope={"each": "room", "where": {"has": ["occupied"]}}) == ("r301",)
    assert scopes(scope={"each": "meter"}, when=always) == ("em-b1", "water-b1")
    assert scopes(scope={"each": "meter", "where": {"medium": "water"}}, when=always) == ("water-b1",)
    assert scopes(scope={"each": "device", "where": {"in": "r302"}}, when=always) == ("env-302",)
    inside = {"p": "classroom_env.co2", "op": "gt", "val": 1500, "pick": "max"}
    assert scopes(scope={"each": "building"}, when=inside) == ("b1",)
    assert scopes(scope={"each": "site"}, when=inside) == ("shangde",)


def test_several_points_for_a_role_need_a_pick() -> None:
    (unbound,) = bind(rule(scope={"each": "building"}), SITE).unbound
    assert unbound.missing == ("co2 (2 points and no pick)",)


def test_an_optional_leaf_drops_out_where_its_point_is_missing() -> None:
    both = {"all": [HIGH, {"p": "occupied", "op": "eq", "val": True, "optional": True}]}
    run = Run(rule(scope={"each": "classroom"}, when=both))
    run.feed(0, 1600.0, device="env-302")
    run.feed(0, 1600.0, device="env-301")
    assert [said.state.scope for said in run.said] == ["r302"]


def test_a_parameter_may_be_set_for_a_space_and_all_inside_it() -> None:
    params = {"hi": {"default": 1500, "overrides": {"b1": 1200, "r301": 1000}}}
    leaf = {"p": "co2", "op": "gt", "val": "param:hi"}
    run = Run(rule(scope={"each": "classroom"}, params=params, when=leaf))
    run.feed(0, 1100.0, device="env-301")
    run.feed(0, 1100.0, device="env-302")
    run.feed(1, 1300.0, device="env-302")
    assert [said.state.scope for said in run.said] == ["r301", "r302"]


def test_the_picks_merge_numbers_and_join_switches() -> None:
    hot = {"p": "classroom_env.temperature", "op": "gt", "val": 30}
    for pick, second, raised in (("max", 20.0, True), ("min", 20.0, False), ("avg", 42.0, True)):
        run = Run(rule(scope={"each": "building"}, when={**hot, "pick": pick}))
        run.feed(0, 20.0 if pick == "avg" else 31.0, device="env-301", point="temperature")
        run.feed(0, second, device="env-302", point="temperature")
        assert (run.state(scope="b1").condition == "active") is raised, pick
    for pick, raised in (("any", True), ("all", False)):
        run = Run(rule(when={"p": "contact.open", "op": "eq", "val": True, "pick": pick}))
        run.feed(0, True, device="win-1", point="open")
        run.feed(0, False, device="win-2", point="open")
        assert (Change.RAISED in run.told) is raised, pick


def test_one_of_two_merged_sensors_may_die() -> None:
    hot = {"p": "classroom_env.temperature", "op": "gt", "val": 30, "pick": "max"}
    run = Run(
        rule(scope={"each": "building"}, when=hot, nodata={"after": "10m", "then": "hold", "max": "0s"})
    )
    run.feed(0, 35.0, device="env-301", point="temperature")
    for minute in range(1, 60):
        run.feed(minute * M, 20.0, device="env-302", point="temperature")
    assert run.changes == [(0, Change.RAISED), (10 * M, Change.CLEARED)]
