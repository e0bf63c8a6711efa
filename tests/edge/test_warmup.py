"""Long windows go on after a restart, from what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from drivers.reading import Reading
from edge.store.database import Database
from edge.store.moments import MIGRATIONS, Shape, Source
from edge.store.readings import ReadingStore
from edge.warmup import older_history, recall, warm_up
from rules.alarm import Change
from rules.engine import Engine
from tests.rules.school import SITE, T0, H, M, rule

NIGHT = rule(
    scope={"each": "water_meter"},
    when={"p": "flow", "agg": "min", "over": "3h", "op": "gt", "val": 0.05},
    nodata={"after": "1h"},
)


async def test_a_window_of_three_hours_is_full_right_after_a_restart(tmp_path: Path) -> None:
    database = Database(tmp_path / "telemetry.db", MIGRATIONS)
    await database.open()
    source = Source("water-b1", "water_meter", "b1", "b1", (Shape("flow", "m3/h", "number"),))
    store = ReadingStore(database, [source])
    await store.load()
    readings = [Reading("water-b1", "flow", 0.3, "m3/h", T0 + n * M, T0 + n * M) for n in range(200)]
    await store.append(readings, T0 + 200 * M)
    engine, now = Engine([NIGHT], SITE, None), T0 + 200 * M
    assert engine.lookback() == {("water-b1", "flow"): 3 * H}
    older = await older_history(store, engine, now - 30 * M, now)
    assert (older[0].at, older[-1].at) == (now - 3 * H, now - 31 * M)
    await warm_up(store, engine, now)
    said = engine.tick(now) + engine.evaluate([readings[-1]._replace(at=now, received_at=now)], now)
    assert [t.change for t in said] == [Change.RAISED]
    await database.close()


async def test_the_end_of_the_last_run_is_known_though_the_clock_was_ahead_before(tmp_path: Path) -> None:
    database = Database(tmp_path / "telemetry.db", MIGRATIONS)
    await database.open()
    store = ReadingStore(
        database, [Source("env-1", "classroom_env", "r1", "b1", (Shape("co2", "[ppm]", "number"),))]
    )
    await store.load()
    for at in (T0, T0 + 3 * 24 * H, T0 + 50_000, T0 + 55_000, T0 + 59_000):
        await store.append([Reading("env-1", "co2", float(at - T0), "[ppm]", at, at)], at)
    broker = Told()
    await recall(store, [broker])  # type: ignore[list-item]  # of a broker this is all that is asked
    assert [reading.at - T0 for reading in broker.stored] == [50_000, 55_000, 59_000]
    await database.close()


class Told:
    """What a broker is told of the last run."""

    def __init__(self) -> None:
        self.stored: list[Reading] = []

    def recall(self, stored: Sequence[Reading]) -> None:
        self.stored = list(stored)
