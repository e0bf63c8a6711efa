"""Backup and restore: whole or not at all, and never under a running gateway."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from edge.agent import CORE, TELEMETRY
from edge.clock import now
from edge.store.backup import BackupError, InUse, back_up, exclusive, nightlies, nightly, restore
from edge.store.database import connect
from edge.store.folder import DataFolder
from tests.support.damage import WAYS
from tests.support.stores import core, reading, telemetry

NAMES = ("core.db", "telemetry.db")


async def test_a_backup_taken_in_use_comes_back_with_all_that_was_committed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with AsyncExitStack() as stack:
        await DataFolder.open(data, CORE, TELEMETRY, now, lambda: None, stack)
    async with telemetry(data) as (_, store), core(data) as database:
        await store.append([reading("env-1", "co2", 1.0, n * 1000) for n in range(1, 500)], 0)
        await database.run(lambda c: c.execute("INSERT INTO cursors VALUES('alarms','d',7,7)"))
        (data / "history").mkdir(exist_ok=True)
        connect(data / "history" / "raw-2026-09-01.db", [("CREATE TABLE blocks(id INTEGER)",)]).close()
        folder = back_up(data, tmp_path, NAMES, now())
        await store.append([reading("env-1", "co2", 2.0, n * 1000) for n in range(500, 600)], 0)
    (data / "history" / "raw-2026-09-01.db").unlink()
    assert restore(folder, data, now()) == [*NAMES, "history/raw-2026-09-01.db"]
    assert (data / "history" / "raw-2026-09-01.db").is_file()
    async with AsyncExitStack() as stack:
        opened = await DataFolder.open(data, CORE, TELEMETRY, now, lambda: None, stack)
        assert opened.findings == []
        count = "SELECT count(*) FROM moments"
        assert await opened.telemetry.read(lambda c: c.execute(count).fetchone()[0]) == 499
        assert await opened.core.read(lambda c: c.execute("SELECT position FROM cursors").fetchone()[0]) == 7
    assert list(data.glob("telemetry.db.before-*"))


async def test_a_backup_that_was_changed_or_is_half_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    async with telemetry(tmp_path / "data"):
        pass
    folder = back_up(tmp_path / "data", tmp_path / "copy", NAMES, now())
    with (folder / "telemetry.db").open("r+b") as file:
        file.seek(5000)
        file.write(b"x")
    with pytest.raises(BackupError, match="SHA-256"):
        restore(folder, tmp_path / "data", now())
    (folder / "manifest.json").unlink()
    with pytest.raises(BackupError, match="no whole backup"):
        restore(folder, tmp_path / "data", now())


async def test_nothing_is_restored_under_a_running_gateway(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    async with core(tmp_path / "data"):
        pass
    folder = back_up(tmp_path / "data", tmp_path, NAMES, now())
    with exclusive(tmp_path / "data"), pytest.raises(InUse):
        restore(folder, tmp_path / "data", now())


async def test_seven_nightly_copies_stay_and_the_newest_fills_a_lost_file(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        folder = await DataFolder.open(tmp_path, CORE, TELEMETRY, now, lambda: None, stack)
        await folder.core.run(
            lambda c: c.execute("INSERT INTO api_tokens VALUES('hash', 'grafana', 'viewer', 1)")
        )
        for day in range(10):
            nightly(tmp_path / "core.db", now() + day * 86_400_000)
    assert len(nightlies(tmp_path / "core.db")) == 7
    for way in ("empty", "no database"):
        WAYS[way](tmp_path / "core.db")
        async with AsyncExitStack() as stack:
            folder = await DataFolder.open(tmp_path, CORE, TELEMETRY, now, lambda: None, stack)
            assert len(folder.findings) == 1
            assert await folder.core.read(lambda c: c.execute("SELECT name FROM api_tokens").fetchone()[0])
