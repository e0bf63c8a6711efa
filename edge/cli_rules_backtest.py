"""`campus-edge rules backtest`: what rules would have done with the readings of the past."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.cli_options import ConfigOption, DataOption, JsonOption, fail, loaded
from edge.cli_rehearsal import difference_as_json, difference_lines, rehearsal_as_json, rehearsal_lines
from edge.cli_rule_files import shelf_of
from edge.cli_rule_readings import CsvOption, instant, newest_of, source_of
from edge.service import DEFAULT_DATA

if TYPE_CHECKING:
    from edge.config.configuration import Configuration
    from edge.replay import CsvReadings, StoredReadings
    from rules.rehearsal import Rehearsal, Teacher
    from rules.rulebook import Rule


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

    configuration = loaded(config)
    begin, end = instant(since, "--since"), instant(until, "--until")
    if end <= begin:
        raise fail("--until must lie behind --since", 2)
    readings = source_of(configuration, data, csv)
    asked = end
    if not to_the_end:
        end = max(begin + 1, min(end, newest_of(readings) + 1))
    new = [p.rule for p in shelf_of(rules).rules] if rules else list(configuration.rules)
    teacher = teacher_of(configuration, data, readings)
    after = _rehearse(configuration, new, readings, begin, end, teacher)
    before = None
    if against:
        old = [p.rule for p in shelf_of(against).rules]
        before = _rehearse(configuration, old, readings, begin, end, teacher)
    difference = compare(before, after) if before is not None else None
    if as_json:
        report = rehearsal_as_json(after)
        if difference is not None and before is not None:
            report["before"] = rehearsal_as_json(before)
            report["difference"] = difference_as_json(difference)
        typer.echo(json.dumps(report, ensure_ascii=False, indent=2))
        return
    for line in rehearsal_lines(after):
        typer.echo(line)
    if end < asked:
        typer.echo(f"played until {shown(end)}, where the readings end (--to-the-end plays on)")
    for line in difference_lines(difference) if difference is not None else ():
        typer.echo(line)


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
        raise fail("\n".join(wrong), 2)
    try:
        if isinstance(readings, StoredReadings):
            return rehearse_columns(
                rules, site, configuration.calendar, readings, begin, end,
                watch=_progress(begin, end), teacher=teacher,
            )  # fmt: skip
        stream = readings.between(begin - LEAD_MS, end)
        return rehearse(rules, site, configuration.calendar, stream, begin, end, teacher=teacher)
    except Unreadable as error:
        raise fail(str(error)) from error


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
