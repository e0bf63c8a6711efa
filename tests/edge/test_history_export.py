"""Exports of stored readings, sealed and hot."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from typer.testing import CliRunner

from drivers.reading import Quality
from edge.cli import app
from edge.store.archivist import Archivist, Keeping
from edge.store.catalogue import DAY_MS
from edge.store.history import Snapshot
from tests.support.stores import reading, telemetry

BEGIN = 20_000 * DAY_MS
HOUR = 3_600_000


async def filled(folder: Path) -> None:
    """A day with a reading an hour, the first half of it sealed."""
    async with telemetry(folder) as (database, store):
        for n in range(24):
            at = BEGIN + n * HOUR
            await store.append([reading("env-1", "co2", 400.0 + n, at)], at)
        await store.append([reading("env-1", "temperature", None, BEGIN, Quality.BAD, "timeout")], BEGIN)
        await store.append([reading("door-1", "open", True, BEGIN + 23 * HOUR)], BEGIN)
        keeper = Archivist(
            database, Keeping(DAY_MS * 400, 1 << 40, hot=12 * HOUR, span=0), (), lambda: BEGIN + DAY_MS,
            spare=lambda _: 1,
        )  # fmt: skip
        await keeper.step()
        await keeper.close()
        left = await database.read(lambda c: c.execute("SELECT count(*) FROM moments").fetchone()[0])
        assert 0 < left < 24


def export(folder: Path, *arguments: str) -> str:
    done = CliRunner().invoke(app, ["history", "export", "--data", str(folder), *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


async def test_a_csv_export_has_every_reading_of_the_time_with_its_quality(tmp_path: Path) -> None:
    await filled(tmp_path)
    text = export(tmp_path, "--since", "2024-10-04T00:00:00Z", "--until", "2024-10-05T00:00:00Z")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 26
    values = [row["value"] for row in rows if row["point"] == "co2"]
    assert values == [str(400.0 + n) for n in range(24)]
    (bad,) = [row for row in rows if row["quality"] == "bad"]
    assert (bad["point"], bad["value"], bad["reason"]) == ("temperature", "", "timeout")
    (door,) = [row for row in rows if row["device"] == "door-1"]
    assert (door["time"], door["value"], door["unit"]) == ("2024-10-04T23:00:00.000Z", "true", "bool")


async def test_line_protocol_has_the_good_values_as_the_district_gets_them(tmp_path: Path) -> None:
    await filled(tmp_path)
    out = tmp_path / "readings.lp"
    export(
        tmp_path, "--since", "2024-10-04T10:00:00Z", "--until", "2024-10-04T14:00:00Z", "--format", "lp",
        "--device", "env-1", "--out", str(out),
    )  # fmt: skip
    assert out.read_text().splitlines() == [
        f"classroom_env,building=b1,device=env-1,space=r1 co2={400.0 + n} {BEGIN + n * HOUR}"
        for n in range(10, 14)
    ]
    assert not out.with_name("readings.lp.part").exists()


async def test_columns_for_backtests_hold_what_rows_hold(tmp_path: Path) -> None:
    await filled(tmp_path)
    with Snapshot(tmp_path) as snapshot:
        found = [
            (source.device, source.points[index].name, int(at))
            for source, block in snapshot.blocks(0, 1 << 60)
            for index, column in block.columns.items()
            for at in block.at[column.held(len(block))]
        ]
        rows = [
            (row.source.device, row.source.points[index].name, row.at)
            for row in snapshot.walk()
            for index, value in enumerate(row.values)
            if value is not None or index in row.marks
        ]
    assert sorted(found) == sorted(rows)
    assert len(rows) == 26


def test_wrong_wishes_are_told(tmp_path: Path) -> None:
    for arguments, word in (
        (["--since", "2024-10-04"], "telemetry.db"),
        (["--since", "2024-10-04", "--format", "xls"], "csv, lp"),
    ):
        done = CliRunner().invoke(app, ["history", "export", "--data", str(tmp_path), *arguments])
        assert done.exit_code == 2
        assert word in done.output
