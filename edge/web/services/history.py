"""The stored series, as the web side asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from drivers.reading import Millis, Quality, Value

Aggregate = Literal["mean", "min", "max", "sum", "last", "count"]


class Sample(NamedTuple):
    """One stored value, or one bucket of an aggregated series, which starts at `at`."""

    at: Millis
    value: Value | None
    quality: Quality = Quality.GOOD


class History(Protocol):
    """The stored series."""

    async def query(
        self,
        device: str,
        point: str,
        since: Millis,
        until: Millis,
        step: Millis | None,
        agg: Aggregate | None,
        limit: int,
    ) -> Sequence[Sample]:
        """At most `limit` samples with since <= at < until, oldest first. `step` and `agg` come
        together or not at all; buckets start at multiples of `step` since the epoch."""
        ...
