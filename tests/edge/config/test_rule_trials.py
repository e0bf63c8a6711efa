"""A rule that fails its own tests stays disarmed, and all else runs."""

from __future__ import annotations

from pathlib import Path

from edge.config.check import check
from edge.config.load import load
from tests.edge.config.support import write_school

RULES = """\
rules:
  - id: good
    scope: {each: room}
    when: {p: co2, op: gt, val: 1500}
    for: 5m
    alarm: {prio: 4, owner: teacher, title: 闷, consequence: 注意力下降, guide: 开窗, respond_within: 15m}
    tests: [{given: {co2: "0..20m @1m 1600"}, expect: {active_at: 6m}}]
  - id: bad
    scope: {each: room}
    when: {p: co2, op: gt, val: 1700}
    for: 5m
    alarm: {prio: 4, owner: teacher, title: 闷, consequence: 注意力下降, guide: 开窗, respond_within: 15m}
    tests:
      - {given: {co2: "0..20m @1m 1600"}, expect: {active_at: 6m}}
"""


def school(folder: Path) -> Path:
    """The small school with both rules."""
    path = write_school(folder, "rules: [rules.yaml]\n")
    (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
    return path


def test_a_rule_that_fails_its_own_test_is_left_out_with_a_warning_and_the_others_are_armed(
    tmp_path: Path,
) -> None:
    configuration = load(school(tmp_path))
    assert [rule.id for rule in configuration.rules] == ["good"]
    (told,) = [str(warning) for warning in configuration.warnings]
    assert "rules.yaml:14:" in told and "this test of bad fails: not active at 360 s" in told
    assert told.endswith("the rule is not armed")


def test_check_takes_it_for_a_fault_with_its_place(tmp_path: Path) -> None:
    report = check(school(tmp_path))
    assert report.exit_code == 2
    (fault,) = report.faults
    assert fault.path == "rules.1.tests.0" and fault.line == 14
