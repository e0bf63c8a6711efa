"""What a gateway writes to its card: a process of its own, so that the kernel counts its bytes alone.

    python -m tests.bench.card ours|rows SECONDS FOLDER

200 readings a second (200 devices of five points, each read every five seconds) for so many seconds of
simulated time, in groups of ten. `ours` is the gateway's own store with its sealing (in the helper
process), a destination's cursor that moves after each group, and the core file with an alarm every ten
minutes; `rows` are plain `(series, at, value)` rows with an index, in the same groups. Both commit with
`synchronous=FULL`. Printed: bytes that were sent to the disk, of this process and those it started
(`write_bytes` of `/proc/self/io`), and readings.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

from drivers.reading import Reading
from edge.agent import CORE_MIGRATIONS
from edge.store import backup
from edge.store.archivist import Archivist, Keeping
from edge.store.catalogue import DAY_MS
from edge.store.database import Database
from edge.store.moments import MIGRATIONS, Shape, Source
from edge.store.outbox import ReadingOutbox
from edge.store.readings import ReadingStore
from tests.bench.fill import Tick, school_day

DEVICES, POINTS, EVERY_S, GROUP_S = 200, 5, 5, 10
BEGIN = 20_000 * DAY_MS
ALARM_EVERY_S, HOUSEKEEPING_EVERY_S = 600, 1800


def written() -> int:
    """Bytes sent to the disk by this process and by those of its children that have ended."""
    for line in Path("/proc/self/io").read_text().splitlines():
        name, _, value = line.partition(": ")
        if name == "write_bytes":
            return int(value)
    raise RuntimeError("/proc/self/io tells no write_bytes")


def ticks(seconds: int) -> Iterator[Tick]:
    """The readings, tick by tick, at the instants at which they are read."""
    for number, (_, tick) in enumerate(school_day(DEVICES, POINTS, BEGIN, seconds // EVERY_S)):
        yield BEGIN + number * EVERY_S * 1000, tick


async def ours(folder: Path, seconds: int) -> tuple[int, int]:
    """Bytes written and readings stored by the gateway's own parts."""
    shapes = tuple(Shape(f"r{n:02d}", "1", "number") for n in range(POINTS))
    sources = [Source(f"d{n}", "sensor", "room", "house", shapes) for n in range(DEVICES)]
    telemetry, core = (
        Database(folder / "telemetry.db", MIGRATIONS),
        Database(folder / "core.db", CORE_MIGRATIONS),
    )
    await telemetry.open()
    await core.open()
    store = ReadingStore(telemetry, sources)
    await store.load()
    outbox = ReadingOutbox(telemetry, {}, _no_park, store.helper)
    now = BEGIN
    keeper = Archivist(telemetry, Keeping(400 * DAY_MS, 1 << 50), ("a",), lambda: now, spare=lambda _: 1)
    start = written()
    group: list[Reading] = []
    for at, tick in ticks(seconds):
        now = at
        group += [Reading(device, point, value, "1", at, at + 40) for device, point, value in tick]
        second = (at - BEGIN) // 1000
        if second % GROUP_S == GROUP_S - EVERY_S:
            await store.append(group, now)
            await outbox.accept("a", store.stored // POINTS, len(group))
            group = []
        if second % ALARM_EVERY_S == 0:
            await core.run(lambda c, n=second: _alarm(c, n))  # type: ignore[misc]
        if second % HOUSEKEEPING_EVERY_S == 0:
            await keeper.step()
            await telemetry.fold()
            await core.fold()
    now += 2 * DAY_MS  # what is still hot is sealed too
    await keeper.step()
    backup.nightly(folder / "core.db", now)
    await keeper.close()
    await store.close()
    await telemetry.close()
    await core.close()
    return written() - start, store.stored


async def _no_park(*_: object) -> None:
    raise AssertionError("nothing is refused here")


def _alarm(connection: sqlite3.Connection, second: int) -> None:
    for change in ("raised", "cleared"):
        connection.execute(
            "INSERT INTO transition(change, rule, scope, occurrence, at, state) VALUES(?,?,?,?,?,?)",
            (change, "r", "s", f"o{second}", BEGIN + second * 1000, "{}" * 200),
        )


def rows(folder: Path, seconds: int) -> tuple[int, int]:
    """Bytes written and readings stored as plain rows."""
    connection = sqlite3.connect(folder / "rows.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE readings(series INTEGER, at INTEGER, value)")
    connection.execute("CREATE INDEX readings_series_at ON readings(series, at)")
    start, stored = written(), 0
    group: list[tuple[int, int, float]] = []
    for at, tick in ticks(seconds):
        group += [(number, at, value) for number, (_, _, value) in enumerate(tick)]
        if (at - BEGIN) // 1000 % GROUP_S == GROUP_S - EVERY_S:
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO readings VALUES(?,?,?)", group)
            connection.execute("COMMIT")
            stored, group = stored + len(group), []
    connection.close()
    return written() - start, stored


def main() -> None:
    """Writes and prints."""
    way, seconds, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    done = asyncio.run(ours(folder, seconds)) if way == "ours" else rows(folder, seconds)
    print(json.dumps({"written": done[0], "readings": done[1]}))


if __name__ == "__main__":
    main()
