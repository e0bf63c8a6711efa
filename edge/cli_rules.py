"""`campus-edge rules`: what rules say, whether their tests hold, and what they would have done."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.cli_accounts import DataOption
from edge.cli_findings import rules_findings
from edge.service import DEFAULT_DATA

if TYPE_CHECKING:
    from edge.config.configuration import Configuration
    from edge.config.rulefiles import RuleShelf
    from edge.replay import CsvReadings, StoredReadings
    from rules.explanation import ExplainedBranch, ExplainedLeaf
    from rules.intent import Act
    from rules.rehearsal import Occurrence, Rehearsal, Teacher
    from rules.rulebook import Rule
    from rules.verbs import Verbs

rules_app = typer.Typer(no_args_is_help=True, help="Rules: check, test, explain, backtest.")
rules_app.command("findings")(rules_findings)
ConfigOption = Annotated[Path, typer.Option("-c", "--config", help="the school's configuration file")]
JsonOption = Annotated[bool, typer.Option("--json", help="machine-readable output")]
FilesArgument = Annotated[list[Path], typer.Argument(help="rule files")]
CsvOption = Annotated[Path | None, typer.Option("--csv", help="readings from a file instead of the store")]
SHOWN = 200


def _fail(message: str, code: int = 1) -> typer.Exit:
    typer.echo(message, err=True)
    return typer.Exit(code)


def _loaded(path: Path) -> Configuration:
    from edge.config.load import ConfigError, load

    try:
        return load(path)
    except ConfigError as error:
        raise _fail(str(error), 2) from error


def _shelf(paths: Sequence[Path]) -> RuleShelf:
    """The rules of files; ends with exit 2 and all faults where any has some."""
    from edge.config.rulefiles import RuleShelf

    shelf = RuleShelf()
    for path in paths:
        if not path.is_file():
            raise _fail(f"there is no file {path}", 2)
        shelf.add(path)
    if shelf.faults:
        raise _fail("\n".join(str(fault) for fault in shelf.faults), 2)
    return shelf


def _words() -> tuple[Mapping[str, str], frozenset[str], Verbs]:
    """The built-in vocabulary: point -> unit, the kinds of spaces, and the commands."""
    from edge.config.library import read_vocabulary
    from edge.config.resources import builtin_configs

    vocabulary, faults = read_vocabulary(builtin_configs() / "vocabulary.yaml")
    if vocabulary is None:
        raise _fail("\n".join(str(fault) for fault in faults))
    units = {name: spec.unit for name, spec in vocabulary.points.items()}
    return units, frozenset(vocabulary.space_kinds), vocabulary.commands


@rules_app.command("check")
def rules_check(files: FilesArgument, config: ConfigOption, as_json: JsonOption = False) -> None:
    """Checks rule files against a school: faults with their place, and where each rule would watch."""
    from edge.config.configuration import site_info
    from rules.binding import bind
    from rules.check import check_rule
    from rules.targets import lacks

    configuration, shelf = _loaded(config), _shelf(files)
    site, (units, _, _) = site_info(configuration), _words()
    faults = [p.fault(f.path, f.message) for p in shelf.rules for f in check_rule(p.rule, units, site)]
    book = [placed.rule for placed in shelf.rules]
    rows: list[dict[str, Any]] = []
    for rule in book:
        found = bind(rule, site, [*book, *configuration.rules])
        rows.append(
            {
                "id": rule.id,
                "bound": [instance.scope for instance in found.instances],
                "unbound": [{"scope": u.scope, "missing": list(u.missing)} for u in found.unbound],
                "cannot_act": [
                    {"scope": one.scope, "missing": list(missing)}
                    for one in found.instances
                    for placed in rule.actions
                    if (missing := lacks(placed.action, rule, one, site))
                ],
            }
        )
    if as_json:
        typer.echo(
            json.dumps({"ok": not faults, "faults": [str(f) for f in faults], "rules": rows}, indent=2)
        )
    else:
        for fault in faults:
            typer.echo(str(fault))
        for row in rows:
            typer.echo(
                f"{row['id']:28} {len(row['bound']):4} bound  {len(row['unbound']):4} unbound"
                + (f"  {len(row['cannot_act'])} cannot act" if row["cannot_act"] else "")
            )
            for lack in row["cannot_act"]:
                typer.echo(f"  {lack['scope']} cannot act: {', '.join(lack['missing'])}")
    raise typer.Exit(2 if faults else 0)


@rules_app.command("test")
def rules_test(files: FilesArgument, as_json: JsonOption = False) -> None:
    """Plays the tests that rules carry; exit 1 when one fails."""
    from rules.proving import prove

    units, kinds, verbs = _words()
    rows: list[dict[str, Any]] = []
    for placed in _shelf(files).rules:
        wrong = [str(placed.fault(f.path, f.message)) for f in prove(placed.rule, units, kinds, verbs)]
        rows.append({"id": placed.rule.id, "tests": len(placed.rule.tests), "failures": wrong})
    failed = any(row["failures"] for row in rows)
    if as_json:
        typer.echo(json.dumps({"ok": not failed, "rules": rows}, ensure_ascii=False, indent=2))
    else:
        for row in rows:
            word = "failed" if row["failures"] else "ok" if row["tests"] else "no tests"
            typer.echo(f"{row['id']:28} {row['tests']:3} tests  {word}")
            for failure in row["failures"]:
                typer.echo(f"  {failure}")
    raise typer.Exit(1 if failed else 0)


@rules_app.command("explain")
def rules_explain(
    rule: Annotated[str, typer.Argument(help="the rule's id")],
    scope: Annotated[str, typer.Argument(help="the space, device, line or site")],
    config: ConfigOption,
    at: Annotated[
        str | None, typer.Option("--at", help="a past instant, RFC 3339; default: the newest")
    ] = None,
    data: DataOption = DEFAULT_DATA,
    csv: CsvOption = None,
    as_json: JsonOption = False,
) -> None:
    """The truth tree of one rule on one scope as of an instant, from what is stored."""
    from edge.config.configuration import site_info
    from edge.replay import Unreadable, shown
    from edge.teaching import teacher_of
    from edge.web.views import ExplanationView
    from rules.rehearsal import explain_past

    configuration = _loaded(config)
    chosen = [one for one in configuration.rules if one.id == rule]
    if not chosen:
        raise _fail(f"there is no rule {rule}; known: {', '.join(r.id for r in configuration.rules)}", 2)
    readings = _source(configuration, data, csv)
    try:
        when = _time(at, "--at") if at else _newest(readings)
        found = explain_past(
            chosen[0], site_info(configuration), configuration.calendar, readings, scope, when,
            teacher_of(configuration, data, readings),
        )  # fmt: skip
    except KeyError as error:
        raise _fail(f"the rule {rule} does not watch {scope}", 2) from error
    except Unreadable as error:
        raise _fail(str(error)) from error
    if as_json:
        typer.echo(ExplanationView.model_validate(found).model_dump_json(indent=2))
        return
    typer.echo(f"{rule} on {scope} as of {shown(found.at)}: {found.condition}, {found.sentence}")
    for line in _tree(found.tree, 1):
        typer.echo(line)
    for deed in found.deeds:
        until = "" if deed.due is None else f" until {shown(deed.due)}"
        where = f" {deed.device}.{deed.point}={str(deed.value).lower()}" if deed.device else ""
        typer.echo(f"  {deed.state} {deed.cmd}{where}{until} {deed.detail}".rstrip())


@rules_app.command("backtest")
def rules_backtest(
    config: ConfigOption,
    since: Annotated[str, typer.Option("--since", help="RFC 3339, or a date")],
    until: Annotated[str, typer.Option("--until", help="RFC 3339, or a date; not included")],
    rules: Annotated[
        list[Path] | None, typer.Option("--rules", help="rule files; default: those of the configuration")
    ] = None,
    against: Annotated[
        list[Path] | None, typer.Option("--against", help="the older revision, to tell the difference")
    ] = None,
    data: DataOption = DEFAULT_DATA,
    csv: CsvOption = None,
    to_the_end: Annotated[
        bool,
        typer.Option("--to-the-end", help="play the time behind the last reading too: points fall silent"),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """What rules would have done with the readings of the past: occurrences, alarm minutes, difference."""
    from edge.replay import shown
    from edge.teaching import teacher_of
    from rules.rehearsal import compare

    configuration = _loaded(config)
    begin, end = _time(since, "--since"), _time(until, "--until")
    if end <= begin:
        raise _fail("--until must lie behind --since", 2)
    readings = _source(configuration, data, csv)
    asked = end
    if not to_the_end:
        end = max(begin + 1, min(end, _newest(readings) + 1))
    new = [p.rule for p in _shelf(rules).rules] if rules else list(configuration.rules)
    teacher = teacher_of(configuration, data, readings)
    after = _rehearse(configuration, new, readings, begin, end, teacher)
    before = None
    if against:
        old = [p.rule for p in _shelf(against).rules]
        before = _rehearse(configuration, old, readings, begin, end, teacher)
    difference = compare(before, after) if before is not None else None
    if as_json:
        report: dict[str, Any] = _as_json(after)
        if difference is not None and before is not None:
            report["before"] = _as_json(before)
            report["difference"] = {
                "both": difference.both,
                "only_before": [_row(one) for one in difference.only_before],
                "only_after": [_row(one) for one in difference.only_after],
            }
        typer.echo(json.dumps(report, ensure_ascii=False, indent=2))
        return
    for line in _lines(after):
        typer.echo(line)
    if end < asked:
        typer.echo(f"played until {shown(end)}, where the readings end (--to-the-end plays on)")
    if difference is not None:
        typer.echo(
            f"against the older revision: {difference.both} the same, "
            f"{len(difference.only_before)} gone, {len(difference.only_after)} new"
        )
        for mark, some in (("-", difference.only_before), ("+", difference.only_after)):
            for one in some[:SHOWN]:
                typer.echo(f"{mark} {_line(one)}")


def _rehearse(
    configuration: Configuration,
    rules: Sequence[Rule],
    readings: StoredReadings | CsvReadings,
    begin: int,
    end: int,
    teacher: Teacher,
) -> Rehearsal:
    from edge.config.configuration import site_info
    from edge.replay import StoredReadings, Unreadable
    from rules.check import check_rule
    from rules.rehearsal import LEAD_MS, rehearse, rehearse_columns

    site, units = site_info(configuration), {n: s.unit for n, s in configuration.vocabulary.points.items()}
    wrong = [
        f"{r.id}: {'.'.join(map(str, f.path))}: {f.message}"
        for r in rules
        for f in check_rule(r, units, site)
    ]
    if wrong:
        raise _fail("\n".join(wrong), 2)
    try:
        if isinstance(readings, StoredReadings):
            return rehearse_columns(
                rules, site, configuration.calendar, readings, begin, end,
                watch=_progress(begin, end), teacher=teacher,
            )  # fmt: skip
        stream = readings.between(begin - LEAD_MS, end)
        return rehearse(rules, site, configuration.calendar, stream, begin, end, teacher=teacher)
    except Unreadable as error:
        raise _fail(str(error)) from error


def _progress(begin: int, end: int) -> Callable[[int, int], None] | None:
    """Tells a person at a terminal how far it is, once for each simulated day."""
    from edge.replay import shown

    if not sys.stderr.isatty():
        return None
    days: set[int] = set()

    def tell(at: int, readings: int) -> None:
        if at // 86_400_000 not in days:
            days.add(at // 86_400_000)
            done = max(0, min(100, (at - begin) * 100 // (end - begin)))
            typer.echo(f"{done:3} %  {shown(at)}  {readings} readings", err=True)

    return tell


def _newest(readings: StoredReadings | CsvReadings) -> int:
    """When the last reading was measured; ends with exit 1 where there is none."""
    from edge.replay import Unreadable

    try:
        newest = readings.newest()
    except Unreadable as error:
        raise _fail(str(error)) from error
    if newest is None:
        raise _fail("there are no readings")
    return newest


def _source(configuration: Configuration, data: Path, csv: Path | None) -> StoredReadings | CsvReadings:
    from edge.replay import CsvReadings, StoredReadings, Unreadable, late_by

    try:
        if csv is not None:
            return CsvReadings(csv, {n: s.unit for n, s in configuration.vocabulary.points.items()})
        return StoredReadings(data, late_by(configuration))
    except Unreadable as error:
        raise _fail(str(error)) from error


def _time(text: str, option: str) -> int:
    from edge.replay import parse_instant

    try:
        return parse_instant(text)
    except ValueError as error:
        raise _fail(f"{option}: {error}", 2) from error


def _row(one: Occurrence) -> dict[str, Any]:
    from edge.replay import shown

    return {
        **one._asdict(),
        "raised_at": shown(one.raised_at),
        "cleared_at": None if one.cleared_at is None else shown(one.cleared_at),
    }


def _as_json(found: Rehearsal) -> dict[str, Any]:
    from edge.cli_findings import finding_row
    from edge.replay import shown

    return {
        "since": shown(found.since),
        "until": shown(found.until),
        "readings": found.readings,
        "notices": found.notices,
        "alarm_minutes": {rule: round(ms / 60_000, 3) for rule, ms in sorted(found.alarm_ms().items())},
        "occurrences": [_row(one) for one in found.occurrences],
        "findings": [finding_row(one) for one in found.findings],
        "commands": [_command(one) for one in found.commands],
        "proposals": [_command(one) for one in found.proposals],
    }


def _lines(found: Rehearsal) -> list[str]:
    from edge.cli_findings import finding_lines

    lines = [_line(one) for one in found.occurrences[:SHOWN]]
    if len(found.occurrences) > SHOWN:
        lines.append(f"... and {len(found.occurrences) - SHOWN} more (see --json)")
    counts = Counter(one.rule for one in found.occurrences)
    for rule, ms in sorted(found.alarm_ms().items()):
        lines.append(f"{rule:28} {counts[rule]:5} occurrences {ms / 60_000:10.1f} alarm minutes")
    for word, some in (("command", found.commands), ("proposal", found.proposals)):
        lines += [f"{word:8} {_told(one)}" for one in some[:SHOWN]]
        if len(some) > SHOWN:
            lines.append(f"... and {len(some) - SHOWN} more (see --json)")
    lines += finding_lines(found.findings, SHOWN)
    total = len(found.occurrences)
    lines.append(f"{found.readings} readings, {total} occurrences, {found.notices} notices")
    return lines


def _command(act: Act) -> dict[str, Any]:
    from edge.replay import shown

    intent = act.intent
    return {
        "at": shown(act.at),
        "rule": intent.rule,
        "scope": intent.scope,
        "cmd": intent.cmd,
        "device": intent.device,
        "point": intent.point,
        "value": act.value,
        "prio": intent.prio,
        "restores": act.restores,
    }


def _told(act: Act) -> str:
    from edge.replay import shown

    intent, back = act.intent, " back" if act.restores else ""
    value = str(act.value).lower()
    return (
        f"{shown(act.at)}  {intent.rule:24} {intent.scope:14} {intent.cmd}{back}"
        f"  {intent.device}.{intent.point}={value}  prio {intent.prio}"
    )


def _line(one: Occurrence) -> str:
    from edge.replay import shown

    end = "still there" if one.cleared_at is None else f"{(one.cleared_at - one.raised_at) / 60_000:.1f} min"
    return f"{shown(one.raised_at)}  P{one.priority} {one.rule:24} {one.scope:14} {end:>12}  {one.message}"


def _tree(node: ExplainedBranch | ExplainedLeaf, depth: int) -> list[str]:
    from rules.explanation import ExplainedLeaf

    word = {True: "true", False: "false", None: "unknown"}[node.truth]
    pad = "  " * depth
    if isinstance(node, ExplainedLeaf):
        name = node.role if node.agg == "last" else f"{node.agg}({node.role})"
        said = f"{node.op} {node.val} {node.unit}".strip()
        basis = f"; {node.reference}" if node.reference else ""
        points = ", ".join(node.points)
        return [f"{pad}{word:8}{name} = {node.value} {said} [{points}; {node.quality}{basis}]"]
    below = [line for part in node.parts for line in _tree(part, depth + 1)]
    return [f"{pad}{word:8}{node.kind}", *below]
