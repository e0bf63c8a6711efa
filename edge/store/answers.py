"""What the helper process answers; plain enough for msgpack, without numpy."""

from __future__ import annotations

from typing import NamedTuple

from drivers.reading import Millis, Value
from edge.store.moments import Source


class Samples(NamedTuple):
    """Samples side by side: `at` as int64, `values` as float64 (both native bytes) or a list;
    `odd` are those that are not plainly good: index, quality code, whether there is a value."""

    at: bytes
    values: bytes | list[Value]
    odd: list[tuple[int, int, bool]]


class Outgoing(NamedTuple):
    """One sealed moment's good values; `source` is an index into the slice's sources."""

    id: int
    source: int
    at: Millis
    fields: dict[str, Value]


class Slice(NamedTuple):
    """Sealed moments in the order of storing, the cursor behind them, and how many blocks of
    their batch could not be read."""

    sources: list[Source]
    entries: list[Outgoing]
    cursor: int
    damaged: int
