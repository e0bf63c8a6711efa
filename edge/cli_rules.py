"""`campus-edge rules`: what rules say, whether their tests hold, and what they would have done."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.cli_accounts import DataOption
from edge.service import DEFAULT_DATA

if TYPE_CHECKING:
    from edge.config.configuration import Configuration
    from edge.config.rulefiles import RuleShelf
    from rules.explanation import ExplainedBranch, ExplainedLeaf
    from rules.rehearsal import Occurrence, Readings, Rehearsal
    from rules.rulebook import Rule

rules_app = typer.Typer(no_args_is_help=True, help="Rules: check, test, explain, backtest.")
ConfigOption = Annotated[Path, typer.Option("-c", "--config", help="the school's configuration file")]
JsonOption = Annotated[bool, typer.Option("--json", help="machine-readable output")]
FilesArgument = Annotated[list[Path], typer.Argument(help="rule files")]
CsvOption = Annotated[Path | None, typer.Option("--csv", help="readings from a file instead of the store")]
LEAD_MS = 2 * 86_400_000
"""So much before the time asked for is played too, to fill windows and know what stood already."""
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


def _words() -> tuple[Mapping[str, str], frozenset[str]]:
    """The built-in vocabulary: point -> unit, and the kinds of spaces."""
    from edge.config.library import read_vocabulary
    from edge.config.resources import builtin_configs

    vocabulary, faults = read_vocabulary(builtin_configs() / "vocabulary.yaml")
    if vocabulary is None:
        raise _fail("\n".join(str(fault) for fault in faults))
    return {name: spec.unit for name, spec in vocabulary.points.items()}, frozenset(vocabulary.space_kinds)


@rules_app.command("check")
def rules_check(files: FilesArgument, config: ConfigOption, as_json: JsonOption = False) -> None:
    """Checks rule files against a school: faults with their place, and where each rule would watch."""
    from edge.config.configuration import site_info
    from rules.binding import bind
    from rules.check import check_rule

    configuration, shelf = _loaded(config), _shelf(files)
    site, (units, _) = site_info(configuration), _words()
    faults = [p.fault(f.path, f.message) for p in shelf.rules for f in check_rule(p.rule, units, site)]
    book = [placed.rule for placed in shelf.rules]
    rows = []
    for rule in book:
        found = bind(rule, site, [*book, *configuration.rules])
        rows.append(
            {
                "id": rule.id,
                "bound": [instance.scope for instance in found.instances],
                "unbound": [{"scope": u.scope, "missing": list(u.missing)} for u in found.unbound],
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
            typer.echo(f"{row['id']:28} {len(row['bound']):4} bound  {len(row['unbound']):4} unbound")
    raise typer.Exit(2 if faults else 0)


@rules_app.command("test")
def rules_test(files: FilesArgument, as_json: JsonOption = False) -> None:
    """Plays the tests that rules carry; exit 1 when one fails."""
    from rules.proving import prove

    units, kinds = _words()
    rows: list[dict[str, Any]] = []
    for placed in _shelf(files).rules:
        wrong = [str(placed.fault(f.path, f.message)) for f in prove(placed.rule, units, kinds)]
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
) -> None:
    """The truth tree of one rule on one scope as of an instant, from what is stored."""
    from edge.config.configuration import site_info
    from edge.replay import shown
    from rules.engine import Engine
    from rules.rehearsal import LATENESS_MS

    configuration = _loaded(config)
    chosen = [one for one in configuration.rules if one.id == rule]
    if not chosen:
        raise _fail(f"there is no rule {rule}; known: {', '.join(r.id for r in configuration.rules)}", 2)
    until = _time(at, "--at") + 1 if at else 1 << 62
    readings = _source(configuration, data, csv)
    engine = Engine(
        configuration.rules, site_info(configuration), configuration.calendar, lateness_ms=LATENESS_MS
    )
    newest = 0
    for reading in _guarded(readings, until - LEAD_MS if at else 0, until):
        newest = max(newest, reading.at)
        engine.evaluate((reading._replace(received_at=reading.at),), newest)
    engine.tick((until - 1 if at else newest) + LATENESS_MS)
    try:
        found = engine.explain(rule, scope)
    except KeyError as error:
        raise _fail(f"the rule {rule} does not watch {scope}", 2) from error
    typer.echo(
        f"{rule} on {scope} as of {shown(found.at - LATENESS_MS)}: {found.condition}, {found.sentence}"
    )
    for line in _tree(found.tree, 1):
        typer.echo(line)


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
    as_json: JsonOption = False,
) -> None:
    """What rules would have done with the readings of the past: occurrences, alarm minutes, difference."""
    from rules.rehearsal import compare

    configuration = _loaded(config)
    begin, end = _time(since, "--since"), _time(until, "--until")
    if end <= begin:
        raise _fail("--until must lie behind --since", 2)
    readings = _source(configuration, data, csv)
    new = [p.rule for p in _shelf(rules).rules] if rules else list(configuration.rules)
    after = _rehearse(configuration, new, readings, begin, end)
    before = None
    if against:
        before = _rehearse(configuration, [p.rule for p in _shelf(against).rules], readings, begin, end)
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
    if difference is not None:
        typer.echo(
            f"against the older revision: {difference.both} the same, "
            f"{len(difference.only_before)} gone, {len(difference.only_after)} new"
        )
        for mark, some in (("-", difference.only_before), ("+", difference.only_after)):
            for one in some[:SHOWN]:
                typer.echo(f"{mark} {_line(one)}")


def _rehearse(
    configuration: Configuration, rules: Sequence[Rule], readings: Readings, begin: int, end: int
) -> Rehearsal:
    from edge.config.configuration import site_info
    from rules.check import check_rule
    from rules.rehearsal import rehearse

    site, units = site_info(configuration), {n: s.unit for n, s in configuration.vocabulary.points.items()}
    wrong = [
        f"{r.id}: {'.'.join(map(str, f.path))}: {f.message}"
        for r in rules
        for f in check_rule(r, units, site)
    ]
    if wrong:
        raise _fail("\n".join(wrong), 2)
    stream = _guarded(readings, begin - LEAD_MS, end)
    return rehearse(rules, site, configuration.calendar, stream, begin, end)


def _source(configuration: Configuration, data: Path, csv: Path | None) -> Readings:
    from edge.replay import CsvReadings, StoredReadings, Unreadable

    try:
        if csv is not None:
            return CsvReadings(csv, {n: s.unit for n, s in configuration.vocabulary.points.items()})
        return StoredReadings(data)
    except Unreadable as error:
        raise _fail(str(error)) from error


def _guarded(readings: Readings, since: int, until: int) -> Any:
    """The readings; ends with exit 1 and a sentence where they cannot be read."""
    from edge.replay import Unreadable

    try:
        yield from readings.between(since, until)
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
    from edge.replay import shown

    return {
        "since": shown(found.since),
        "until": shown(found.until),
        "readings": found.readings,
        "notices": found.notices,
        "alarm_minutes": {rule: round(ms / 60_000, 3) for rule, ms in sorted(found.alarm_ms().items())},
        "occurrences": [_row(one) for one in found.occurrences],
    }


def _lines(found: Rehearsal) -> list[str]:
    lines = [_line(one) for one in found.occurrences[:SHOWN]]
    if len(found.occurrences) > SHOWN:
        lines.append(f"... and {len(found.occurrences) - SHOWN} more (see --json)")
    counts = Counter(one.rule for one in found.occurrences)
    for rule, ms in sorted(found.alarm_ms().items()):
        lines.append(f"{rule:28} {counts[rule]:5} occurrences {ms / 60_000:10.1f} alarm minutes")
    total = len(found.occurrences)
    lines.append(f"{found.readings} readings, {total} occurrences, {found.notices} notices")
    return lines


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
        return [f"{pad}{word:8}{name} = {node.value} {said} [{', '.join(node.points)}; {node.quality}]"]
    below = [line for part in node.parts for line in _tree(part, depth + 1)]
    return [f"{pad}{word:8}{node.kind}", *below]
