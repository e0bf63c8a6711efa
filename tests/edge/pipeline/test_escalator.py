"""Escalation until somebody acknowledges, and the daily word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import time
from pathlib import Path
from zoneinfo import ZoneInfo

from drivers.settings import millis
from edge.channels.bucket import RATES
from edge.channels.route import Route
from edge.channels.settings import PushSettings
from edge.channels.webhook import WebhookChannel
from edge.pipeline.escalator import DailyWord, Escalator, Step
from edge.pipeline.notices import NoticeWriter
from edge.store.alarms import AlarmStore, Push
from rules.alarm import AlarmState, Change, Condition, Transition
from tests.support.stores import core

ALL = frozenset({1, 2, 3, 4})
SHANGHAI = ZoneInfo("Asia/Shanghai")
T0 = 1_764_028_800_000  # 2025-11-25T08:00 in Shanghai
RAISED = AlarmState(
    "panic",
    "gate",
    Condition.ACTIVE,
    since=T0,
    occurrence="panic.gate.x",
    raised_at=T0,
    acked=False,
    priority=1,
)


def writer() -> NoticeWriter:
    routes = [
        Route(desk, WebhookChannel(f"{desk}.0.webhook", "http://127.0.0.1:9", None, ALL), RATES["webhook"])
        for desk in ("desk", "oncall", "principal")
    ]
    return NoticeWriter("学校", SHANGHAI, {}, {}, {}, routes, quiet={"oncall", "principal"})


def escalator(store: AlarmStore, word: DailyWord | None = None) -> Escalator:
    return Escalator(
        store, writer(), {1: [Step(60_000, "principal")]}, word, SHANGHAI, lambda: T0, lambda: None
    )


async def told(store: AlarmStore, occurrence: str) -> Sequence[Push]:
    return (await store.pushes([occurrence])).get(occurrence, [])


async def test_an_unacknowledged_alarm_reaches_the_next_desk_once_even_after_a_restart(
    tmp_path: Path,
) -> None:
    async with core(tmp_path) as database:
        store = AlarmStore(database)
        first = Transition(Change.RAISED, RAISED, T0, notify=True)
        await store.save([first], writer().pushes([first], T0))
        assert [p.channel for p in await told(store, "panic.gate.x")] == ["desk.0.webhook"]
        watch = escalator(store)
        await watch.look(T0 + 59_000)
        assert len(await told(store, "panic.gate.x")) == 1
        await watch.look(T0 + 61_000)
        await watch.look(T0 + 66_000)
        await escalator(store).look(T0 + 70_000)
        assert [p.channel for p in await told(store, "panic.gate.x")] == [
            "desk.0.webhook", "principal.0.webhook",
        ]  # fmt: skip


async def test_seconds_and_different_desks_are_steps_of_one_emergency(tmp_path: Path) -> None:
    push = PushSettings.model_validate(
        {"escalation": {"1": [{"after": "60s", "to": "oncall"}, {"after": "180s", "to": "principal"}]}}
    )
    steps = [Step(millis(step.after), step.to) for step in push.escalation["1"]]
    async with core(tmp_path) as database:
        store = AlarmStore(database)
        first = Transition(Change.RAISED, RAISED, T0, notify=True)
        await store.save([first], writer().pushes([first], T0))
        watch = Escalator(store, writer(), {1: steps}, None, SHANGHAI, lambda: T0, lambda: None)
        heard = []
        for seconds in (0, 59, 61, 179, 181):
            await watch.look(T0 + seconds * 1000)
            heard.append([p.channel.partition(".")[0] for p in await told(store, "panic.gate.x")])
        assert heard == [
            ["desk"], ["desk"], ["desk", "oncall"], ["desk", "oncall"], ["desk", "oncall", "principal"],
        ]  # fmt: skip


async def test_an_acknowledged_alarm_is_not_escalated(tmp_path: Path) -> None:
    async with core(tmp_path) as database:
        store = AlarmStore(database)
        await store.save([Transition(Change.ACKED, replace(RAISED, acked=True), T0)])
        await escalator(store).look(T0 + 600_000)
        assert await told(store, "panic.gate.x") == []


async def test_the_daily_word_is_given_once_a_day_at_its_local_time(tmp_path: Path) -> None:
    word = DailyWord(time(7, 30), ("desk",), lambda: "12/12 台设备有有效数据")
    async with core(tmp_path) as database:
        store = AlarmStore(database)
        before = T0 - 31 * 60_000
        for at in (before, T0, T0 + 5_000):
            await escalator(store, word).look(at)
        first = await told(store, "")
        assert [p.id for p in first] == ["heartbeat.2025-11-25.desk.0.webhook"]
        assert "12/12" in first[0].body
        await escalator(store, word).look(T0 + 24 * 3_600_000)
        assert len(await told(store, "")) == 2


async def test_the_daily_word_says_what_the_day_had(tmp_path: Path) -> None:
    async def news(now: int) -> str:
        return "规则建议 1 项" if now == T0 else ""

    word = DailyWord(time(7, 30), ("desk",), lambda: "12/12 台设备有有效数据", news)
    async with core(tmp_path) as database:
        store = AlarmStore(database)
        await escalator(store, word).look(T0)
        await escalator(store, word).look(T0 + 24 * 3_600_000)
        bodies = [push.body for push in await told(store, "")]
    assert sorted("12/12 台设备有有效数据；规则建议 1 项" in body for body in bodies) == [False, True]
    assert all('数据；"' not in body for body in bodies)
