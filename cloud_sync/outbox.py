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
    """How much waits: entries that are not held, and the oldest one's time."""

    pending: int
    oldest: Millis | None


class Taken(NamedTuple):
    """What an outbox gave: entries, the cursor behind them, and whether more waits now.

    The entries are all that wait with ids in (behind, cursor], or up to the cursor where
    `behind` is None: then nothing older waits. The cursor may lie beyond the last entry (rows
    that are never sent, such as bad readings, are skipped).
    """

    entries: Sequence[Entry]
    cursor: int
    more: bool
    behind: int | None = None


class Outbox(Protocol):
    """One stream of stored entries; what each destination holds of it is kept durably."""

    name: str

    async def take(self, destination: str, limit: int, since: Millis | None = None) -> Taken:
        """About `limit` entries that the destination lacks, oldest first.

        With `since` only what is urgent, and must not wait behind a backlog: what came in from then
        on, or all where everything in it is urgent.
        """
        ...

    async def accept(self, destination: str, cursor: int, sent: int, behind: int | None = None) -> None:
        """The destination holds what was taken (see `Taken`), durably.
        `sent` values (fields of entries) were delivered in this step, for the ledger."""
        ...

    async def park(self, destination: str, entry: Entry, line: str, status: int, reason: str) -> None:
        """Sets aside one entry that the destination refuses for good, with its reason."""
        ...

    async def backlog(self, destination: str) -> Backlog:
        """What waits for this destination."""
        ...
