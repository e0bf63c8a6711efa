"""An outbox in memory that survives a crash of the uploader, and writers for tests of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cloud_sync.outbox import Backlog, Entry, Taken
from cloud_sync.settings import InfluxDestination
from drivers.reading import Millis, Value
from drivers.settings import SecretRef
from edge.store.cursors import Held

START: Millis = 1_764_547_200_000  # 2025-12-01T00:00:00Z


class Parked(NamedTuple):
    """What `park` was told."""

    line: str
    status: int
    reason: str


class MemoryOutbox:
    """Holds entries and what is sent of them; parking the same entry again overwrites, as in a table.

    With `live` what came in lately (an entry's `at`) may leave before older entries.
    """

    def __init__(self, name: str, entries: Sequence[Entry] = (), *, live: bool = False) -> None:
        self.name = name
        self.entries = list(entries)
        self.live = live
        self.held = Held(0)
        self.sent = 0
        self.parked: dict[int, Parked] = {}

    @property
    def cursor(self) -> int:
        """Up to where everything is held."""
        return self.held.position

    def append(
        self, device: str, at: Millis, fields: Mapping[str, Value], measurement: str = "meter"
    ) -> None:
        """Stores one more entry."""
        identity = len(self.entries) + 1
        self.entries.append(Entry(identity, measurement, {"device": device}, fields, at))

    async def take(self, destination: str, limit: int, since: Millis | None = None) -> Taken:
        if since is not None:
            return self._young(limit, since)
        end = self.held.gap.upto if self.held.gap else len(self.entries)
        waiting = self.entries[self.cursor : end]
        taken = waiting[:limit]
        if len(taken) == len(waiting):
            return Taken(taken, end, len(self.held.ahead) > 1)
        return Taken(taken, taken[-1].id, True)

    def _young(self, limit: int, since: Millis) -> Taken:
        if not self.live:
            return Taken([], self.cursor, False, self.cursor)
        waiting = self.entries[self.held.top :]
        while waiting and waiting[0].at < since:
            waiting.pop(0)
        front = waiting[0].id - 1 if waiting else len(self.entries)
        taken = waiting[:limit]
        older = front if front > self.cursor else None
        return Taken(taken, taken[-1].id if taken else front, len(waiting) > limit, older)

    async def accept(self, destination: str, cursor: int, sent: int, behind: int | None = None) -> None:
        assert cursor >= self.cursor, "the cursor never goes back"
        self.held = self.held.joined(behind or 0, cursor)
        self.sent += sent

    async def park(self, destination: str, entry: Entry, line: str, status: int, reason: str) -> None:
        self.parked[entry.id] = Parked(line, status, reason)

    async def backlog(self, destination: str) -> Backlog:
        waiting = [entry for entry in self.entries if not self.held.covers(entry.id - 1, entry.id)]
        return Backlog(len(waiting), waiting[0].at if waiting else None)


def meters(count: int, devices: int = 10, start: Millis = START, measurement: str = "meter") -> list[Entry]:
    """Entries with the ids 1..count and the value 1..count, one device after the other."""
    return [
        Entry(n, measurement, {"device": f"em-{n % devices}"}, {"active_power": float(n)}, start + n)
        for n in range(1, count + 1)
    ]


def destination(url: str = "http://127.0.0.1:1", **changes: object) -> InfluxDestination:
    """A destination as the support server and the stand-in have it, with small times."""
    return InfluxDestination.model_validate(
        {
            "id": "district",
            "url": url,
            "org": "linwei",
            "bucket": "schools",
            "token": SecretRef(secret="influx"),
            "retry_min": "10ms",
            "retry_max": "200ms",
            "interval": "10ms",
            "drain": 1.0,
            "spread": "0s",
            **changes,
        }
    )
