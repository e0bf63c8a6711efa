"""The newest reading of every point, in memory, for the dashboard and the API."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from drivers.reading import Batch, Millis, Quality, Reading, Value
from edge.bus import Subscription


class Latest:
    """Takes batches off the bus, keeps the newest per point and tells listeners."""

    def __init__(self, source: Subscription, tell: Callable[[Batch], None]) -> None:
        self._source = source
        self._tell = tell
        self._readings: dict[tuple[str, str], Reading] = {}
        self.good = 0
        self.bad = 0
        self.last_at: Millis | None = None
        """When the newest reading, good or bad, came in this run."""

    def restore(self, readings: Sequence[Reading]) -> None:
        """What was stored before this start; each keeps its own old time."""
        for reading in readings:
            self._readings.setdefault((reading.device, reading.point), reading)

    def get(self) -> Sequence[Reading]:
        """The newest reading of every point."""
        return list(self._readings.values())

    def value(self, device: str, point: str) -> Value | None:
        """A point's newest value, `None` when there is none or it is bad."""
        reading = self._readings.get((device, point))
        return None if reading is None else reading.value

    async def run(self) -> None:
        """Follows the bus until cancelled."""
        while True:
            batch = await self._source.get()
            readings = self._readings
            bad = 0
            for reading in batch:
                readings[reading[0], reading[1]] = reading
                bad += reading.quality is Quality.BAD
            self.bad += bad
            self.good += len(batch) - bad
            self.last_at = batch[-1].received_at
            self._tell(batch)
