"""What happened in a run, and the watch over it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx

from tests.end_to_end.numbered_school import NumberedSchool
from tests.soak.criteria import Outage
from tests.soak.schedule import Act, Fault
from tests.soak.watch import Queues, Sample, sample

GROUP_S = 5.0
RATE_A_DEVICE = 5.0
SAMPLE_S = 10.0
SHORT_QUEUE = 12 * RATE_A_DEVICE * 3 * GROUP_S
"""Readings that wait for the district in good times: a few groups."""
OUTAGES = frozenset({Fault.UPLINK_DOWN, Fault.SERVER_KILLED, Fault.SERVER_FROZEN})
RECOVERY_S = 10.0
AWAY = frozenset({Fault.GATEWAY_KILLED, Fault.GATEWAY_FROZEN, Fault.BROKER_RESTARTED, Fault.CLOCK_STEPPED})
"""Faults during which nobody can say when a condition was on the bus."""


@dataclass
class Run:
    """One run's account."""

    seed: int
    started: float = field(default_factory=time.monotonic)
    done: list[tuple[float, Act]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    alarms_s: list[float] = field(default_factory=list)
    kills: int = 0
    steps: int = 0
    away_until: float = 0.0
    """Monotonic; infinite while one of `AWAY` is under way."""

    @property
    def now_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def disturbed(self, since: float) -> bool:
        """Whether gateway or broker were away, or just back, at an instant (monotonic) or later."""
        return self.away_until + RECOVERY_S > since


async def observe(school: NumberedSchool, run: Run) -> None:
    """Samples until cancelled."""
    while True:
        await asyncio.sleep(SAMPLE_S)
        try:
            pid = school.gateway.pid
        except AssertionError:  # it was killed and is not started again yet
            continue
        queues = await _queues(school)
        found = sample(pid, school.gateway.data, run.now_s, queues)
        if found:
            run.samples.append(found)


async def drain(school: NumberedSchool, run: Run, length_s: float) -> None:
    """Notes when the queue is short again behind an outage; cancelled by the next one."""
    until_s = run.now_s
    drained_s = None
    try:
        while True:
            await asyncio.sleep(1.0)
            queues = await _queues(school)
            if queues is not None and queues.pending <= SHORT_QUEUE:
                drained_s = run.now_s
                return
    finally:
        run.outages.append(Outage(length_s, until_s, drained_s))


async def _queues(school: NumberedSchool) -> Queues | None:
    """The gateway's own numbers; `None` while it does not answer."""
    try:
        (sync,) = (await asyncio.to_thread(school.gateway.get, "/sync"))["items"]
        numbers = _numbers(await asyncio.to_thread(school.gateway.metrics))
    except (AssertionError, httpx.HTTPError):
        return None
    oldest = sync["oldest_pending"]
    now = datetime.now(UTC)
    age_s = (now - datetime.fromisoformat(oldest.replace("Z", "+00:00"))).total_seconds() if oldest else 0.0
    return Queues(
        sync["pending"], max(0.0, age_s), numbers.get("campus_edge_store_held", 0.0),
        sum(value for name, value in numbers.items() if name.startswith("campus_edge_task_restarts_total")),
    )  # fmt: skip


def _numbers(metrics: str) -> Mapping[str, float]:
    """Name with labels -> value."""
    lines = (line.rpartition(" ") for line in metrics.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}
