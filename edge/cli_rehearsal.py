"""A rehearsal in words and as JSON, for the command line."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rules.intent import Act
    from rules.rehearsal import Difference, Occurrence, Rehearsal

SHOWN = 200
"""More of a kind than this are only counted."""


def rehearsal_as_json(found: Rehearsal) -> dict[str, Any]:
    """All of a rehearsal, times in RFC 3339."""
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


def rehearsal_lines(found: Rehearsal) -> list[str]:
    """A rehearsal for people, at most SHOWN lines of each kind."""
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


def difference_as_json(found: Difference) -> dict[str, Any]:
    """What an older revision did otherwise."""
    return {
        "both": found.both,
        "only_before": [_row(one) for one in found.only_before],
        "only_after": [_row(one) for one in found.only_after],
    }


def difference_lines(found: Difference) -> list[str]:
    """The same for people."""
    lines = [
        f"against the older revision: {found.both} the same, "
        f"{len(found.only_before)} gone, {len(found.only_after)} new"
    ]
    for mark, some in (("-", found.only_before), ("+", found.only_after)):
        lines += [f"{mark} {_line(one)}" for one in some[:SHOWN]]
    return lines


def _row(one: Occurrence) -> dict[str, Any]:
    from edge.replay import shown

    return {
        **one._asdict(),
        "raised_at": shown(one.raised_at),
        "cleared_at": None if one.cleared_at is None else shown(one.cleared_at),
    }


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
