"""What a backtest finds in the data folder is what happened live: the same occurrences at the same times,
though the gateway was killed again and again."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from drivers.reading import Millis
from edge.cli import app
from edge.replay import parse_instant, shown
from edge.store import catalogue
from edge.store.alarms import AlarmStore
from edge.store.catalogue import Policy
from edge.store.sealing import seal
from tests.end_to_end.school_week import ROUND_MS, START, LiveSchool, configure
from tests.support.stores import core

H, M = 3_600_000, 60_000


class Told(NamedTuple):
    """What must be the same. Not the number in the message: it may be of a reading that a kill has lost."""

    raised_at: Millis
    rule: str
    scope: str
    cleared_at: Millis | None
    told: bool


async def happened(data: Path, end: Millis) -> list[Told]:
    """The occurrences that the gateway has stored, as of a little before its end."""
    async with core(data) as database:
        states = await AlarmStore(database).raised_between(START, end)
    found = []
    for s in states:
        cleared = s.cleared_at if s.cleared_at is not None and s.cleared_at < end else None
        found.append(Told(s.raised_at or 0, s.rule, s.scope, cleared, s.told))
    return sorted(found)


def rehearsed(config: Path, data: Path, end: Millis) -> list[Told]:
    """Those that `rules backtest` finds."""
    span = ("--since", shown(START), "--until", shown(end + 2 * M))
    said = CliRunner().invoke(
        app, ["rules", "backtest", "-c", str(config), "--data", str(data), *span, "--json"]
    )
    assert said.exit_code == 0, said.output
    found = []
    for one in json.loads(said.output)["occurrences"]:
        raised = parse_instant(one["raised_at"])
        cleared = None if one["cleared_at"] is None else parse_instant(one["cleared_at"])
        cleared = cleared if cleared is not None and cleared < end else None
        if raised < end:
            found.append(Told(raised, one["rule"], one["scope"], cleared, one["told"]))
    return sorted(found)


def seal_all(data: Path, now: Millis) -> None:
    """What is older than an hour goes into blocks, as in the gateway."""
    with closing(sqlite3.connect(data / "telemetry.db", isolation_level=None)) as connection:
        while (batch := seal(data, now, Policy(H, 6 * H))) is not None:
            catalogue.register(connection, batch)


@pytest.mark.parametrize(
    ("minutes", "kills"),
    [
        pytest.param(2 * 60, 4, id="two hours"),
        pytest.param(7 * 1440, 30, id="a week", marks=[pytest.mark.slow, pytest.mark.timeout(3600)]),
    ],
)
async def test_a_backtest_finds_the_occurrences_that_happened_live(
    tmp_path: Path, minutes: int, kills: int
) -> None:
    configuration, data = configure(tmp_path), tmp_path / "data"
    live = LiveSchool(configuration, data, 1)
    await live.run(minutes, kills)
    seal_all(data, live.now)
    end = START + minutes * ROUND_MS - 2 * M
    there = await happened(data, end)
    assert rehearsed(configuration.path, data, end) == there
    assert len({one.rule for one in there}) >= 3
