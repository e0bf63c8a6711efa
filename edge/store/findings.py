"""Findings and baselines in the core file: few, small, and worth keeping."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, replace

import msgspec

from drivers.reading import Millis
from edge.store.database import Database
from rules.alarm import Change, Transition
from rules.baseline import Baseline
from rules.finding import Finding

SCHEMA: tuple[str, ...] = (
    """CREATE TABLE finding(
        id TEXT PRIMARY KEY, rule TEXT NOT NULL, scope TEXT NOT NULL, began_at INTEGER NOT NULL,
        ended_at INTEGER, body TEXT NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX finding_began ON finding(began_at)",
    "CREATE INDEX finding_open ON finding(rule, scope) WHERE ended_at IS NULL",
    """CREATE TABLE baseline(
        device TEXT NOT NULL, point TEXT NOT NULL, name TEXT NOT NULL, since INTEGER NOT NULL,
        body TEXT NOT NULL, PRIMARY KEY(device, point, name)) WITHOUT ROWID""",
)


def keep_findings(connection: sqlite3.Connection, transition: Transition) -> None:
    """What a transition says of findings, in its transaction. Of a rule that is closed none goes on."""
    state, finding = transition.state, transition.finding
    if finding is not None:
        _keep(connection, finding)
    if transition.change is Change.CLOSED:
        rows = connection.execute(
            "SELECT body FROM finding WHERE rule=? AND scope=? AND ended_at IS NULL",
            (state.rule, state.scope),
        ).fetchall()
        for row in rows:
            _keep(connection, replace(_finding(row[0]), ended_at=transition.at))


def _keep(connection: sqlite3.Connection, finding: Finding) -> None:
    body = msgspec.json.encode(asdict(finding)).decode()
    connection.execute(
        "INSERT OR REPLACE INTO finding VALUES(?,?,?,?,?,?)",
        (finding.id, finding.rule, finding.scope, finding.began_at, finding.ended_at, body),
    )


def _finding(body: str) -> Finding:
    return msgspec.json.decode(body, type=Finding)


class FindingStore:
    """The tables `finding` and `baseline`; findings are written with the alarms' transitions."""

    def __init__(self, core: Database) -> None:
        self._core = core

    async def findings(self, since: Millis, until: Millis, limit: int = 1000) -> list[Finding]:
        """Those that go on in [since, until) for any time of it, newest first."""
        return await self._core.read(lambda connection: stored_findings(connection, since, until, limit))

    async def baselines(self) -> list[Baseline]:
        """The newest of each counter."""

        def look(connection: sqlite3.Connection) -> list[Baseline]:
            rows = connection.execute("SELECT body FROM baseline ORDER BY device, point, name")
            return [msgspec.json.decode(row[0], type=Baseline) for row in rows]

        return await self._core.read(look)

    async def keep(self, learned: Sequence[Baseline]) -> None:
        """Keeps baselines in place of older ones."""
        rows = [
            (one.device, one.point, one.name, one.since, msgspec.json.encode(asdict(one)).decode())
            for one in learned
        ]
        await self._core.run(
            lambda c: c.executemany("INSERT OR REPLACE INTO baseline VALUES(?,?,?,?,?)", rows)
        )


def stored_findings(
    connection: sqlite3.Connection, since: Millis, until: Millis, limit: int
) -> list[Finding]:
    """See `FindingStore.findings`."""
    rows = connection.execute(
        "SELECT body FROM finding WHERE began_at<? AND (ended_at IS NULL OR ended_at>=?)"
        " ORDER BY began_at DESC LIMIT ?",
        (until, since, limit),
    )
    return [_finding(row[0]) for row in rows]
