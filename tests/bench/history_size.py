"""What a month of the virtual school takes on disk, and how long a day of one series takes to read.

    python -m tests.bench.history_size [--days 30] [--every 10] [--seed 1] [--data FOLDER]

Every device of the demonstration school is read on one grid, each value at the resolution in which its
device tells it (registers times scale, float32 where it sends that). Plain rows are
`(series, at, value)` with an index on both, of one day. `--data` keeps the store and goes on with it.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from drivers.reading import Reading, Value
from drivers.simulated.physics import School
from drivers.simulated.signals import signal
from drivers.simulated.spaces import Space
from drivers.vocabulary import PointSpec
from edge.assembly import sources
from edge.config.configuration import Configuration
from edge.config.load import load
from edge.config.resources import builtin_configs
from edge.store import archive, catalogue
from edge.store.archivist import Archivist, Keeping
from edge.store.catalogue import DAY_MS
from edge.store.database import Database
from edge.store.history import Snapshot
from edge.store.moments import MIGRATIONS
from edge.store.readings import ReadingStore

BEGIN = round(datetime(2026, 9, 1, tzinfo=UTC).timestamp() * 1000)
Probe = tuple[str, str, str, Callable[[], Value | None]]
"""Device, point, unit and what it reads now."""


def probes(configuration: Configuration, school: School) -> list[Probe]:
    """Every point of every device."""
    found = []
    for device, model in configuration.devices.items():
        mappings = getattr(model.profile, "points", {})
        for point, spec in model.points.items():
            read = signal(school, device, model.kind, model.space, point, spec)
            found.append((device, point, spec.unit, _told(read, spec, mappings.get(point))))
    return found


def _told(read: Callable[[], Value | None], spec: PointSpec, mapping: object) -> Callable[[], Value | None]:
    """A quantity as its device tells it."""
    scale = float(getattr(mapping, "scale", 1.0))
    kind = str(getattr(mapping, "type", ""))

    def tell() -> Value | None:
        value = read()
        if value is None or spec.type != "number" or isinstance(value, str):
            return bool(value) if spec.type == "switch" else value
        if kind == "f32":
            (raw,) = struct.unpack("<f", struct.pack("<f", value / scale))
            return float(raw) if scale == 1.0 else round(raw * scale, 6)
        if kind:
            return round(round(value / scale) * scale, 6)
        return round(float(value), spec.decimals)

    return tell


def ticks(configuration: Configuration, days: int, every_s: int, seed: int) -> Iterator[list[Reading]]:
    """The school's readings, one list for each tick."""
    spaces = [
        Space(s.id, s.kind, s.parent or "", s.area_m2 or 0.0, s.seats or 0)
        for s in configuration.settings.spaces
    ]
    school = School(spaces, seed, BEGIN / 1000)
    points = probes(configuration, school)
    school.warm_up()
    for number in range(days * 86_400 // every_s):
        at = BEGIN + number * every_s * 1000
        yield [
            Reading(device, point, value, unit, at, at + 40)
            for device, point, unit, tell in points
            if (value := tell()) is not None
        ]
        school.advance(every_s)


async def fill(data: Path, configuration: Configuration, days: int, every_s: int, seed: int) -> int:
    """Stores and seals the whole time; the number of readings."""
    database = Database(data / "telemetry.db", MIGRATIONS)
    await database.open()
    store = ReadingStore(database, sources(configuration))
    await store.load()
    now = BEGIN
    keeper = Archivist(database, Keeping(400 * DAY_MS, 1 << 50), (), lambda: now, spare=lambda _: 1)
    group: list[Reading] = []
    sealed_at = BEGIN
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("living", total=days * DAY_MS)
        for tick in ticks(configuration, days, every_s, seed):
            now = tick[0].at
            group += tick
            if len(group) >= 20_000:
                await store.append(group, now)
                group = []
            if now - sealed_at >= DAY_MS // 4:
                sealed_at = now
                await keeper.step()
            progress.update(task, completed=now - BEGIN)
    await store.append(group, now)
    now += 2 * DAY_MS
    await keeper.step()
    await keeper.close()
    await store.close()
    await database.close()
    return store.stored


def plain_bytes(data: Path, folder: Path) -> float:
    """Bytes a point of one day in plain rows."""
    path = folder / "plain.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE r(series INTEGER, at INTEGER, value)")
        connection.execute("CREATE INDEX r_series_at ON r(series, at)")
        count = 0
        with Snapshot(data) as snapshot:
            series: dict[tuple[str, str], int] = {}
            for row in snapshot.walk():
                if row.at >= BEGIN + DAY_MS:
                    break
                cells = [
                    (series.setdefault((row.source.device, shape.name), len(series)), row.at, value)
                    for shape, value in zip(row.source.points, row.values, strict=True)
                    if value is not None
                ]
                connection.executemany("INSERT INTO r VALUES(?,?,?)", cells)
                count += len(cells)
    connection.close()
    return path.stat().st_size / count


