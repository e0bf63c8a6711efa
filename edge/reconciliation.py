"""Compares every night what a destination holds with what was sent, and keeps what came of it."""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cloud_sync.reconcile import DAY, Reconciler, Reconciliation
from drivers.reading import Millis

_LOG = logging.getLogger(__name__)

NO_TOKEN = "no read_token is configured: what arrived is not compared"  # noqa: S105  a sentence
BEGIN_H, SPAN_S = 1, 3 * 3600
"""Between one and four in the morning, each school at its own time."""
DAYS = 3
SPOTS = 5


def days_before(at: Millis, count: int) -> list[Millis]:
    """The first instants of the last complete days (UTC), the newest first."""
    today = at // DAY * DAY
    return [today - number * DAY for number in range(1, count + 1)]


class Nightly:
    """The comparison of one destination; `reconciler` is `None` where nothing may be read there."""

    def __init__(
        self, destination: str, school: str, zone: ZoneInfo, reconciler: Reconciler | None,
        clock: Callable[[], Millis],
    ) -> None:  # fmt: skip
        self.destination = destination
        self._reconciler = reconciler
        self._zone = zone
        self._clock = clock
        self._offset_s = zlib.crc32(f"{school}/{destination}".encode()) % SPAN_S
        self.last: Reconciliation | None = None
        if reconciler is None:
            self.last = Reconciliation(clock(), reason=NO_TOKEN)

    def wait_s(self) -> float:
        """Seconds until the next comparison."""
        now = datetime.fromtimestamp(self._clock() / 1000, UTC).astimezone(self._zone)
        due = now.replace(hour=BEGIN_H, minute=0, second=0, microsecond=0) + timedelta(seconds=self._offset_s)
        return ((due if due > now else due + timedelta(days=1)) - now).total_seconds()

    async def run(self) -> None:
        """Compares once a night until cancelled."""
        while True:
            await asyncio.sleep(self.wait_s())
            await self.once()

    async def once(self) -> None:
        """Compares the last days now."""
        if self._reconciler is None:
            return
        found = await self._reconciler.run(days_before(self._clock(), DAYS), spots=SPOTS)
        self.last = found
        if found.reason:
            _LOG.warning("%s: not compared: %s", self.destination, found.reason)
        for day in found.days:
            if day.differing or day.surplus:
                _LOG.warning(
                    "%s: %d fields differed on day %d: %d values missing, %d entries sent again, %d differ",
                    self.destination, day.differing, day.since // DAY, day.missing, day.resent, day.still,
                )  # fmt: skip
