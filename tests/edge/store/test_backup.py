"""Backup and restore: whole or not at all, and never under a running gateway."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from edge.agent import CORE, TELEMETRY
from edge.clock import now
from edge.store.archivist import Archivist, Keeping
from edge.store.backup import BackupError, InUse, back_up, exclusive, nightlies, nightly, restore, verify
from edge.store.catalogue import DAY_MS
from edge.store.database import connect
from edge.store.folder import DataFolder
from tests.support.damage import WAYS
from tests.support.stores import core, reading, telemetry

NAMES = ("core.db", "telemetry.db")
BEGIN = 20_000 * DAY_MS


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


async def sealed_days(data: Path, days: int, begin: int = 0) -> None:
    """So many days of one point, sealed and rolled up but for the last."""
    async with telemetry(data) as (database, store):
        for day in range(begin, begin + days):
            start = BEGIN + day * DAY_MS
            await store.append(
                [reading("env-1", "co2", 400.0 + n % 50, start + n * 60_000) for n in range(1440)], 0
            )
        at = BEGIN + (begin + days) * DAY_MS
        keeper = Archivist(database, Keeping(400 * DAY_MS, 1 << 40), (), lambda: at, spare=lambda _: 1)
        await keeper.step()
        await keeper.close()


async def test_sealed_days_come_back_and_unchanged_ones_are_linked_to_the_backup_before(
    tmp_path: Path,
) -> None:
    data, shelf = tmp_path / "data", tmp_path / "shelf"
    data.mkdir()
    shelf.mkdir()
    await sealed_days(data, 3)
    told: list[tuple[str, int, int]] = []
    first = back_up(data, shelf, ("telemetry.db",), BEGIN, lambda *one: told.append(one))
    assert [name for name, _, _ in told] == list(verify(first))
    assert told[-1][1] == told[-1][2] == sum(kept.bytes for kept in verify(first).values())
    async with telemetry(data) as (_, store):
        before = await store.history("env-1", "co2", 0, 1 << 60)
    await sealed_days(data, 1, begin=3)
    second = back_up(data, shelf, ("telemetry.db",), BEGIN + 1000)

    def shared(name: str) -> bool:
        return (first / name).stat().st_ino == (second / name).stat().st_ino

    names = [f"history/raw-2024-10-0{n}.db" for n in (4, 5, 6, 7)]
    assert [shared(name) for name in names[:2]] == [True, True]
    assert set(verify(second)) == {"telemetry.db", "history/rollups-2024-10.db", *names}
    assert not shared("history/rollups-2024-10.db"), "the month's rollups have grown"

    assert set(restore(first, data, BEGIN + 2000)) == set(verify(first))
    async with telemetry(data) as (_, store):
        assert await store.history("env-1", "co2", 0, 1 << 60) == before
    assert len(list(data.glob("history.before-*/raw-*.db"))) == 4, "what was there is set aside"


async def test_a_spoilt_earlier_backup_is_not_linked_to(tmp_path: Path) -> None:
    data, shelf = tmp_path / "data", tmp_path / "shelf"
    data.mkdir()
    shelf.mkdir()
    await sealed_days(data, 2)
    first = back_up(data, shelf, ("telemetry.db",), BEGIN)
    spoilt = first / "history" / "raw-2024-10-04.db"
    spoilt.write_bytes(spoilt.read_bytes()[:-1] + b"!")
    second = back_up(data, shelf, ("telemetry.db",), BEGIN + 1000)
    assert "history/raw-2024-10-04.db" in verify(second)
    with pytest.raises(BackupError, match="SHA-256"):
        verify(first)


async def test_a_backup_that_has_no_room_or_is_damaged_leaves_everything_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    await sealed_days(data, 2)
    folder = back_up(data, tmp_path, ("telemetry.db",), BEGIN)
    monkeypatch.setattr("edge.store.backup.free_bytes", lambda _: 1000)
    there = sorted(path.name for path in data.rglob("*"))
    with pytest.raises(BackupError, match="room"):
        restore(folder, data, BEGIN)
    assert [name for name in sorted(path.name for path in data.rglob("*")) if name != "lock"] == there
