"""Pushes: stored first, tried until settled, never sent twice by a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cloud_sync.loopback import Answer
from drivers.reading import Millis
from edge.channels.bucket import RATES, Rate
from edge.channels.channel import Channel
from edge.channels.dingtalk import DingtalkChannel
from edge.channels.feishu import FeishuChannel
from edge.channels.route import Route
from edge.channels.webhook import WebhookChannel
from edge.channels.wecom import WecomChannel
from edge.clock import now
from edge.pipeline.notifier import Notifier
from edge.store.alarms import AlarmStore, Push
from tests.edge.channels.test_channels import ALL, NOTICE
from tests.support.push_receiver import PushReceiver
from tests.support.stores import core


def way(channel: Channel, *, rate: Rate = RATES["webhook"], fallback: bool = False) -> Route:
    return Route("desk", channel, rate, fallback)


def push(channel: str, number: int = 0, priority: int = 4, created_at: int | None = None) -> Push:
    at = now() if created_at is None else created_at
    body = msgspec.json.encode(NOTICE).decode()
    return Push(f"p{number}.{channel}", NOTICE.occurrence, channel, priority, body, at, at)


async def run_until(notifier: Notifier, done: Callable[[], bool]) -> None:
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        task = group.create_task(notifier.run())
        while not done():
            await asyncio.sleep(0.01)
        task.cancel()


async def test_a_push_is_delivered_once_and_a_restart_sends_nothing(tmp_path: Path) -> None:
    async with PushReceiver() as receiver, core(tmp_path) as database:
        store = AlarmStore(database)
        await store.save([], [push("hook")])
        for _ in range(2):
            channel = WebhookChannel("hook", receiver.url, None, ALL)
            settled: list[Push] = []
            notifier = Notifier(store, [way(channel)], now, settled.append)
            if not receiver.requests:
                await run_until(notifier, lambda: bool(settled))  # noqa: B023  # used up before the next turn
            else:
                async with asyncio.timeout(20), asyncio.TaskGroup() as group:
                    task = group.create_task(notifier.run())
                    await asyncio.sleep(0.3)
                    task.cancel()
            await channel.close()
        assert len(receiver.requests) == 1
        (stored,) = (await store.pushes([NOTICE.occurrence]))[NOTICE.occurrence]
        assert (stored.state, stored.attempts) == ("delivered", 1)


async def test_a_refusal_inside_200_is_tried_again_as_the_provider_allows(tmp_path: Path) -> None:
    async with PushReceiver() as receiver, core(tmp_path) as database:
        receiver.answers.append(Answer.json(200, {"errcode": 45009, "errmsg": "freq"}))
        store = AlarmStore(database)
        await store.save([], [push("desk")])
        channel = WecomChannel("desk", receiver.url, "k", ALL)
        settled: list[Push] = []
        before = now()
        await run_until(Notifier(store, [way(channel)], now, settled.append), lambda: bool(settled))
        await channel.close()
        assert settled[0].state == "pending"
        assert settled[0].due_at - before >= 60_000
        assert "45009" in settled[0].detail


async def test_a_final_refusal_is_shown_as_failed(tmp_path: Path) -> None:
    async with PushReceiver() as receiver, core(tmp_path) as database:
        receiver.answers.append(Answer.json(200, {"errcode": 93000, "errmsg": "invalid"}))
        store = AlarmStore(database)
        await store.save([], [push("desk")])
        channel = WecomChannel("desk", receiver.url, "k", ALL)
        settled: list[Push] = []
        notifier = Notifier(store, [way(channel)], now, settled.append)
        await run_until(notifier, lambda: bool(settled))
        await channel.close()
        assert settled[0].state == "failed"
        assert notifier.failed == 1
        assert "93000" in notifier.errors["desk"]


async def test_one_dead_channel_does_not_hold_up_the_other_and_priority_goes_first(tmp_path: Path) -> None:
    async with PushReceiver() as receiver, core(tmp_path) as database:
        store = AlarmStore(database)
        await store.save(
            [], [push("dead", 1), push("hook", 2, priority=4), push("hook", 3, priority=1), push("gone", 4)]
        )
        channels = [
            WebhookChannel("dead", "http://127.0.0.1:9", None, ALL),
            WebhookChannel("hook", receiver.url, None, ALL),
        ]
        settled: list[Push] = []
        await run_until(
            Notifier(store, [way(channel) for channel in channels], now, settled.append),
            lambda: len(settled) >= 4,
        )
        for channel in channels:
            await channel.close()
        states = {p.id: p.state for p in settled}
        assert states == {
            "p1.dead": "pending", "p2.hook": "delivered", "p3.hook": "delivered", "p4.gone": "failed",
        }  # fmt: skip
        assert [p.id for p in settled if p.channel == "hook"] == ["p3.hook", "p2.hook"]


async def test_a_push_older_than_a_day_expires(tmp_path: Path) -> None:
    async with PushReceiver() as receiver, core(tmp_path) as database:
        store = AlarmStore(database)
        await store.save([], [push("hook", created_at=now() - 25 * 3600 * 1000)])
        channel = WebhookChannel("hook", receiver.url, None, ALL)
        settled: list[Push] = []
        await run_until(Notifier(store, [way(channel)], now, settled.append), lambda: bool(settled))
        await channel.close()
        assert settled[0].state == "failed"
        assert receiver.requests == []


async def test_five_hundred_alarms_break_no_limit_and_priority_one_goes_first(tmp_path: Path) -> None:
    async with PushReceiver() as receiver, core(tmp_path) as database:
        store = AlarmStore(database)
        await store.save([], [push("hook", n, priority=4) for n in range(497)])
        await store.save([], [push("hook", n, priority=1) for n in range(497, 500)])
        channel = WebhookChannel("hook", receiver.url, None, ALL)
        settled: list[Push] = []
        notifier = Notifier(store, [way(channel, rate=Rate(15, 15, 5))], now, settled.append)
        await run_until(notifier, lambda: len(settled) >= 500)
        await channel.close()
        assert len(receiver.requests) <= 15
        first = [request.headers["webhook-id"] for request in receiver.requests[:3]]
        assert len(first) == 3
        assert {p.priority for p in settled[:3]} == {1}
        assert receiver.bodies[-1]["type"] == "alarm.digest"
        assert "497 条消息" in receiver.bodies[-1]["data"]["title"]
        assert {p.state for p in settled} == {"delivered"}


async def test_what_the_rate_does_not_allow_waits_and_priority_one_has_a_reserve(tmp_path: Path) -> None:
    async with PushReceiver() as receiver, core(tmp_path) as database:
        store = AlarmStore(database)
        await store.save([], [push("hook", n, priority=2) for n in range(4)])
        channel = WebhookChannel("hook", receiver.url, None, ALL)
        settled: list[Push] = []
        notifier = Notifier(store, [way(channel, rate=Rate(0.1, 3, 1))], now, settled.append)
        await run_until(notifier, lambda: len(settled) >= 2)
        await asyncio.sleep(0)
        await store.save([], [push("hook", 9, priority=1)])
        await run_until(notifier, lambda: len(settled) >= 3)
        await channel.close()
        assert [p.priority for p in settled] == [2, 2, 1]
        waiting = [
            p for p in (await store.pushes([NOTICE.occurrence]))[NOTICE.occurrence] if p.state == "pending"
        ]
        assert len(waiting) == 2
        assert all(p.due_at > now() + 60_000 for p in waiting)


async def test_the_fallback_is_used_when_a_channel_has_failed_for_good(tmp_path: Path) -> None:
    async with PushReceiver() as refusing, PushReceiver() as fallback, core(tmp_path) as database:
        refusing.answers.append(Answer.json(200, {"errcode": 93000}))
        store = AlarmStore(database)
        await store.save([], [push("desk.0.wecom")])
        channels: list[Channel] = [
            WecomChannel("desk.0.wecom", refusing.url, "k", ALL),
            WebhookChannel("desk.1.webhook", fallback.url, None, ALL),
        ]
        settled: list[Push] = []
        routes = [way(channels[0]), way(channels[1], fallback=True)]
        await run_until(Notifier(store, routes, now, settled.append), lambda: len(settled) >= 2)
        for channel in channels:
            await channel.close()
        assert [(p.channel, p.state) for p in settled] == [
            ("desk.0.wecom", "failed"), ("desk.1.webhook", "delivered"),
        ]  # fmt: skip
        assert len(fallback.requests) == 1


@pytest.mark.parametrize(
    ("robot", "refusal", "state"),
    [
        (WecomChannel, {"errcode": 45009, "errmsg": "api freq out of limit"}, "pending"),
        (DingtalkChannel, {"errcode": 310000, "errmsg": "sign not match"}, "failed"),
        (FeishuChannel, {"code": 19021, "msg": "sign match fail"}, "failed"),
    ],
)
async def test_a_refusal_inside_200_uses_the_next_channel_and_is_retried_as_the_provider_allows(
    tmp_path: Path, robot: Any, refusal: dict[str, object], state: str
) -> None:
    moved = 0

    def clock() -> Millis:
        return now() + moved

    async with PushReceiver() as refusing, PushReceiver() as fallback, core(tmp_path) as database:
        refusing.answers.append(Answer.json(200, refusal))
        store = AlarmStore(database)
        await store.save([], [push("desk.0.robot", priority=2)])
        signed = ("k",) if robot is WecomChannel else ("token", "secret")
        channels: list[Channel] = [
            robot("desk.0.robot", refusing.url, *signed, ALL),
            WebhookChannel("desk.1.webhook", fallback.url, None, ALL),
        ]
        routes = [way(channels[0]), way(channels[1], fallback=True)]
        settled: list[Push] = []
        notifier = Notifier(store, routes, clock, settled.append)
        await run_until(notifier, lambda: len(settled) >= 2)
        code = str(refusal.get("errcode") or refusal.get("code"))
        assert [(p.channel, p.state) for p in settled] == [
            ("desk.0.robot", state), ("desk.1.webhook", "delivered"),
        ]  # fmt: skip
        assert code in settled[0].detail
        assert code in notifier.errors["desk.0.robot"]
        assert len(refusing.requests) == len(fallback.requests) == 1
        moved = 61_000
        if state == "pending":
            await run_until(notifier, lambda: len(settled) >= 3)
            assert (settled[2].channel, settled[2].state, settled[2].attempts) == (
                "desk.0.robot",
                "delivered",
                2,
            )
            assert notifier.errors == {}
        else:
            await asyncio.sleep(0.1)
            assert len(refusing.requests) == 1, "what is hopeless is not tried again"
        for channel in channels:
            await channel.close()
        assert len(fallback.requests) == 1


async def test_an_emergency_waits_for_no_second_try(tmp_path: Path) -> None:
    async with PushReceiver() as refusing, PushReceiver() as fallback, core(tmp_path) as database:
        refusing.answers.extend([Answer(503, b"")] * 5)
        store = AlarmStore(database)
        await store.save([], [push("desk.0.webhook", n, priority=p) for n, p in ((1, 1), (2, 1), (3, 2))])
        channels = [
            WebhookChannel("desk.0.webhook", refusing.url, None, ALL),
            WebhookChannel("desk.1.webhook", fallback.url, None, ALL),
        ]
        settled: list[Push] = []
        routes = [way(channels[0]), way(channels[1], fallback=True)]
        notifier = Notifier(store, routes, now, settled.append)
        await run_until(notifier, lambda: notifier.delivered >= 2)
        for channel in channels:
            await channel.close()
        heard = [request.headers["webhook-id"] for request in fallback.requests]
        assert len(heard) == 2, "the second emergency waited behind the first and went the other way too"
        assert len(refusing.requests) == 1


async def test_emergencies_that_the_rate_does_not_allow_wait_for_their_token(tmp_path: Path) -> None:
    async with PushReceiver() as receiver, core(tmp_path) as database:
        store = AlarmStore(database)
        await store.save([], [push("hook", n, priority=1) for n in range(5)])
        channel = WebhookChannel("hook", receiver.url, None, ALL)
        settled: list[Push] = []
        notifier = Notifier(store, [way(channel, rate=Rate(1, 3, 1))], now, settled.append)
        await run_until(notifier, lambda: len(settled) >= 3)
        await asyncio.sleep(0.2)
        await channel.close()
        waiting = [
            p for p in (await store.pushes([NOTICE.occurrence]))[NOTICE.occurrence] if p.state == "pending"
        ]
        assert (len(receiver.requests), len(waiting)) == (3, 2)
        assert await store.due_pushes(now()) == [], "nothing is looked at again and again"


async def test_a_channel_that_hangs_holds_up_no_other(tmp_path: Path) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # takes the request and says nothing
        writer.close()

    silent = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with PushReceiver() as receiver, core(tmp_path) as database:
        store = AlarmStore(database)
        await store.save([], [push("silent", 1, priority=1)])
        channels = [
            WebhookChannel("silent", f"http://127.0.0.1:{port}/", None, ALL),
            WebhookChannel("hook", receiver.url, None, ALL),
        ]
        notifier = Notifier(store, [way(one) for one in channels], now, lambda _push: None)

        async def press_while_it_hangs() -> None:
            await asyncio.sleep(0.1)
            for number in (2, 3):
                await store.save([], [push("hook", number, priority=1)])
                notifier.wake()
                while notifier.delivered < number - 1:
                    await asyncio.sleep(0.01)

        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            task = group.create_task(notifier.run())
            await press_while_it_hangs()
            assert len(receiver.requests) == 2
            assert notifier.errors == {}, "the first is still waiting for its answer"
            task.cancel()
        for channel in channels:
            await channel.close()
    silent.close()
