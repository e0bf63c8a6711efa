"""Broken files and disks against the real gateway: it collects, alarms and pushes all the same."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path

import pytest

from tests.end_to_end.numbered_school import numbered_school
from tests.end_to_end.room import a_room
from tests.support.damage import SALVAGED, WAYS
from tests.support.facilities import needs
from tests.support.faults import Card, fill_up, injected, remount, volume, writes_refused

ROWS = 20_000
QUICK = ("zeroed header", "empty")
"""Kinds of damage that every run tries on the whole gateway; the store's own tests try them all."""


def _moments(path: Path) -> int:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    (count,) = connection.execute("SELECT count(*) FROM moments").fetchone()
    connection.close()
    return int(count)


def _fill(path: Path) -> None:
    """Many rows of a former time, as the gateway would have left them."""
    connection = sqlite3.connect(path)
    (source, body) = connection.execute("SELECT source, body FROM moments LIMIT 1").fetchone()
    at = int(time.time() * 1000) - 3_000_000
    connection.executemany(
        "INSERT INTO moments(source, at, received_at, body) VALUES(?,?,?,?)",
        [(source, at + n, at + n, body) for n in range(ROWS)],
    )
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "way",
    ["zeroed header", "empty", *(pytest.param(w, marks=pytest.mark.slow) for w in WAYS if w not in QUICK)],
)
async def test_with_a_spoilt_telemetry_file_it_collects_within_ten_seconds_and_salvages(
    tmp_path: Path, way: str
) -> None:
    async with a_room(tmp_path) as room:
        await room.begin()
        room.say()
        await room.until_shown()
        await asyncio.to_thread(room.gateway.stop)
        telemetry = room.gateway.data / "telemetry.db"
        _fill(telemetry)
        WAYS[way](telemetry)

        started = time.monotonic()
        await room.begin()
        room.say()
        await room.until_shown()
        assert time.monotonic() - started < 10

        await room.until_alarm("storage-damaged", 40)  # a few zeroed pages are found by the background check
        await room.until_pushed("storage-damaged")
        assert (await room.check("store"))["status"] == "degraded"
        if way in SALVAGED:
            async with asyncio.timeout(30):
                while _moments(telemetry) < SALVAGED[way] * ROWS:
                    await asyncio.sleep(0.3)
        if way not in ("empty", "junk log"):
            assert list(telemetry.parent.glob("telemetry.db.corrupt-*"))
        await asyncio.to_thread(room.gateway.stop)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "way",
    ["zeroed header", "empty", *(pytest.param(w, marks=pytest.mark.slow) for w in WAYS if w not in QUICK)],
)
async def test_with_a_spoilt_core_file_alarms_and_accounts_go_on(tmp_path: Path, way: str) -> None:
    async with a_room(tmp_path) as room:
        await room.begin()
        room.press(True)
        await room.until_pushed("panic")
        await asyncio.to_thread(room.gateway.stop)
        WAYS[way](room.gateway.data / "core.db")

        if way in ("zeroed header", "newer schema", "junk log"):  # no page of this small file is lost
            await room.begin()
            await room.until_pushed("storage-damaged")
            await room.until_alarm("panic")
            assert len(room.pushes("panic")) == 1, "what was told is not told again"
        else:  # perhaps nobody is known any more; then the log shows a token for the first account
            await asyncio.to_thread(room.gateway.start)
            await room.until_pushed("storage-damaged")
            assert "core.db" in room.gateway.log.read_text()
        await asyncio.to_thread(room.gateway.stop)


@pytest.mark.timeout(120)
async def test_a_disk_that_refuses_every_write_stops_neither_alarms_nor_pushes_and_all_is_stored_later(
    tmp_path: Path,
) -> None:
    async with a_room(tmp_path) as room:
        await room.begin()
        room.say()
        await room.until_shown()
        with writes_refused(room.gateway.pid):
            room.say(5)
            room.press(True)
            await room.until_shown()
            await room.until_pushed("panic", within_s=10)
            assert "尚未存盘" in room.pushes("panic")[0]["data"]["message"]
            assert (await room.until_alarm("panic"))["state"] == "unacknowledged"
            assert "storage failed" in (await room.until_check("store", "failed"))["detail"]
            await room.until_pushed("storage-failed")
            assert len(room.pushes("panic")) == 1
        await room.until_check("store", "ok", within_s=60)
        await asyncio.to_thread(room.gateway.stop)
        stored = room.gateway.stored()[("env-1", "co2")]
        assert stored == [float(n) for n in range(401, room.sent + 1)]
        await room.begin()
        await asyncio.sleep(3)
        assert len(room.pushes("panic")) == 1
        assert (await room.until_alarm("panic"))["deliveries"][0]["state"] == "delivered"
        await asyncio.to_thread(room.gateway.stop)


@pytest.mark.timeout(120)
@needs("mount")
async def test_on_a_full_disk_alarms_are_stored_in_the_room_kept_for_them(tmp_path: Path) -> None:
    with volume(tmp_path / "volume", "size=10m") as data:
        async with a_room(tmp_path, data) as room:
            await room.begin()
            room.say()
            await room.until_shown()
            assert (data / "ballast").exists()
            fill_up(data / "filler")
            room.say(20)
            await room.until_check("store", "failed")
            room.press(True)
            await room.until_pushed("panic", within_s=10)
            async with asyncio.timeout(20):
                while occurrences(data / "core.db") == 0:
                    room.press(False)
                    room.press(True)
                    await asyncio.sleep(0.5)
            room.say(20)
            await room.until_shown()
            (data / "filler").unlink()
            await room.until_check("store", "ok", within_s=60)
            await asyncio.to_thread(room.gateway.stop)
            stored = room.gateway.stored()[("env-1", "co2")]
            assert stored == [float(n) for n in range(401, room.sent + 1)]


