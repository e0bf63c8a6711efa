"""A day of one reading a second on disk, sealed as a day later, with its rollups: bytes a point; and what 200
readings a second write to a card in a day; beside plain SQLite rows."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from edge.store import archive, catalogue
from tests.bench.child import ROOT
from tests.bench.field import REGISTERS
from tests.bench.fill import columns_of, fill, school_day, seal_all, span_of
from tests.bench.ours import CampusEdge
from tests.bench.stage import Pace, Sample, Stage

START = 1_790_000_000_000
ROWS_SHARE = 4
"""Plain rows are written for so much shorter: their index grows, so that their figure is rather too small."""
POINT_S, CARD_S = 25e-6, 10e-3
"""What a stored point and a simulated second of the card take, both systems together, for estimates."""
PLAIN = "plain SQLite rows"
PLAIN_INDEXED = "plain SQLite rows with an index"


def lasts(pace: Pace) -> float:
    """Seconds that the load takes, about."""
    return pace.history_s * REGISTERS * POINT_S + pace.card_s * CARD_S


def run(stage: Stage, name: str) -> Iterator[Sample]:
    """This gateway's store, then rows of (series, at, value) with and without an index by series and time."""
    seconds = stage.pace.history_s
    stage.say(f"{name}: {REGISTERS} points a second for {seconds / 3600:.0f} h")
    folder = stage.scratch("history")
    CampusEdge().polling(folder, [1], stage.targets())
    config, data = folder / "school.yaml", folder / "data"
    before = _cpu_s()
    stored = asyncio.run(fill(config, data, school_day(1, REGISTERS, START, seconds)))
    asyncio.run(seal_all(data, START + seconds * 1000))
    used = _cpu_s() - before
    span = (START, START + seconds * 1000)
    samples, took = asyncio.run(span_of(config, data, "d0", "r01", span))
    figures: dict[str, float | None] = {
        "bytes_per_point": archive.size_of(*(data / catalogue.FOLDER).iterdir()) / stored,
        "write_cpu_per_1000": used / stored * 1000,
        "read_columns_s": columns_of(data, "d0", "r01", span),
        "read_span_s": took,
        "samples": float(samples),
    }
    if stage.pace.card_s:
        figures["written_per_day"] = _written(folder, "ours", stage.pace.card_s)
    yield Sample(name, CampusEdge.name, figures)
    for title, index in ((PLAIN, False), (PLAIN_INDEXED, True)):
        path = folder / f"plain-{index}.db"
        figures = _plain(path, seconds, index=index)
        if index and stage.pace.card_s:
            figures["written_per_day"] = _written(folder, "rows", stage.pace.card_s // ROWS_SHARE)
        yield Sample(name, title, figures)


def _written(folder: Path, way: str, seconds: int) -> float:
    """Bytes a day at 200 readings a second; see `tests.bench.card`."""
    argv = [sys.executable, "-m", "tests.bench.card", way, str(seconds), str(folder / f"card-{way}")]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)["written"]) / seconds * 86_400


def _cpu_s() -> float:
    """CPU seconds of this process and of its helpers that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _plain(path: Path, seconds: int, *, index: bool) -> dict[str, float | None]:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE readings(series INTEGER, at INTEGER, value)")
    if index:
        connection.execute("CREATE INDEX readings_series_at ON readings(series, at)")
    began = time.process_time()
    stored = 0
    rows: list[tuple[int, int, float]] = []
    for at, tick in school_day(1, REGISTERS, START, seconds):
        rows.extend((number, at, value) for number, (_, _, value) in enumerate(tick))
        if len(rows) >= 20_000:
            stored, rows = stored + _commit(connection, rows), []
    stored += _commit(connection, rows)
    used = time.process_time() - began
    began = time.monotonic()
    samples = connection.execute("SELECT at, value FROM readings WHERE series=1 ORDER BY at").fetchall()
    took = time.monotonic() - began
    connection.close()
    return {
        "bytes_per_point": _size(path) / stored,
        "write_cpu_per_1000": used / stored * 1000,
        "read_span_s": took,
        "samples": float(len(samples)),
    }


def _commit(connection: sqlite3.Connection, rows: list[tuple[int, int, float]]) -> int:
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO readings VALUES(?,?,?)", rows)
    connection.execute("COMMIT")
    return len(rows)


def _size(path: Path) -> int:
    """With its log folded in."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path.stat().st_size
