"""Compares every night what a destination holds with what was sent, and keeps what came of it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from cloud_sync.reader import Reader
from cloud_sync.reconcile import ALARMS, DAY, HOURLY, READINGS, Evidence, Reconciler, Reconciliation, Stream
from cloud_sync.settings import InfluxDestination
from cloud_sync.writer import Writer
from drivers.reading import Millis

_LOG = logging.getLogger(__name__)

NO_TOKEN = "no read_token is configured: what arrived is not compared"  # noqa: S105  a sentence
BEGIN_H, SPAN_S = 1, 3 * 3600
"""Between one and four in the morning, each school at its own time."""
AGAIN_S = 3600.0
"""After a comparison that ended early."""
DAYS = 3
SPOTS = 5


def days_before(at: Millis, count: int) -> list[Millis]:
    """The first instants of the last complete days (UTC), the newest first."""
    today = at // DAY * DAY
    return [today - number * DAY for number in range(1, count + 1)]


class Sent(Protocol):
    """What the school holds and has sent, by the id of a destination."""

    def alarms(self, destination: str) -> Evidence:
        """Of alarms."""
        ...

    def readings(self, destination: str) -> Evidence:
        """Of readings."""
        ...

    def hours(self, destination: str) -> Evidence:
        """Of hourly figures."""
        ...


def streams(
    destination: InfluxDestination, sent: Sent, ends: Callable[[InfluxDestination], tuple[Reader, Writer]]
) -> list[Stream]:
    """All that is sent to a destination; `ends` are who asks a bucket, and who writes to it again."""
    asking, writing = ends(destination)
    found = [
        Stream(ALARMS, sent.alarms(destination.id), asking, writing),
        Stream(READINGS, sent.readings(destination.id), asking, writing),
    ]
    if (hourly := destination.hourly) is not None:
        found.append(Stream(HOURLY, sent.hours(hourly.id), *ends(hourly)))
    return found


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

    @property
    def trouble(self) -> str:
        """Why the last comparison ended early, or what it could not mend; empty while all is well."""
        last = self.last
        if last is None or self._reconciler is None or last.same:
            return ""
        still = sum(day.still for day in last.days)
        what = f"not compared: {last.reason}" if last.reason else f"{still} fields differ though sent again"
        return f"{self.destination}: {what}"

    def wait_s(self) -> float:
        """Seconds until the next comparison; one that ended early is made again soon."""
        now = datetime.fromtimestamp(self._clock() / 1000, UTC).astimezone(self._zone)
        due = now.replace(hour=BEGIN_H, minute=0, second=0, microsecond=0) + timedelta(seconds=self._offset_s)
        wait_s = ((due if due > now else due + timedelta(days=1)) - now).total_seconds()
        ended_early = self._reconciler is not None and self.last is not None and self.last.reason
        return min(wait_s, AGAIN_S) if ended_early else wait_s

    async def run(self) -> None:
        """Compares every night until cancelled."""
        while True:
            await asyncio.sleep(self.wait_s())
            await self.once()

    async def once(self) -> None:
        """Compares the last days now."""
        if self._reconciler is None:
            return
        try:
            found = await self._reconciler.run(days_before(self._clock(), DAYS), spots=SPOTS)
        except sqlite3.Error as error:
            found = Reconciliation(self._clock(), reason=f"the store cannot be read: {error}")
        self.last = found
        if found.reason:
            _LOG.warning("%s: not compared: %s", self.destination, found.reason)
        for day in found.days:
            if day.differing or day.surplus:
                _LOG.warning(
                    "%s: %s of %s: %d fields differed, %d values missing, %d entries sent again, %d differ,"
                    " %d hold more there",
                    self.destination, day.stream, datetime.fromtimestamp(day.since / 1000, UTC).date(),
                    day.differing, day.missing, day.resent, day.still, day.surplus,
                )  # fmt: skip