@pytest.mark.slow
@pytest.mark.timeout(120)
@needs("mount")
async def test_it_starts_on_a_read_only_disk_and_stores_once_the_disk_lets_it(tmp_path: Path) -> None:
    with volume(tmp_path / "volume", "size=16m") as data:
        async with a_room(tmp_path, data) as room:
            await room.begin()
            room.say()
            await room.until_shown()
            await asyncio.to_thread(room.gateway.stop)
            remount(data, "ro")
            await room.begin()
            room.say(5)
            room.press(True)
            await room.until_pushed("panic", within_s=10)
            await room.until_shown()
            await room.until_check("store", "failed")
            remount(data, "rw")
            await room.until_check("store", "ok", within_s=60)
            assert len(room.pushes("panic")) == 1
            await asyncio.to_thread(room.gateway.stop)
            stored = room.gateway.stored()[("env-1", "co2")]
            assert stored == [float(n) for n in range(401, room.sent + 1)]


@pytest.mark.timeout(120)
@needs("strace")
async def test_a_card_whose_flush_fails_is_told_and_outlived(tmp_path: Path) -> None:
    async with a_room(tmp_path) as room:
        await room.begin()
        room.say()
        await room.until_shown()
        with injected(room.gateway.pid, "fdatasync:error=EIO"):
            room.say(5)
            await room.until_check("store", "failed")
            room.press(True)
            await room.until_pushed("panic", within_s=10)
        await room.until_check("store", "ok", within_s=60)
        await asyncio.to_thread(room.gateway.stop)
        stored = room.gateway.stored()[("env-1", "co2")]
        assert stored == [float(n) for n in range(401, room.sent + 1)]
        assert len(room.pushes("panic")) == 1


@pytest.mark.slow
@pytest.mark.timeout(120)
@needs("loop")
async def test_a_card_that_the_kernel_stops_writing_to_while_it_runs_silences_nobody(tmp_path: Path) -> None:
    card = Card(tmp_path / "cards")
    try:
        async with a_room(tmp_path, card.mounted / "data") as room:
            await room.begin()
            room.say(10)
            await room.until_shown()
            await asyncio.sleep(2)  # a group is committed
            card.fail()
            room.say(5)
            await room.until_shown()
            room.press(True)
            await room.until_pushed("panic", within_s=10)
            await room.until_check("store", "failed")
            await room.until_pushed("storage-failed")
            await asyncio.to_thread(room.gateway.kill)  # somebody pulls the plug
            await asyncio.to_thread(card.mend)
            await room.begin()
            await room.until_check("store", "ok")
            room.say()
            await room.until_shown()
            await asyncio.to_thread(room.gateway.stop)
            stored = room.gateway.stored()["env-1", "co2"]
            assert stored[:10] == [float(n) for n in range(401, 411)], "what was committed is there"
    finally:
        card.close()


@pytest.mark.slow
@pytest.mark.timeout(180)
@needs("strace")
async def test_a_slow_card_holds_up_no_poll(tmp_path: Path) -> None:
    polled = ("rtu-1", "dlt-1", "tcp-1")
    async with numbered_school(tmp_path) as school:

        async def rounds() -> dict[str, int]:
            """How often each device was asked, by its own account, in so long a time."""
            before = {name: school.ledger.number(name, "number") for name in polled}
            await asyncio.sleep(12)
            return {name: school.ledger.number(name, "number") - before[name] for name in polled}

        await school.begin()
        await asyncio.sleep(3)
        quick = await rounds()
        for delay_ms in (200, 2_000):
            with injected(school.gateway.pid, f"fdatasync:delay_enter={delay_ms * 1000}"):
                slow = await rounds()
            for name, count in slow.items():
                assert count >= 0.8 * quick[name], f"{name}: {count} rounds instead of {quick[name]}"
        await school.quiet()
        await asyncio.sleep(3)
        await school.drained()
        await asyncio.to_thread(school.gateway.stop)
        sent, stored = school.sent(), school.stored()
        for device, numbers in sent.items():
            assert stored[device] == numbers, device


@pytest.mark.slow
@pytest.mark.timeout(120)
@needs("strace")
async def test_a_card_that_takes_two_seconds_for_a_flush_delays_no_alarm_beyond_ten(tmp_path: Path) -> None:
    async with a_room(tmp_path) as room:
        await room.begin()
        with injected(room.gateway.pid, "fdatasync:delay_enter=2000000"):
            for _ in range(3):
                room.say()
                room.press(True)
                started = time.monotonic()
                count = len(room.pushes("panic"))
                async with asyncio.timeout(10):
                    while len(room.pushes("panic")) == count:
                        await asyncio.sleep(0.05)
                print(f"pushed after {time.monotonic() - started:.1f} s")
                room.press(False)
                await asyncio.sleep(3)
        await asyncio.to_thread(room.gateway.stop)


def occurrences(path: Path) -> int:
    """Alarms that are really in a file."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    (count,) = connection.execute("SELECT count(*) FROM occurrence").fetchone()
    connection.close()
    return int(count)
