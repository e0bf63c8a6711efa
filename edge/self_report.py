"""The gateway's figures of itself, stored and sent like the readings of any device.

They go to the recorder alone: on the bus they would pass for data that moves.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from drivers.reading import Batch, Reading, Value
from edge.config.gateway_points import GATEWAY, POINTS
from edge.status.gateway import Status
from edge.status.parts import Parts
from edge.store.database import free_bytes
from edge.store.moments import Shape, Source

EVERY_S = 60.0
OWN_SOURCE = Source(
    GATEWAY, GATEWAY, "", "", tuple(Shape(name, spec.unit, spec.type) for name, spec in POINTS.items())
)
"""How the store files them; the tags `building` and `space` stay away."""


def of_devices(found: Sequence[Reading]) -> list[Reading]:
    """Without what the gateway reported of itself: dashboards show devices."""
    return [reading for reading in found if reading.device != GATEWAY]


class SelfReport:
    """Gives `store` a reading of each figure once a minute, the first a minute after the start."""

    def __init__(self, status: Status, store: Callable[[Batch], Awaitable[None]]) -> None:
        self._status = status
        self._store = store

    async def run(self) -> None:
        """Reports until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.once()

    async def once(self) -> None:
        """One report."""
        figures, now = await figures_of(self._status), self._status.parts.clock()
        await self._store(
            [Reading(GATEWAY, name, value, POINTS[name].unit, now, now) for name, value in figures.items()]
        )


async def figures_of(status: Status) -> Mapping[str, Value]:
    """All figures that are known now."""
    parts = status.parts
    lines, counters = status.field.lines(), status.field.counters()
    full = parts.archivist.occupancy
    found: dict[str, float | None] = {
        "uptime": (parts.clock() - parts.started_at) / 1000,
        "memory_used": _resident(),
        "devices": len(counters),
        "devices_silent": sum(one.state.value == "silent" for one in counters.values()),
        "lines_down": sum(not line.connected for line in lines),
        "line_busiest": 100 * max((line.utilisation for line in lines), default=0.0),
        "line_waiting": max((line.queue_age for line in lines), default=0),
        "readings_good": parts.latest.good,
        "readings_bad": parts.latest.bad,
        "readings_held": parts.recorder.held + sum(one.size for one in parts.bus.subscriptions),
        "readings_lost": parts.collector.dropped + parts.recorder.dropped,
        "readings_shed": full.shed_points.get("raw_unsent", 0),
        "store_used": full.used_bytes,
        "store_days_left": full.days_left,
        "disk_free": free_bytes(parts.folder.core.path.parent),
        "push_waiting": parts.notifier.held,
        "push_delivered": parts.notifier.delivered,
        "push_failed": parts.notifier.failed,
        "tasks_failing": sum(
            bool(one.last_error) and not one.running for one in parts.supervisor.tasks.values()
        ),
    }
    numbers = {name: float(value) for name, value in found.items() if value is not None}
    return {
        **numbers,
        **await _sync_figures(status, parts),
        "clock": parts.clock_watch.state.value,
        "store_failed": bool(status.health.facts()["storage_failed"]),
    }


async def _sync_figures(status: Status, parts: Parts) -> Mapping[str, Value]:
    found = await status.sync()
    oldest = min((one.oldest_pending for one in found if one.oldest_pending is not None), default=None)
    return {
        "sync_pending": float(max((one.pending for one in found), default=0)),
        "sync_delay": 0.0 if oldest is None else max(0.0, (parts.clock() - oldest) / 1000),
        "sync_blocked": any(one.blocked for one in found),
        "sync_quarantined": float(sum(one.quarantined for one in found)),
        "sync_differs": any(one.compared is not None and one.compared.still > 0 for one in found),
    }


def _resident() -> float | None:
    """Bytes, `None` where the kernel does not say."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return None
    return float(pages) * os.sysconf("SC_PAGE_SIZE")
