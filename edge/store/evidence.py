"""What the store holds of whole days and has sent to one destination: `cloud_sync.reconcile.Evidence`."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

from cloud_sync.outbox import Entry
from cloud_sync.reader import Series, Sum
from cloud_sync.reconcile import Holding
from drivers.reading import Millis
from edge.store.answers import Slice, Sums
from edge.store.cursors import Held
from edge.store.helper import Helper
from edge.store.moments import Source

_PART: Millis = 3_600_000
_LIMIT_S = 300.0


class StoreEvidence:
    """`held` says what the destination holds, `parked` which moments it refused; `marked` puts an
    entry as it was sent."""

    def __init__(
        self,
        helper: Helper,
        site_tags: Mapping[str, str],
        held: Callable[[], Awaitable[Held]],
        parked: Callable[[], Awaitable[Sequence[int]]],
        marked: Callable[[Entry], Entry] = lambda entry: entry,
    ) -> None:
        self._helper = helper
        self._site_tags = dict(site_tags)
        self._held = held
        self._parked = parked
        self._marked = marked

    async def sums(self, since: Millis, until: Millis) -> Sequence[Holding] | None:
        """See the protocol."""
        found = await self._helper.call("sums", Sums, since, until, *await self._sent(), timeout_s=_LIMIT_S)
        if not found.complete:
            return None
        series: dict[tuple[str, Series], Sum] = {}
        for one in found.series:
            source = found.sources[one.source]
            tags = tuple(sorted((key, value) for key, value in self._tags(source).items() if value))
            key = source.kind, Series(tags, source.points[one.point].name)
            series[key] = _added(series.get(key), one.number, one.total)
        return [Holding(*key, total) for key, total in series.items()]

    async def again(self, device: str, since: Millis, until: Millis) -> AsyncIterator[Sequence[Entry]]:
        """See the protocol; hour by hour."""
        sent = await self._sent()
        for start in range(since, until, _PART):
            end = min(until, start + _PART)
            found = await self._helper.call("again", Slice, device, start, end, *sent, timeout_s=_LIMIT_S)
            tags = [self._tags(source) for source in found.sources]
            yield [
                self._marked(
                    Entry(one.id, found.sources[one.source].kind, tags[one.source], one.fields, one.at)
                )
                for one in found.entries
            ]

    async def _sent(self) -> tuple[list[tuple[int, int]], list[int]]:
        """The ids that the destination holds, and those that it refused."""
        held = await self._held()
        return [(0, held.position), *held.ahead], list(await self._parked())

    def _tags(self, source: Source) -> Mapping[str, str]:
        tags = {"building": source.building, "space": source.space, "device": source.device}
        return {**self._site_tags, **tags}


def _added(before: Sum | None, number: int, total: float | None) -> Sum:
    if before is None:
        return Sum(number, total)
    both = None if total is None or before.total is None else math.fsum((total, before.total))
    return Sum(before.number + number, both)
