"""Another version over the same data: the backlog is whole, whenever the power goes and whichever way."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edge.agent import CORE_MIGRATIONS
from edge.store.database import connect
from edge.store.moments import MIGRATIONS
from edge.store.salvage import TODO
from tests.end_to_end.numbered_school import NumberedSchool, numbered_school

Migrations = Sequence[Sequence[str]]
FILES: dict[str, Migrations] = {"core.db": CORE_MIGRATIONS, "telemetry.db": MIGRATIONS}


def _opened_until(statement: int, path: Path, migrations: Migrations) -> bool:
    """Opens a file as the gateway does in a process that dies before its n-th statement; true when done."""

    class Mortal(sqlite3.Connection):
        left = statement

        def execute(self, *arguments: Any) -> sqlite3.Cursor:
            Mortal.left -= 1
            if Mortal.left < 0:
                os._exit(9)
            return super().execute(*arguments)

    child = os.fork()
    if child == 0:
        open_one = sqlite3.connect
        sqlite3.connect = partial(open_one, factory=Mortal)  # type: ignore[assignment]
        connect(path, migrations).close()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return status == 0


def _as_of(version: int, path: Path, migrations: Migrations) -> None:
    """Turns a file into what an earlier version of the software had: its schema, and the rows it knew."""
    old = path.with_name(f"{path.name}.old")
    connect(old, migrations[:version]).close()
    for ending in ("-wal", "-shm"):
        assert not path.with_name(path.name + ending).exists(), "the gateway has not ended in good order"
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS now", (str(path),))
        tables = [
            row[0] for row in connection.execute("SELECT name FROM main.sqlite_master WHERE type='table'")
        ]
        there = {
            row[0] for row in connection.execute("SELECT name FROM now.sqlite_master WHERE type='table'")
        }
        for table in tables:
            if table not in there:
                continue
            known = {row[1] for row in connection.execute(f"PRAGMA now.table_info({table})")}
            columns = [row[1] for row in connection.execute(f"PRAGMA main.table_info({table})")]
            shared = ", ".join(column for column in columns if column in known)
            connection.execute(f"DELETE FROM main.{table}")
            connection.execute(f"INSERT INTO main.{table}({shared}) SELECT {shared} FROM now.{table}")
        connection.execute("DETACH now")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    old.replace(path)
    for ending in ("-wal", "-shm"):
        old.with_name(old.name + ending).unlink(missing_ok=True)


def _version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


async def _a_backlog(school: NumberedSchool) -> None:
    """Runs for a while with the uplink down, and ends in good order."""
    school.influx.down = True
    await school.begin()
    await asyncio.sleep(3)
    await asyncio.to_thread(school.gateway.stop)


async def _exact(school: NumberedSchool) -> None:
    """The gateway runs: what it stored before and stores now arrives once, by count, sum and number."""
    school.influx.down = False
    await asyncio.sleep(1)
    await school.quiet()
    await asyncio.sleep(2)
    await school.drained()
    await asyncio.to_thread(school.gateway.stop)
    sent, stored, delivered = school.sent(), school.stored(), await school.delivered()
    assert len(sent) == 12
    for device, numbers in sent.items():
        assert delivered[device] == stored[device], device
        assert set(stored[device]) <= set(numbers), device
        assert len(set(stored[device])) == len(stored[device]), device
        # each stop costs a polled device at most the exchange under way
        assert len(numbers) - len(stored[device]) <= (0 if device.startswith("mqtt") else 2), device


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", [pytest.param("core.db", marks=pytest.mark.slow), "telemetry.db"])
def test_a_file_is_of_one_version_or_the_next_whenever_its_upgrade_is_killed(
    tmp_path: Path, name: str
) -> None:
    migrations = FILES[name]
    before, after = len(migrations) - 1, len(migrations)
    old = tmp_path / "old.db"
    connection = connect(old, migrations[:before])
    connection.execute("CREATE TABLE kept(number INTEGER)")
    connection.executemany("INSERT INTO kept VALUES(?)", [(n,) for n in range(500)])
    connection.close()
    seen = set()
    for statement in range(1000):
        trial = tmp_path / f"trial-{statement}.db"
        shutil.copyfile(old, trial)
        done = _opened_until(statement, trial, migrations)
        seen.add(_version(trial))
        connect(trial, migrations).close()
        assert _version(trial) == after
        with closing(sqlite3.connect(trial)) as connection:
            assert connection.execute("SELECT count(*), sum(number) FROM kept").fetchone() == (500, 124_750)
        if done:
            break
    assert seen == {before, after}


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "back", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in range(2, max(map(len, FILES.values()))))]
)
async def test_files_of_an_earlier_version_are_brought_up_and_their_backlog_arrives(
    tmp_path: Path, back: int
) -> None:
    async with numbered_school(tmp_path) as school:
        await _a_backlog(school)
        for name, migrations in FILES.items():
            _as_of(max(1, len(migrations) - back), school.gateway.data / name, migrations)
        await asyncio.to_thread(school.gateway.start)
        for name, migrations in FILES.items():
            assert _version(school.gateway.data / name) == len(migrations)
        await _exact(school)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_after_a_rollback_the_newer_files_are_kept_aside_and_their_backlog_arrives(
    tmp_path: Path,
) -> None:
    async with numbered_school(tmp_path) as school:
        await _a_backlog(school)
        for name in FILES:
            with closing(sqlite3.connect(school.gateway.data / name)) as connection:
                connection.execute("CREATE TABLE of_a_later_version(what TEXT)")
                connection.execute("PRAGMA user_version=1000")
                connection.commit()
        await asyncio.to_thread(school.gateway.start)
        for name, migrations in FILES.items():
            (kept,) = (
                path
                for path in school.gateway.data.glob(f"{name}.corrupt-*")
                if not path.name.endswith(("-wal", "-shm", TODO))
            )
            assert _version(kept) == 1000
            assert _version(school.gateway.data / name) == len(migrations)
        await _exact(school)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_backup_from_before_the_upgrade_brings_the_old_state_back(tmp_path: Path) -> None:
    async with numbered_school(tmp_path) as school:
        await _a_backlog(school)
        gateway = school.gateway
        backups = tmp_path / "backups"
        backups.mkdir()
        folder = gateway.cli("backup", "--data", str(gateway.data), "--to", str(backups)).strip()
        for name in FILES:
            with closing(sqlite3.connect(gateway.data / name)) as connection:
                connection.execute("PRAGMA user_version=1000")
                connection.commit()
        gateway.cli("restore", "--data", str(gateway.data), "--from", folder)
        await asyncio.to_thread(gateway.start)
        await _exact(school)
