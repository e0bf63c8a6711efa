"""A clock that lies: nothing leaves with a wrong time, all is dated right, no alarm is made of it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.store.walk import walk
from tests.end_to_end.numbered_school import MEASUREMENT, numbered_school
from tests.end_to_end.room import RULES, a_room
from tests.support.facilities import needs
from tests.support.lying_clock import LyingClock

DAYS_10 = 10 * 86_400
SILENT = {
    "rules": [
        {
            "id": "silent", "scope": {"each": "device"}, "when": {"p": "*", "agg": "absent"}, "for": "0s",
            "nodata": {"after": "30s"},
            "alarm": {
                "prio": 3, "owner": "it", "respond_within": "4h", "title": {"zh": "失联", "en": "silent"},
                "consequence": {"zh": "无", "en": "none"}, "guide": {"zh": "无", "en": "none"},
            },
        },
    ]
}  # fmt: skip


@pytest.mark.timeout(240)
@needs("compiler")
async def test_ten_days_back_at_boot_is_held_repaired_and_no_alarm_and_steps_are_audited(
    tmp_path: Path,
) -> None:
    clock = LyingClock(tmp_path)
    clock.set(-DAYS_10)
    async with numbered_school(tmp_path, rules=SILENT, extra={"clock": {"require_sync": "always"}}) as school:
        school.gateway.environment.update(clock.environment)
        began = time.time()
        await school.begin()
        await asyncio.sleep(6)
        assert await school.influx.count(MEASUREMENT, "number") == 0, "a doubtful time must not leave"
        health = await asyncio.to_thread(school.gateway.get, "/health")
        assert {c["name"]: c["status"] for c in health["checks"]}["clock"] == "degraded"

        clock.synchronise()
        await asyncio.sleep(8)
        clock.set(7_200)
        await asyncio.sleep(5)
        clock.set(0)
        await asyncio.sleep(5)
        alarms = (await asyncio.to_thread(school.gateway.get, "/alarms", state="all"))["items"]
        assert [alarm for alarm in alarms if alarm["rule"] == "silent"] == []
        await school.quiet()
        await asyncio.sleep(2)
        await school.drained()
        await asyncio.to_thread(school.gateway.stop)

        sent, delivered = school.sent(), await school.delivered()
        for device, numbers in sent.items():
            assert set(delivered[device]) <= set(numbers)
            # a restart on each step costs MQTT nothing and the polled lines what was under way
            assert len(numbers) - len(delivered[device]) <= 8, device
        with closing(sqlite3.connect(school.gateway.data / "telemetry.db")) as connection:
            first, last = connection.execute("SELECT min(at), max(at) FROM moments").fetchone()
            old = connection.execute(
                "SELECT count(*) FROM moments WHERE at<?", ((began - 60) * 1000,)
            ).fetchone()[0]
        assert old == 0
        assert abs(first / 1000 - began) < 15
        assert last / 1000 < time.time() + 7_300
        with closing(sqlite3.connect(school.gateway.data / "core.db")) as connection:
            steps = [
                row[0] for row in connection.execute("SELECT after FROM audit WHERE action='clock.step'")
            ]
        assert len(steps) == 3
        assert steps[0].startswith("+864000")


@pytest.mark.slow
@pytest.mark.timeout(120)
@needs("compiler")
async def test_a_boot_that_never_knew_the_time_is_dated_before_the_next(tmp_path: Path) -> None:
    clock = LyingClock(tmp_path)
    clock.set(-DAYS_10)
    async with numbered_school(tmp_path, extra={"clock": {"require_sync": "always"}}) as school:
        school.gateway.environment.update(clock.environment)
        await school.begin()
        await asyncio.sleep(4)
        await asyncio.to_thread(school.gateway.kill)
        # the same machine with another boot id: as after a power cut
        with closing(sqlite3.connect(school.gateway.data / "core.db")) as connection:
            connection.execute("UPDATE clock_segments SET boot='an earlier one'")
            connection.commit()
        clock.synchronise()
        now = time.time()
        await asyncio.to_thread(school.gateway.start)
        await asyncio.sleep(4)
        await school.quiet()
        await asyncio.sleep(2)
        await school.drained()
        await asyncio.to_thread(school.gateway.stop)
        uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
        with closing(sqlite3.connect(school.gateway.data / "telemetry.db")) as connection:
            rows = list(walk(connection))  # a long uptime makes them old enough to be sealed
        for device in {row.source.device for row in rows}:
            times = [row.at for row in rows if row.source.device == device]
            assert times == sorted(times), "the order is kept"
            earlier = [at for at in times if at / 1000 < now - 2]
            assert earlier and all(at / 1000 <= time.time() - uptime + 2 for at in earlier)
        delivered = await school.delivered()
        assert len(delivered) == 12


HOUR_S = 3_600
LASTING = {
    "rules": [
        {
            "id": "lasting", "scope": {"each": "classroom"},
            "when": {"p": "co2", "op": "gt", "val": 400, "unit": "[ppm]"}, "for": "1h",
            "nodata": {"then": "hold"},
            "alarm": {
                "prio": 2, "owner": "it", "respond_within": "4h", "title": {"zh": "久", "en": "lasting"},
                "consequence": {"zh": "无", "en": "none"}, "guide": {"zh": "无", "en": "none"},
            },
        },
    ]
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(240)
@needs("compiler")
async def test_two_hours_forth_and_back_do_what_is_due_once_and_nothing_that_is_not(tmp_path: Path) -> None:
    clock = LyingClock(tmp_path)
    clock.synchronise()
    zone, word_at = _an_hour_before_noon()
    push = {
        "escalation": {"1": [{"after": "30m", "to": "head"}]},
        "heartbeat": {"at": word_at, "to": ["desk"]},
    }
    rules = {"rules": [*RULES["rules"], *LASTING["rules"]]}
    async with a_room(tmp_path, timezone=zone, rules=rules) as room:
        config = json.loads(room.gateway.config.read_text())
        config["push"] = push
        config["notify"]["head"] = [{"webhook": {"url": f"{room.desk.url}/head"}}]
        room.gateway.config.write_text(json.dumps(config))
        room.gateway.environment.update(clock.environment)
        await room.begin()
        room.say()
        room.press(True)
        await room.until_pushed("panic")
        for offset_s in (2 * HOUR_S, 0, 2 * HOUR_S, 0):
            restarts = room.gateway.log.read_text().count("starting anew")
            clock.set(offset_s)
            async with asyncio.timeout(20):
                while room.gateway.log.read_text().count("starting anew") == restarts:
                    await asyncio.sleep(0.1)
            await asyncio.sleep(1)
            room.say()
            await room.until_shown()
            await asyncio.sleep(7)  # every part has looked at the clock
        await asyncio.to_thread(room.gateway.stop)
        kinds = Counter((body["data"]["rule"], body["type"]) for body in room.desk.bodies)
        assert kinds["panic", "alarm.raised"] == 1
        assert kinds["panic", "alarm.escalated"] <= 1
        assert kinds["", "alarm.heartbeat"] == 1
        assert not any(rule == "lasting" for rule, _ in kinds), "no hour has passed"
        stored = room.gateway.stored()["env-1", "co2"]
        assert stored == [float(n) for n in range(401, room.sent + 1)], "the order is kept"


def _an_hour_before_noon() -> tuple[str, str]:
    """A time zone in which it is eleven to twelve now, and the time of day that comes within two hours."""
    hour = datetime.now(UTC).hour
    ahead = (11 - hour + 12) % 24 - 12
    return (f"Etc/GMT-{ahead}" if ahead >= 0 else f"Etc/GMT+{-ahead}"), "12:30"
