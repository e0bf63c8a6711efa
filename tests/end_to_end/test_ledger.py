"""What the devices sent = what is stored = what the district holds, through every trouble."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.end_to_end.numbered_school import numbered_school
from tests.support.influx import DropResponse, Status

GROUP_S = 1.0
RATE_A_DEVICE = 5.0


@pytest.mark.timeout(300)
async def test_nothing_is_lost_or_doubled_by_a_dead_server_a_lost_answer_and_a_broker_restart(
    tmp_path: Path,
) -> None:
    async with numbered_school(tmp_path) as school:
        await school.begin()
        await asyncio.sleep(4)
        school.influx.faults.extend([DropResponse(), Status(503, {"Retry-After": "1"}), DropResponse()])
        await asyncio.sleep(4)
        await asyncio.to_thread(school.broker.stop)
        await asyncio.sleep(3)
        await asyncio.to_thread(school.broker.start)
        await asyncio.sleep(4)
        school.influx.down = True
        await asyncio.sleep(60)
        school.influx.down = False
        await asyncio.sleep(4)
        await school.quiet()
        await asyncio.sleep(2 * GROUP_S)
        await school.drained()
        await asyncio.to_thread(school.gateway.stop)

        sent, stored, delivered = school.sent(), school.stored(), await school.delivered()
        assert sorted(sent) == sorted(stored) == sorted(delivered)
        assert len(sent) == 12
        for device, numbers in sent.items():
            assert numbers == [float(n) for n in range(1, len(numbers) + 1)], "the ledger itself"
            assert len(numbers) > 100, device
            assert stored[device] == numbers, device
            assert delivered[device] == numbers, device


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_server_that_is_killed_and_then_freezes_while_it_is_written_to_ends_exact(
    tmp_path: Path,
) -> None:
    async with numbered_school(tmp_path) as school:
        await school.begin()
        for _ in range(3):
            await asyncio.sleep(3)
            school.influx.kill()
            await asyncio.sleep(3)
            await school.influx.start()
        await asyncio.sleep(3)
        school.influx.freeze()
        await asyncio.sleep(25)  # longer than the gateway waits for an answer
        school.influx.thaw()
        await asyncio.sleep(4)
        await school.quiet()
        await asyncio.sleep(2 * GROUP_S)
        await school.drained()
        await asyncio.to_thread(school.gateway.stop)
        sent, stored, delivered = school.sent(), school.stored(), await school.delivered()
        assert len(sent) == 12
        for device, numbers in sent.items():
            assert stored[device] == numbers, device
            assert delivered[device] == numbers, device


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kills", [10, pytest.param(40, marks=pytest.mark.slow)])
async def test_kills_lose_at_most_the_group_under_way_each(tmp_path: Path, kills: int) -> None:
    chance = random.Random(20261124)
    async with numbered_school(tmp_path) as school:
        await school.begin()
        for number in range(kills):
            if number:
                await asyncio.to_thread(school.gateway.start)
            await asyncio.sleep(chance.uniform(0.3, 4.0))
            await asyncio.to_thread(school.gateway.kill)
        await asyncio.to_thread(school.gateway.start)
        await asyncio.sleep(3)
        await school.quiet()
        await asyncio.sleep(2 * GROUP_S)
        await school.drained()
        await asyncio.to_thread(school.gateway.stop)

        sent, stored, delivered = school.sent(), school.stored(), await school.delivered()
        missing = 0
        for device, numbers in sent.items():
            kept = stored[device]
            assert len(set(kept)) == len(kept), f"{device}: stored twice"
            assert set(kept) <= set(numbers), device
            assert kept == sorted(kept), device
            lost = len(numbers) - len(kept)
            # a group under way and the exchange under way, at each kill
            assert lost <= kills * (GROUP_S * RATE_A_DEVICE + 2), device
            missing += lost
            assert delivered[device] == kept, f"{device}: the district must hold what is stored"
        print(f"\n{kills} kills: {missing} of {sum(map(len, sent.values()))} readings were not yet committed")
