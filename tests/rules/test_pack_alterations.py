"""The tests that built-in rules carry can fail: each sees some alteration of its rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from edge.pipeline.self_watch import POINTS
from rules.proving import prove
from rules.rulebook import Rule, RuleError, parse_rules
from tests.rules.test_pack import CONFIGS, UNITS, VOCABULARY, loaded

Data = Mapping[str, Any]
KINDS = frozenset(VOCABULARY.space_kinds)
WORDS = {**POINTS, **UNITS}


def _written() -> Iterator[tuple[str, Data, Data]]:
    """Each rule as it stands in its file, those on the gateway itself too, with the interlocks beside it."""
    for path in (*sorted((CONFIGS / "rules").glob("*.yaml")), CONFIGS / "gateway" / "rules.yaml"):
        data = loaded(path)
        for rule in data.get("rules", [data]):
            yield rule["id"], rule, data.get("interlocks", {})


WRITTEN = {name: (rule, interlocks) for name, rule, interlocks in _written()}


def _leaves(node: Data) -> int:
    """How many leaves and groups a condition has."""
    found = 0

    def count(leaf: Data) -> Data:
        nonlocal found
        found += 1
        return leaf

    _altered(node, count)
    return found


def _altered(node: Data, change: Callable[[Data], Data]) -> Data:
    """A condition with all of its leaves and groups changed."""
    if "p" in node or "across" in node:
        return change(node)
    branches: dict[str, Any] = {
        kind: [_altered(part, change) for part in node[kind]] for kind in ("all", "any") if kind in node
    }
    if "not" in node:
        branches["not"] = _altered(node["not"], change)
    return {**node, **branches}


def _one(node: Data, number: int, change: Callable[[Data], Data]) -> Data:
    """A condition with one of its leaves changed."""
    place = -1

    def chosen(leaf: Data) -> Data:
        nonlocal place
        place += 1
        return change(leaf) if place == number else leaf

    return _altered(node, chosen)


def _turned(leaf: Data) -> Data:
    """True where the leaf is false."""
    return {"not": leaf}


def _whatever(leaf: Data) -> Data:
    """True for any number that is known."""
    kept = {key: value for key, value in leaf.items() if key != "clear"}
    return {**kept, "op": "ge", "val": -1e9} if "op" in leaf else _turned(leaf)


def _hasty(leaf: Data) -> Data:
    """The newest value only, and no hysteresis."""
    if not isinstance(leaf.get("val"), str | int | float) or "p" not in leaf:
        return leaf
    return {key: value for key, value in leaf.items() if key not in ("agg", "over", "bucket", "clear")}


def _well_known(test: Data) -> Data:
    """With a history that is long enough for everything."""
    past = {role: f"400d {text.partition(' ')[2]}" for role, text in test.get("history", {}).items()}
    return {**test, "history": past} if past else test


def _alterations(rule: Data) -> Iterator[Data]:
    """What somebody might get wrong: too patient, too hasty, a limit or a condition the wrong way round, a
    restriction left out."""
    when = rule["when"]
    yield {**rule, "for": "13d"}
    yield {**rule, "for": "0s", "clear_for": "0s", "when": _altered(when, _hasty)}
    yield {**rule, "tests": [_well_known(test) for test in rule["tests"]]}
    for key in ("active", "suppress_when", "confirm"):
        if key in rule:
            yield {name: value for name, value in rule.items() if name != key}
    for key in ("do", "steps"):
        if key in rule:
            yield {**rule, key: [{k: v for k, v in one.items() if k != "unless"} for one in rule[key]]}
    for change in (_turned, _whatever):
        yield {**rule, "when": _altered(when, change)}
        for number in range(_leaves(when)):
            yield {**rule, "when": _one(when, number, change)}
    if "finding" in rule:
        kind = {"kind": rule["finding"]["kind"]}
        yield {**rule, "finding": kind, "when": _altered(when, _whatever), "for": "0s"}


def _parsed(rule: Data, interlocks: Data) -> Rule | None:
    """None where the alteration is no rule at all."""
    try:
        return parse_rules({"rules": [rule], "interlocks": interlocks})[0]
    except RuleError:
        return None


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_each_test_of_a_rule_fails_for_some_alteration_of_it(name: str) -> None:
    data, interlocks = WRITTEN[name]
    unseen = set(range(len(data["tests"])))
    for altered in _alterations(data):
        rule = _parsed(altered, interlocks)
        if rule is not None and unseen:
            faults = prove(rule, WORDS, KINDS, VOCABULARY.commands)
            unseen -= {fault.path[1] for fault in faults if "cannot be played" not in fault.message}
    assert [data["tests"][number] for number in sorted(unseen)] == []


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_the_tests_of_a_rule_hold(name: str) -> None:
    (rule,) = parse_rules({"rules": [WRITTEN[name][0]], "interlocks": WRITTEN[name][1]})
    assert prove(rule, WORDS, KINDS, VOCABULARY.commands) == []


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_the_tests_of_a_rule_show_it_raised_and_normal(name: str) -> None:
    (rule,) = parse_rules({"rules": [WRITTEN[name][0]], "interlocks": WRITTEN[name][1]})
    expected = [test.expect for test in rule.tests]
    assert any(one.active_at is not None or one.commands for one in expected)
    assert any(one.active_never or one.normal_at is not None or one.occurrences == 0 for one in expected)
