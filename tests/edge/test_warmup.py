"""Long windows go on after a restart, from what is stored."""

from __future__ import annotations

from pathlib import Path

from drivers.reading import Reading
from edge.store.database import Database
from edge.store.moments import MIGRATIONS, Shape, Source
from edge.store.readings import ReadingStore
from edge.warmup import older_history, warm_up
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
