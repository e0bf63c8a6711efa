"""What people do with alarms, through the real evaluator, engine and store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from drivers.reading import Reading
from edge.bus import Overflow, ReadingBus
from edge.channels.bucket import RATES
from edge.channels.channel import Notice
from edge.channels.route import Route
from edge.channels.webhook import WebhookChannel
from edge.desk import AlarmDesk
from edge.pipeline.evaluator import Evaluator
from edge.pipeline.notices import NoticeWriter
from edge.store import alarms
from edge.store.database import Database
from edge.web.services.alarms import NotAllowed
from rules.alarm import Change
from rules.engine import Engine
from rules.rulebook import Rule
from rules.site import SiteInfo
from tests.rules.school import ALARM, SITE, T0, H, M, S, reading_of, rule
from tests.rules.test_overlays import BUS_RULES, bus
from tests.support.virtual_time import run_virtually

PANIC = rule(
    id="panic", scope={"each": "emergency_button"}, when={"p": "pressed", "op": "eq", "val": True},
    shelvable=False, alarm={**ALARM, "prio": 1},
)  # fmt: skip


@dataclass
class Desk:
    """A desk over one database, which can be started anew."""

    core: Database
    rules: tuple[Rule, ...]
    site: SiteInfo = SITE
    now: int = 0
    evaluator: Evaluator = field(init=False)
    desk: AlarmDesk = field(init=False)

    async def start(self) -> None:
        """From what is stored."""
        store = alarms.AlarmStore(self.core)
        engine = Engine(self.rules, self.site, None, await store.states())
        channel = WebhookChannel("desk.0.webhook", "http://127.0.0.1:9", None, frozenset({1, 2, 3, 4}))
        routes = [Route("desk", channel, RATES["webhook"])]
        writer = NoticeWriter("试验学校", ZoneInfo("Asia/Shanghai"), {}, {}, {}, routes)
        source = ReadingBus().subscribe("test", limit=10, overflow=Overflow.WAIT)
        self.evaluator = Evaluator(source, engine, store, writer, lambda: T0 + self.now, lambda _: None)
        self.desk = AlarmDesk(store, self.evaluator, self.rules)
        await self.evaluator.settle(engine.tick(T0 + self.now))

    async def feed(self, at: int, reading: Reading) -> None:
        """One reading."""
        self.now = at
        await self.evaluator.settle(self.evaluator.engine.evaluate([reading], T0 + at))

    async def pushed(self) -> list[str]:
        """Who was told what: rule and kind of notice of every push."""
        states = await alarms.AlarmStore(self.core).occurrences(only_open=False)
        found = await alarms.AlarmStore(self.core).pushes([s.occurrence for s in states])
        notices = [msgspec.json.decode(p.body, type=Notice) for some in found.values() for p in some]
        return sorted(f"{notice.rule}.{notice.change}" for notice in notices)

    async def ids(self, state: str) -> list[str]:
        """The alarms of a list, by rule."""
        return [r.state.rule for r in await self.desk.list(state, None, None, 100, 0)]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A small school with one room that may be stuffy and one button."""
    core = Database(tmp_path / "core.db", (alarms.SCHEMA,))
    await core.open()
    made = Desk(core, (rule(), PANIC))
    await made.start()
    yield made
    await core.close()


async def test_a_shelved_alarm_leaves_the_open_list_outlives_a_restart_and_comes_back(desk: Desk) -> None:
    await desk.feed(0, reading_of(0, 1600.0))
    (record,) = await desk.desk.list("open", None, None, 10, 0)
    occurrence = record.state.occurrence
    shelved = await desk.desk.shelve(occurrence, "wang", "探头在换", T0 + 1 * H)
    assert shelved.state.isa == "shelved" and shelved.state.shelved_by == "wang"
    assert (await desk.ids("open"), await desk.ids("shelved")) == ([], ["high"])
    await desk.start()
    assert await desk.ids("shelved") == ["high"]
    await desk.feed(1 * M, reading_of(1 * M, 1600.0))
    desk.now = 1 * H
    await desk.evaluator.settle(desk.evaluator.engine.tick(T0 + 1 * H))
    assert (await desk.ids("open"), await desk.ids("shelved")) == (["high"], [])


async def test_taking_off_the_shelf_what_is_not_on_it_and_shelving_life_safety_are_refused(
    desk: Desk,
) -> None:
    await desk.feed(0, reading_of(0, True, "button-1", "pressed"))
    (record,) = await desk.desk.list("open", None, None, 10, 0)
    with pytest.raises(NotAllowed, match="guards lives"):
        await desk.desk.shelve(record.state.occurrence, "wang", "weil", T0 + 1 * H)
    with pytest.raises(NotAllowed, match="not shelved"):
        await desk.desk.unshelve(record.state.occurrence, "wang", "")


