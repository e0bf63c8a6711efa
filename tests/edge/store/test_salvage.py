"""Damaged files: the folder opens all the same, and nearly all rows come back."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from edge.agent import CORE, TELEMETRY
from edge.clock import now
from edge.store.folder import DataFolder
from tests.support.damage import SALVAGED, WAYS
from tests.support.stores import core, reading, telemetry

READINGS = 20_000


@asynccontextmanager
async def opened(folder: Path, noticed: list[str] | None = None) -> AsyncIterator[DataFolder]:
    async with AsyncExitStack() as stack:
        told = (lambda: noticed.append("damaged")) if noticed is not None else (lambda: None)
        yield await DataFolder.open(folder, CORE, TELEMETRY, now, told, stack)


async def fill(folder: Path, readings: int = READINGS) -> None:
    async with opened(folder):
        pass
    async with telemetry(folder) as (_, store):
        for start in range(0, readings, 5_000):
            await store.append(
                [
                    reading("env-1", "co2", float(n), 1_000_000 + 1000 * n)
                    for n in range(start, start + 5_000)
                ],
                0,
            )
    async with core(folder) as database:
        await database.run(
            lambda c: c.executemany(
                "INSERT INTO transition(change, rule, scope, occurrence, at, state) VALUES(?,?,?,?,?,?)",
                [("raised", "r", "s", f"o{n}", n, "{}" * 50) for n in range(5_000)],
            )
        )
        await database.run(lambda c: c.execute("INSERT INTO cursors VALUES('alarms','d',7,7)"))


async def rows(database_path: Path, table: str) -> int:
    connection = sqlite3.connect(database_path)
    (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    connection.close()
    return int(count)


@pytest.mark.parametrize("way", WAYS)
async def test_a_spoilt_telemetry_file_is_replaced_and_its_rows_come_back(tmp_path: Path, way: str) -> None:
    await fill(tmp_path)
    WAYS[way](tmp_path / "telemetry.db")
    noticed: list[str] = []
    async with opened(tmp_path, noticed) as folder:
        if not folder.findings:  # only a look at every page finds it
            await folder.check(folder.telemetry)
            await asyncio.sleep(0)
            assert noticed == ["damaged"]
    async with opened(tmp_path) as folder:
        if not folder.findings and not list(tmp_path.glob("telemetry.db*corrupt*")):
            assert way == "empty"
        await folder.salvage()
        assert all(salvage.progress.done for salvage, _ in folder.salvages)
    if way in SALVAGED:
        assert await rows(tmp_path / "telemetry.db", "moments") >= SALVAGED[way] * READINGS
    if way not in ("empty", "junk log"):
        assert [
            p
            for p in tmp_path.glob("telemetry.db.corrupt-*")
            if not p.name.endswith(("-wal", "-shm", "-page1"))
        ]


@pytest.mark.parametrize("way", WAYS)
async def test_a_spoilt_core_file_is_whole_again_when_the_start_goes_on(tmp_path: Path, way: str) -> None:
    await fill(tmp_path, 5_000)
    WAYS[way](tmp_path / "core.db")
    async with opened(tmp_path) as folder:
        assert [finding.file for finding in folder.findings] == ["core.db"]
        if way in SALVAGED and way != "zeroed first page":  # its schema fills more than that page
            count = await folder.core.read(
                lambda c: c.execute("SELECT count(*) FROM transition").fetchone()[0]
            )
            assert count >= SALVAGED[way] * 5_000
        await folder.core.run(
            lambda c: c.execute(
                "INSERT INTO transition(change, rule, scope, occurrence, at, state)"
                " VALUES('a','b','c','d',1,'e')"
            )
        )
        (newest,) = await folder.core.read(lambda c: c.execute("SELECT max(id) FROM transition").fetchone())
        if way in SALVAGED and way != "zeroed first page":
            assert newest > 5_000, "a cursor of the old file must not skip what is new"


async def test_a_first_start_finds_nothing_and_neither_does_a_second(tmp_path: Path) -> None:
    for _ in range(2):
        async with opened(tmp_path) as folder:
            assert folder.findings == []


async def test_a_missing_file_is_told_as_lost_data(tmp_path: Path) -> None:
    await fill(tmp_path, 5_000)
    for name in ("core.db", "telemetry.db"):
        (tmp_path / name).unlink()
        async with opened(tmp_path) as folder:
            assert [(f.file, f.kind) for f in folder.findings] == [(name, "empty")]


async def test_what_no_destination_has_yet_is_sent_again_and_what_it_has_is_not(tmp_path: Path) -> None:
    await fill(tmp_path, 5_000)
    async with telemetry(tmp_path) as (database, _):
        await database.run(lambda c: c.execute("INSERT INTO cursors VALUES('d', 3000, 3000)"))
    WAYS["zeroed header"](tmp_path / "telemetry.db")
    async with opened(tmp_path) as folder:
        await folder.salvage()
        below = "SELECT count(*) FROM moments WHERE id<=3000"
        assert await folder.telemetry.read(lambda c: c.execute(below).fetchone()[0]) == 3000
        beyond = "SELECT count(*), min(id) FROM moments WHERE id>3000"
        count, least = await folder.telemetry.read(lambda c: tuple(c.execute(beyond).fetchone()))
        assert (count, least > 5_000) == (2_000, True)
