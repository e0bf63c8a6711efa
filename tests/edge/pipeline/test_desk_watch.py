"""A desk that nobody can hear, and channels that do not get through: facts for the gateway's own rules."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from cloud_sync.loopback import Answer
from drivers.reading import Millis
from edge.channels.modem import Modem
from edge.channels.settings import DeskSettings, SmsSettings
from edge.channels.sms import SmsChannel
from edge.channels.wecom import WecomChannel
from edge.clock import now
from edge.pipeline.channel_health import FAILING_MS, ChannelHealth
from edge.pipeline.desk_watch import DeskWatch
from edge.pipeline.notifier import Notifier
from edge.store.alarms import AlarmStore, Push
from tests.edge.channels.test_channels import ALL
from tests.edge.pipeline.test_notifier import push, run_until, way
from tests.edge.web.school import Clock
from tests.support.modem import SimulatedModem
from tests.support.push_receiver import PushReceiver
from tests.support.stores import core

SHANGHAI = ZoneInfo("Asia/Shanghai")


def clock_at(hour: int, minute: int = 0) -> Clock:
    clock = Clock()
    clock.at = round(datetime(2026, 11, 23, hour - 8, minute, tzinfo=UTC).timestamp() * 1000)
    return clock


def test_a_school_that_names_no_hours_is_never_asked_for_a_desk() -> None:
    clock = clock_at(12)
    watch = DeskWatch(None, SHANGHAI, clock)
    assert not watch.mute()
    clock.move(minutes=60)
    assert watch.facts() == {"desk_mute": False}


def test_a_desk_is_missed_after_a_minute_in_staffed_hours_only() -> None:
    clock = clock_at(12)
    watch = DeskWatch(DeskSettings(staffed=("07:00", "22:00")), SHANGHAI, clock)
    assert not watch.mute(), "the gateway has just started"
    clock.move(seconds=59)
    assert not watch.mute()
    clock.move(seconds=1)
    assert watch.mute()
    watch.heard(False)
    assert watch.mute(), "a page whose sound is blocked is no desk"
    watch.heard(True)
    assert not watch.mute()
    clock.move(seconds=60)
    assert watch.mute()
    clock.move(minutes=11 * 60)
    assert not watch.mute(), "at 23:01 nobody is to be there"


def test_the_patience_begins_with_the_hours_and_hours_may_go_over_midnight() -> None:
    clock = clock_at(21, 59)
    watch = DeskWatch(DeskSettings(staffed=("22:00", "06:00")), SHANGHAI, clock)
    clock.move(seconds=-30)
    assert not watch.mute()
    clock.move(seconds=91)
    assert not watch.mute()
    clock.move(seconds=60)
    assert watch.mute()
    clock.move(minutes=5 * 60)
    assert watch.mute()


def test_a_channel_that_got_nothing_through_for_ten_minutes_is_failing() -> None:
    clock = Clock()
    health = ChannelHealth(clock)
    health.failed("a", "HTTP 503")
    health.failed("b", "HTTP 503")
    clock.move(minutes=9)
    health.failed("a", "HTTP 503")
    health.worked("b")
    assert health.failing() == []
    clock.move(minutes=1)
    assert health.failing() == ["a"]
    health.worked("a")
    assert (health.failing(), health.errors) == ([], {})


async def test_a_refusing_robot_is_failing_also_after_a_restart_until_it_takes_something(
    tmp_path: Path,
) -> None:
    moved = 0

    def clock() -> Millis:
        return now() + moved

    async with PushReceiver() as receiver, core(tmp_path) as database:
        receiver.answers.append(Answer.json(200, {"errcode": 310000, "errmsg": "sign not match"}))
        store = AlarmStore(database)
        await store.save([], [push("desk")])
        settled: list[Push] = []
        channel = WecomChannel("desk", receiver.url, "k", ALL)
        notifier = Notifier(store, [way(channel)], clock, settled.append)
        await run_until(notifier, lambda: bool(settled))
        moved = FAILING_MS
        assert notifier.health.failing() == ["desk"]
        again = Notifier(store, [way(channel)], clock, settled.append)
        await run_until(again, lambda: bool(again.health.failing()))
        await store.save([], [push("desk", 2)])
        await run_until(again, lambda: len(settled) == 2)
        assert again.health.failing() == []
        fresh = Notifier(store, [way(channel)], clock, settled.append)
        await store.save([], [push("desk", 3)])
        await run_until(fresh, lambda: len(settled) == 3)
        assert fresh.health.failing() == []
        await channel.close()


async def test_a_modem_without_a_network_is_found_out_without_an_emergency() -> None:
    clock = Clock()
    async with SimulatedModem(registration=0) as modem:
        settings = SmsSettings(url=f"serial:{modem.path}", numbers=("110",))
        channel = SmsChannel("oncall.0.sms", settings, Modem(settings, None), ALL)
        health = ChannelHealth(clock)
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            task = group.create_task(health.watch([channel]))
            while not health.errors:
                await asyncio.sleep(0.01)
            task.cancel()
        await channel.close()
        assert health.errors == {"oncall.0.sms": "modem: no network"}
        assert modem.messages == []
        clock.move(minutes=10)
        assert health.failing() == ["oncall.0.sms"]
