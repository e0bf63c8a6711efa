"""What the uploader needs of whoever stores: take in order, accept, park.

`edge.store` fits these protocols; nothing here knows SQLite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from drivers.reading import Millis, Value


class Entry(NamedTuple):
    """One stored fact on its way out. `id` grows with storing and is the cursor.

    `measurement`, `tags` and `at` were fixed when it was stored and never change, so
    that sending twice overwrites. `fields` hold floats, bools and texts only.
    """

    id: int
    measurement: str
    tags: Mapping[str, str]
    fields: Mapping[str, Value]
    at: Millis


class Backlog(NamedTuple):
    """How much waits: entries behind the cursor, and the oldest one's time."""

    pending: int
    oldest: Millis | None


class Taken(NamedTuple):
    """What an outbox gave: entries, the cursor behind them, and whether more waits now.

    The cursor may lie beyond the last entry (rows that are never sent, such as bad
    readings, are skipped).
    """

    entries: Sequence[Entry]
    cursor: int
    more: bool


class Outbox(Protocol):
    """One stream of stored entries with a durable cursor for each destination."""

    name: str

    async def take(self, destination: str, limit: int) -> Taken:
        """At most `limit` entries behind the destination's cursor, oldest first."""
        ...

    async def accept(self, destination: str, cursor: int, sent: int) -> None:
        """Moves the cursor, durably: all before it is held by the destination.
        `sent` values (fields of entries) were delivered in this step, for the ledger."""
        ...

    async def park(self, destination: str, entry: Entry, line: str, status: int, reason: str) -> None:
        """Sets aside one entry that the destination refuses for good, with its reason."""
        ...

    async def backlog(self, destination: str) -> Backlog:
        """What waits for this destination."""
        ...
