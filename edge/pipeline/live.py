"""The newest reading of every point, in memory, for the dashboard and the API."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter

from drivers.reading import Batch, Millis, Origin, Quality, Reading, Value
from edge.bus import Subscription

_POINT, _QUALITY, _ORIGIN = itemgetter(0, 1), itemgetter(6), itemgetter(8)
_BACKFILL = Origin.BACKFILL


class Latest:
    """Takes batches off the bus and keeps the newest reading per point."""

    def __init__(self, source: Subscription) -> None:
        self._source = source
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

    def reading(self, device: str, point: str) -> Reading | None:
        """A point's newest reading, good or bad."""
        return self._readings.get((device, point))

    async def run(self, tell: Callable[[Batch], None]) -> None:
        """Follows the bus until cancelled; `tell` gets what is shown."""
        while True:
            batch = await self._source.get()
            bad = list(map(_QUALITY, batch)).count(Quality.BAD)
            self.bad += bad
            self.good += len(batch) - bad
            self.last_at = batch[-1].received_at
            if _BACKFILL in map(_ORIGIN, batch):
                batch = self._keep_some(batch)
            else:
                self._readings.update(zip(map(_POINT, batch), batch, strict=True))
            if batch:
                tell(batch)

    def _keep_some(self, batch: Batch) -> Batch:
        """Leaves out what is older than what is known: a device's log is not its state."""
        kept = []
        for reading in batch:
            known = self.reading(reading.device, reading.point)
            if reading.origin is not _BACKFILL or known is None or known.at < reading.at:
                self._readings[_POINT(reading)] = reading
                kept.append(reading)
        return kept
