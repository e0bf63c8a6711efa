"""Power cuts: what somebody was told of, or was told is acknowledged, is there when the power returns."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge.store import audit
from tests.end_to_end.room import Room, a_room
from tests.support.facilities import needs
from tests.support.faults import Card

GROUP_S = 0.5
SLACK_S = 2.0
"""From the sensor's word to its commit beside the group's own time, on a busy machine."""


@dataclass
class Promises:
    """What the outside world was told before the cut."""

    occurrences: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    said_at: list[tuple[float, float]] = field(default_factory=list)
    under_way: set[float] = field(default_factory=set)
    """Numbers that a cut caught before their commit; they may be missing for good."""


async def live(room: Room, promises: Promises, until: float) -> None:
    """The sensor speaks, the button is pressed and alarms are acknowledged, until the time comes."""
    pressed = False
    while time.monotonic() < until:
        room.say()
        promises.said_at.append((time.monotonic(), float(room.sent)))
        pressed = not pressed
        room.press(pressed)
        await asyncio.sleep(0.15)
        for alarm in (await room.get("/alarms", state="all"))["items"]:
            if alarm["state"] in ("unacknowledged", "returned_unacknowledged"):
                try:
                    await asyncio.to_thread(room.gateway.post, f"/alarms/{alarm['id']}/ack", {"note": "x"})
                except AssertionError:  # it was closed meanwhile: nothing was promised
                    continue
                promises.acknowledged.add(alarm["id"])
                break
        promises.occurrences |= {str(b["data"]["occurrence"]) for b in room.pushes("panic")}


def judge(data: Path, promises: Promises) -> None:
    """The files are whole and every promise is kept."""
    for name in ("core.db", "telemetry.db"):
        with closing(sqlite3.connect(data / name)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    with closing(sqlite3.connect(data / "core.db")) as connection:
        stored = {row[0] for row in connection.execute("SELECT id FROM occurrence")}
        assert promises.occurrences <= stored
        changes = connection.execute("SELECT occurrence FROM transition WHERE change='acked'")
        assert promises.acknowledged <= {row[0] for row in changes}
        assert audit.verify(connection) is None


async def cuts(tmp_path: Path, count: int, seed: int) -> None:
    chance = random.Random(seed)
    card = Card(tmp_path / "cards")
    try:
        async with a_room(tmp_path, card.mounted / "data") as room:
            promises = Promises()
            for _ in range(count):
                await room.begin()
                await live(room, promises, time.monotonic() + chance.uniform(0.8, 3.0))
                os.kill(room.gateway.pid, signal.SIGSTOP)
                cut_at = time.monotonic()
                await asyncio.to_thread(card.photograph)
                await asyncio.to_thread(room.gateway.kill)
                await asyncio.to_thread(card.power_returns)
                judge(room.gateway.data, promises)
                stored = room.gateway.stored()[("env-1", "co2")]
                must = [n for at, n in promises.said_at if at < cut_at - GROUP_S - SLACK_S]
                missing = set(must) - set(stored)
                assert missing <= promises.under_way, "more than the group under way is lost"
                promises.under_way |= {n for _, n in promises.said_at} - set(stored)
            started = time.monotonic()
            await room.begin()
            assert time.monotonic() - started < 10
            await asyncio.to_thread(room.gateway.stop)
            assert promises.occurrences and promises.acknowledged
    finally:
        card.close()


@pytest.mark.timeout(1800)
@needs("loop")
@pytest.mark.parametrize(("count", "seed"), [(3, 20261124), pytest.param(200, 7, marks=pytest.mark.slow)])
async def test_power_cuts_lose_nothing_that_was_promised(tmp_path: Path, count: int, seed: int) -> None:
    await cuts(tmp_path, count, seed)
