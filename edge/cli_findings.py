"""`campus-edge rules findings`: what was wasted or odd, how much, and how surely."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.cli_options import DataOption, JsonOption, fail
from edge.service import DEFAULT_DATA

if TYPE_CHECKING:
    from rules.finding import Finding

ALL_TIME = 1 << 62
INCONCLUSIVE = "不足以下结论"


def rules_findings(
    since: Annotated[str | None, typer.Option("--since", help="RFC 3339, or a date")] = None,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """What was found: waste, leaks, oddities, with estimated kWh or m3 and their uncertainty."""
    from edge.replay import parse_instant

    try:
        begin = 0 if since is None else parse_instant(since)
    except ValueError as error:
        raise fail(f"--since: {error}", 2) from error
    found = _stored(data, begin)
    if as_json:
        typer.echo(json.dumps([finding_row(one) for one in found], ensure_ascii=False, indent=2))
        return
    for line in finding_lines(found, len(found)):
        typer.echo(line)
    if not found:
        typer.echo("nothing was found")


def _stored(data: Path, since: int) -> list[Finding]:
    from edge.store.findings import stored_findings

    path = data / "core.db"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return stored_findings(connection, since, ALL_TIME, 10_000)
    except sqlite3.DatabaseError as error:
        raise fail(f"{path} cannot be read: {error}") from error


def finding_row(one: Finding) -> dict[str, Any]:
    """A finding as JSON."""
    from edge.replay import shown

    row = asdict(one)
    row["began_at"] = shown(one.began_at)
    row["ended_at"] = None if one.ended_at is None else shown(one.ended_at)
    return row


def finding_lines(found: Sequence[Finding], most: int) -> list[str]:
    """Findings one by one, and what they come to by rule."""
    lines = [_line(one) for one in found[:most]]
    if len(found) > most:
        lines.append(f"... and {len(found) - most} more findings (see --json)")
    total: dict[tuple[str, str], float] = {}
    for one in found:
        if one.amount is not None:
            total[one.rule, one.unit] = total.get((one.rule, one.unit), 0.0) + one.amount
    lines += [f"{rule:28} est. {amount:10.1f} {unit}" for (rule, unit), amount in sorted(total.items())]
    return lines


def _line(one: Finding) -> str:
    from edge.replay import shown

    end = "goes on" if one.ended_at is None else f"{(one.ended_at - one.began_at) / 3_600_000:.1f} h"
    amount = "" if one.amount is None else f"{one.amount:.1f} {one.unit}"
    if one.amount is not None and one.spread is not None:
        amount = f"{one.amount:.1f} ± {one.spread:.1f} {one.unit}"
    weak = f"  {INCONCLUSIVE}: {one.weak}" if one.weak else ""
    suspects = ", ".join(f"{s.device} +{s.excess:.1f}" for s in one.suspects)
    who = f"  [{suspects}]" if suspects else ""
    return f"{shown(one.began_at)}  {one.kind:7} {one.rule:24} {one.scope:14} {end:>9}  {amount}{weak}{who}"
