"""A failing task comes back ever more slowly, is told once, and takes nobody with it."""

from __future__ import annotations

import asyncio
import logging
from itertools import pairwise

import pytest

from edge.supervisor import Supervisor
from tests.support.virtual_time import run_virtually


def test_a_task_that_raises_again_and_again_is_restarted_with_growing_pauses_beside_a_healthy_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    starts: list[float] = []
    beats = 0

    async def sick() -> None:
        starts.append(asyncio.get_running_loop().time())
        raise RuntimeError("broken")

    async def healthy() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(1)
            beats += 1

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            supervisor = Supervisor(group)
            tasks = [
                supervisor.keep("sick", sick, first_s=0.5, longest_s=8.0),
                supervisor.keep("healthy", healthy),
            ]
            await asyncio.sleep(100)
            assert supervisor.tasks["sick"].last_error == "RuntimeError: broken"
            assert supervisor.tasks["sick"].restarts == len(starts)
            assert supervisor.tasks["healthy"].restarts == 0
            for task in tasks:
                task.cancel()

    with caplog.at_level(logging.WARNING):
        run_virtually(main())
    pauses = [after - before for before, after in pairwise(starts)]
    assert beats >= 99
    assert all(
        0.7 * min(0.5 * 2**n, 8.0) <= pause <= 1.3 * min(0.5 * 2**n, 8.0) for n, pause in enumerate(pauses)
    )
    assert len(pauses) > 10
    assert len([r for r in caplog.records if "broken" in r.getMessage()]) == 1, (
        "a steady failure is told once"
    )


def test_a_task_that_ends_by_itself_is_not_started_again() -> None:
    starts = 0

    async def once() -> None:
        nonlocal starts
        starts += 1

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            Supervisor(group).keep("once", once)
            await asyncio.sleep(60)

    run_virtually(main())
    assert starts == 1
