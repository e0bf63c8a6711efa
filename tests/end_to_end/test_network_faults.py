"""An uplink that dies in silence or is hardly one: nothing is lost or doubled, and people hear in time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.numbered_school import NumberedSchool, numbered_school
from tests.support.facilities import needs
from tests.support.network import DISTRICT, Link, networks, relay
from tests.support.push_receiver import PushReceiver

LOOPBACK = "127.0.0.1"
TOLD_AT = 60.0
"""The number at which each device's alarm goes off."""
REACHED = {
    "rules": [
        {
            "id": "reached", "scope": {"each": "device"},
            "when": {"p": "number", "op": "ge", "val": TOLD_AT, "unit": "1"}, "for": "0s", "shelvable": False,
            "alarm": {
                "prio": 1, "owner": "it", "respond_within": "1m", "title": {"zh": "到了", "en": "reached"},
                "consequence": {"zh": "无", "en": "none"}, "guide": {"zh": "无", "en": "none"},
            },
        },
    ]
}  # fmt: skip


@dataclass
class FarDistrict:
    """The numbered school in a network of its own; server and desk lie behind the link."""

    school: NumberedSchool
    desk: PushReceiver
    link: Link

    async def sync(self) -> dict[str, Any]:
        """How the destination fares."""
        (found,) = (await asyncio.to_thread(self.school.gateway.get, "/sync"))["items"]
        return dict(found)

    async def until_told(self, device: str, within_s: float) -> None:
        """The desk heard of a device's alarm, so long after the device had sent the number at the latest."""
        async with asyncio.timeout(60):
            while self.school.ledger.number(device, "number") <= TOLD_AT:
                await asyncio.sleep(0.05)
        async with asyncio.timeout(within_s):
            while not any(body["data"]["device"] == device for body in self.desk.bodies):
                await asyncio.sleep(0.05)

    async def exact(self) -> None:
        """The devices end, the backlog leaves, and all three ledgers are one."""
        school = self.school
        await school.quiet()
        await asyncio.sleep(2)
        await school.drained()
        await asyncio.to_thread(school.gateway.stop)
        sent, stored, delivered = school.sent(), school.stored(), await school.delivered()
        assert sorted(sent) == sorted(stored) == sorted(delivered)
        for device, numbers in sent.items():
            assert stored[device] == numbers, device
            assert delivered[device] == numbers, device


@asynccontextmanager
async def far_district(folder: Path) -> AsyncIterator[FarDistrict]:
    """The gateway reaches its field by relays and the district over the link alone."""
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(networks())
        desk = await stack.enter_async_context(PushReceiver())
        notify = {"desk": [{"webhook": {"url": f"{desk.url.replace(LOOPBACK, DISTRICT)}/hook"}}]}
        school = await stack.enter_async_context(
            numbered_school(folder, rules=REACHED, notify=notify, district_host=DISTRICT)
        )
        school.gateway.prefix = network.school.command
        for url in (desk.url, school.influx.url):
            port = int(url.rpartition(":")[2])
            await stack.enter_async_context(relay(network.district.listen(DISTRICT, port), port))
        for port in (school.broker.port, school.plc.port):
            await stack.enter_async_context(relay(network.school.listen(LOOPBACK, port), port))
        web = socket.create_server((LOOPBACK, school.gateway.port))
        await stack.enter_async_context(relay(web, school.gateway.port, network.school.socket))
        try:
            yield FarDistrict(school, desk, network.link)
        finally:
            await asyncio.to_thread(school.gateway.close)


@pytest.mark.slow
@pytest.mark.timeout(180)
@needs("netns")
async def test_a_link_that_dies_in_silence_is_noticed_and_all_arrives_when_it_heals(tmp_path: Path) -> None:
    async with far_district(tmp_path) as far:
        await far.school.begin()
        await asyncio.sleep(4)
        assert (await far.sync())["reason"] in ("", None)
        threads = len(list(Path(f"/proc/{far.school.gateway.pid}/task").iterdir()))
        far.link.up = False
        async with asyncio.timeout(30):
            while not (await far.sync())["reason"]:
                await asyncio.sleep(0.2)
        await asyncio.sleep(5)
        assert len(list(Path(f"/proc/{far.school.gateway.pid}/task").iterdir())) <= threads + 1
        far.link.up = True
        await far.until_told("tcp-1", 10)
        await far.exact()


@pytest.mark.slow
@pytest.mark.timeout(180)
@needs("netns")
async def test_a_slow_link_that_loses_every_tenth_packet_carries_everything_and_alarms_in_time(
    tmp_path: Path,
) -> None:
    async with far_district(tmp_path) as far:
        far.link.delay_s, far.link.loss, far.link.rate = 0.3, 0.1, 64_000.0
        await far.school.begin()
        await far.until_told("tcp-1", 10)
        far.school.influx.down = True
        await asyncio.sleep(10)
        far.school.influx.down = False
        behind = (await far.sync())["pending"]
        async with asyncio.timeout(60):  # it gains on what the devices go on to send
            while (await far.sync())["pending"] > behind / 2:
                await asyncio.sleep(0.5)
        await far.exact()
        assert far.link.lost > 0
        print(f"\n{far.link.lost} of {far.link.passed + far.link.lost} packets were lost")