async def test_work_on_a_quiet_button_outlives_a_restart_and_nobody_is_called_until_it_ends(
    desk: Desk,
) -> None:
    await desk.feed(0, reading_of(0, False, "button-1", "pressed"))
    await desk.desk.out_of_service("button-1", "wang", "WO-17", T0 + 1 * H)
    await desk.start()  # as after a kill: nothing was said since
    assert [one.order for one in desk.desk.outages()] == ["WO-17"]
    await desk.feed(1 * M, reading_of(1 * M, True, "button-1", "pressed"))
    assert (await desk.ids("open"), await desk.pushed()) == ([], [])
    assert len(await desk.ids("out_of_service")) == 1
    await desk.desk.into_service("button-1")
    assert len(await desk.ids("open")) == 1
    assert len(await desk.pushed()) == 1
    with pytest.raises(NotAllowed, match="in service"):
        await desk.desk.into_service("button-1")
    with pytest.raises(NotAllowed, match="no rule watches"):
        await desk.desk.out_of_service("nobody", "wang", "WO-17", T0 + 1 * H)


async def test_work_that_the_disk_refuses_is_not_called_durable(
    desk: Desk,
) -> None:
    await desk.core.run(lambda c: c.execute("PRAGMA query_only=1").fetchall())
    with pytest.raises(NotAllowed, match="memory only"):
        await desk.desk.out_of_service("button-1", "wang", "WO-17", T0 + 1 * H)


def test_a_timer_that_somebody_else_sets_is_kept_though_no_reading_comes(tmp_path: Path) -> None:
    """In simulated time: the gateway's own facts reach the engine beside the evaluator's loop."""

    async def play() -> float:
        loop = asyncio.get_running_loop()
        core = Database(tmp_path / "core.db", (alarms.SCHEMA,))
        await core.open()
        told: list[float] = []
        engine = Engine((rule(for_="7s"),), SITE, None)
        source = ReadingBus().subscribe("test", limit=10, overflow=Overflow.WAIT)
        evaluator = Evaluator(
            source, engine, alarms.AlarmStore(core), NoticeWriter("", ZoneInfo("UTC"), {}, {}, {}, []),
            lambda: T0 + round(loop.time() * 1000),
            lambda some: told.extend(loop.time() for t in some if t.change is Change.RAISED),
        )  # fmt: skip
        running = asyncio.create_task(evaluator.run())
        await asyncio.sleep(1.0)
        at = round(loop.time() * 1000)
        await evaluator.settle(engine.evaluate([reading_of(at, 1600.0)], T0 + at))
        await asyncio.sleep(25.0)
        running.cancel()
        await asyncio.wait([running])
        await core.close()
        (raised,) = told
        return raised

    assert run_virtually(play()) < 10.0


async def test_the_report_counts_what_was_told(desk: Desk) -> None:
    for hour in range(3):
        await desk.feed(hour * H, reading_of(hour * H, 1600.0))
        await desk.feed(hour * H + M, reading_of(hour * H + M, 600.0))
    await desk.feed(3 * H, reading_of(3 * H, True, "button-1", "pressed"))
    report = await desk.desk.report(T0, T0 + 24 * H)
    assert (report.occurrences, report.busiest, report.flood_share) == (4, 1, 0.0)
    assert dict(report.bins) == {0: 140, 1: 4}
    assert dict(report.by_priority) == {1: 1, 2: 0, 3: 3, 4: 0}
    assert (report.top[0].rule, report.top[0].occurrences, report.top[0].share) == ("high", 3, 0.75)


async def test_an_unplugged_bus_of_sixty_devices_is_one_push_and_lives_are_pushed_apart(
    tmp_path: Path,
) -> None:
    core = Database(tmp_path / "core.db", (alarms.SCHEMA,))
    await core.open()
    desk = Desk(core, BUS_RULES, bus())
    await desk.start()
    for at in range(0, 20 * M, 10 * S):
        dead = at >= 5 * M
        for number, info in enumerate(desk.site.devices):
            if at % max(info.every_ms, 10 * S) == 0:
                (point,) = info.points
                value = False if point == "pressed" else 0.0 if point == "gas_lel" else 600.0
                silent = dead and info.line == "bus-a"
                measured = at + number * 50
                await desk.feed(measured, reading_of(measured, None if silent else value, info.id, point))
        if at == 12 * M:
            await desk.start()
    assert await desk.pushed() == ["guard.raised", "guard.raised", "line-down.raised"]
    assert sorted(await desk.ids("open")) == ["guard", "guard", "line-down"]
    assert len(await desk.ids("suppressed")) == 60
    await core.close()
