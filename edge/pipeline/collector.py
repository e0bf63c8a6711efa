"""Gathers what all lines read within one tick, has it screened and publishes it as one batch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from drivers.reading import Reading
from edge.bus import ReadingBus
from edge.pipeline.screen import Screening

GATHER_S = 0.005
"""Least time between two batches. What comes after a pause waits for nobody: an emergency button is
alone in its tick; its neighbours gather behind it."""
LIMIT = 200_000
"""Readings held when the bus makes us wait; beyond it the oldest are dropped and counted."""


class Collector:
    """`collect` takes a finished round from a line; `run` publishes the batches, screened."""

    def __init__(self, bus: ReadingBus, screening: Screening | None = None) -> None:
        self._bus = bus
        self._screening = screening
        self._pending: list[Reading] = []
        self._arrived = asyncio.Event()
        self.collected = 0
        self.dropped = 0

    def collect(self, readings: Sequence[Reading]) -> None:
        """Takes readings; never waits."""
        self._pending.extend(readings)
        self.collected += len(readings)
        if len(self._pending) > LIMIT:
            self.dropped += len(self._pending) - LIMIT
            del self._pending[:-LIMIT]
        self._arrived.set()

    async def run(self) -> None:
        """Publishes until cancelled; what is pending then goes out first."""
        try:
            while True:
                await self._arrived.wait()
                await self.flush()
                await asyncio.sleep(GATHER_S)
        finally:
            await asyncio.shield(self._finish())

    async def _finish(self) -> None:
        await self.flush()
        if self._screening is not None:
            await self._screening.save()

    async def flush(self) -> None:
        """Publishes what is pending as one batch."""
        self._arrived.clear()
        batch, self._pending = self._pending, []
        if batch:
            await self._bus.publish(await self._screening.look(batch) if self._screening else batch)