async def query_ms(
    data: Path, configuration: Configuration, device: str, point: str, day: int
) -> tuple[list[float], list[float], int]:
    """A day of one series out of the sealed files, warm: columns in this process, and samples through
    the helper process as the dashboard gets them (ms, 21 times each), and how many."""
    since = BEGIN + day * DAY_MS
    took = []
    for _ in range(21):
        began = time.perf_counter()
        with Snapshot(data) as snapshot:
            found = snapshot.series(device, point, since, since + DAY_MS)
        took.append((time.perf_counter() - began) * 1000)
    database = Database(data / "telemetry.db", MIGRATIONS)
    await database.open()
    store = ReadingStore(database, sources(configuration))
    await store.load()
    whole = []
    for _ in range(21):
        began = time.perf_counter()
        await store.history(device, point, since, since + DAY_MS, limit=100_000)
        whole.append((time.perf_counter() - began) * 1000)
    await store.close()
    await database.close()
    return took, whole, len(found.at)


def _shown(took: list[float]) -> str:
    """On a busy machine the least says more."""
    return f"{median(took):.2f} ms, at least {min(took):.2f}"


def _sizes(data: Path) -> tuple[int, int, int]:
    folder = data / catalogue.FOLDER
    raw = archive.size_of(*folder.glob("raw-*"))
    return raw, archive.size_of(*folder.glob("rollups-*")), archive.size_of(*data.glob("telemetry.db*"))


def main() -> None:
    """Fills, measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--every", type=int, default=10, help="seconds between two readings of a point")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, help="a folder to keep the store in")
    arguments = parser.parse_args()
    configuration = load(builtin_configs() / "demo.yaml")
    with tempfile.TemporaryDirectory() as scratch:
        data = arguments.data or Path(scratch) / "data"
        data.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        if not (data / "telemetry.db").exists():
            asyncio.run(fill(data, configuration, arguments.days, arguments.every, arguments.seed))
        filled = time.perf_counter() - began
        with Snapshot(data) as snapshot:
            points = sum(day.points for day in snapshot.days)
        raw, rollups, hot = _sizes(data)
        plain = plain_bytes(data, Path(scratch))
        device = next(d for d, m in configuration.devices.items() if "co2" in m.points)
        middle = max(0, arguments.days // 2)
        columns, samples, count = asyncio.run(query_ms(data, configuration, device, "co2", middle))
    table = Table("what", "value", title=f"{points:,} readings, {arguments.days} days, seed {arguments.seed}")
    table.add_row("raw, sealed, with indexes", f"{raw / points:.2f} B a point ({raw / 1e6:.1f} MB)")
    table.add_row("with quarter-hour rollups", f"{(raw + rollups) / points:.2f} B a point")
    table.add_row("plain rows with their index", f"{plain:.1f} B a point")
    table.add_row("left in telemetry.db (its pages are used again)", f"{hot / 1e6:.1f} MB")
    table.add_row(f"24 h of one series ({count:,} samples), columns", _shown(columns))
    table.add_row("the same through the helper process, as samples", _shown(samples))
    table.add_row("time to live, store and seal", f"{filled:.0f} s")
    Console().print(table)


if __name__ == "__main__":
    main()
