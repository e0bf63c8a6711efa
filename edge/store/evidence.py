"""What the store holds of whole days and has sent to one destination: `cloud_sync.reconcile.Evidence`."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeVar

from cloud_sync.outbox import Entry
from cloud_sync.reader import Series, Sum, Tags
from cloud_sync.reconcile import Holding, NotKept
from drivers.reading import Millis, Value
from edge.store.answers import Hours, Slice, Sums
from edge.store.cursors import Held
from edge.store.helper import Helper
from edge.store.hourly import entries_of
from edge.store.moments import Source

T = TypeVar("T")
Ask = Callable[[], Awaitable[T]]
_PART: Millis = 3_600_000
_LIMIT_S = 300.0


def _as_sent(entry: Entry) -> Entry:
    return entry


class StoreEvidence:
    """Of readings. `held` says what the destination holds, `parked` which moments it refused; `marked`
    puts an entry as it was sent."""

    def __init__(
        self,
        helper: Helper,
        site_tags: Mapping[str, str],
        held: Ask[Held],
        parked: Ask[Sequence[int]],
        marked: Callable[[Entry], Entry] = _as_sent,
    ) -> None:
        self._helper = helper
        self._site_tags = dict(site_tags)
        self._held = held
        self._parked = parked
        self._marked = marked

    async def sums(self, since: Millis, until: Millis) -> AsyncIterator[Sequence[Holding]]:
        """See the protocol."""
        question = ("sums", since, until, *await self._sent())
        async for found in _parts(self._helper, *question):
            yield _holdings(found, self._site_tags)

    async def again(
        self, series: Collection[Series], since: Millis, until: Millis
    ) -> AsyncIterator[Sequence[Entry]]:
        """See the protocol; device by device, hour by hour."""
        sent = await self._sent()
        for device in _devices(series):
            for start in range(since, until, _PART):
                end = min(until, start + _PART)
                found = await self._helper.call("again", Slice, device, start, end, *sent, timeout_s=_LIMIT_S)
                tags = [_tags(source, self._site_tags) for source in found.sources]
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


class HourlyEvidence:
    """Of hourly figures. `position` says up to which moment the destination's are made of, `parked`
    which hours it refused."""

    def __init__(
        self, helper: Helper, site_tags: Mapping[str, str], position: Ask[int], parked: Ask[Sequence[int]]
    ) -> None:
        self._helper = helper
        self._site_tags = dict(site_tags)
        self._position = position
        self._parked = parked

    async def sums(self, since: Millis, until: Millis) -> AsyncIterator[Sequence[Holding]]:
        """See the protocol; each figure of a point is a field."""
        question = ("hour_sums", since, until, *await self._sent())
        async for found in _parts(self._helper, *question):
            yield _holdings(found, self._site_tags)

    async def again(
        self, series: Collection[Series], since: Millis, until: Millis
    ) -> AsyncIterator[Sequence[Entry]]:
        """See the protocol; device by device."""
        sent = await self._sent()
        for device in _devices(series):
            found = await self._helper.call(
                "hours_again", Hours, device, since, until, *sent, timeout_s=_LIMIT_S
            )
            yield entries_of(found, self._site_tags)

    async def _sent(self) -> tuple[int, list[int]]:
        return await self._position(), list(await self._parked())


class AlarmEvidence:
    """Of alarms. `sent` gives the transitions of a time that the destination took, as they were sent."""

    def __init__(self, sent: Callable[[Millis, Millis], Awaitable[Sequence[Entry]]]) -> None:
        self._sent = sent

    async def sums(self, since: Millis, until: Millis) -> AsyncIterator[Sequence[Holding]]:
        """See the protocol; all of them at once: they are few."""
        points: dict[tuple[str, Tags, Millis], dict[str, Value]] = {}
        for entry in await self._sent(since, until):
            # in one series the later of one instant overwrote the earlier
            points.setdefault((entry.measurement, _known(entry.tags), entry.at), {}).update(entry.fields)
        values: dict[tuple[str, Series], list[Value]] = {}
        for (measurement, tags, _), fields in points.items():
            for name, value in fields.items():
                values.setdefault((measurement, Series(tags, name)), []).append(value)
        yield [Holding(*key, _sum(found)) for key, found in values.items()]

    async def again(
        self, series: Collection[Series], since: Millis, until: Millis
    ) -> AsyncIterator[Sequence[Entry]]:
        """See the protocol."""
        wanted = {one.tags for one in series}
        yield [entry for entry in await self._sent(since, until) if _known(entry.tags) in wanted]


def _sum(values: Sequence[Value]) -> Sum:
    numbers = [value for value in values if isinstance(value, float)]
    return Sum(len(values), math.fsum(numbers) if len(numbers) == len(values) else None)


async def _parts(helper: Helper, name: str, *question: object) -> AsyncIterator[Sums]:
    """The helper's answer part by part; raises NotKept."""
    after = None
    while True:
        found = await helper.call(name, Sums, *question, after, timeout_s=_LIMIT_S)
        if not found.complete:
            raise NotKept
        yield found
        after = found.after
        if after is None:
            break


def _holdings(found: Sums, site_tags: Mapping[str, str]) -> Sequence[Holding]:
    series: dict[tuple[str, Series], Sum] = {}
    tags = [_known(_tags(source, site_tags)) for source in found.sources]
    for one in found.series:
        source = found.sources[one.source]
        key = source.kind, Series(tags[one.source], source.points[one.point].name)
        series[key] = _added(series.get(key), one.number, one.total)
    return [Holding(*key, total) for key, total in series.items()]


def _added(before: Sum | None, number: int, total: float | None) -> Sum:
    if before is None:
        return Sum(number, total)
    both = None if total is None or before.total is None else math.fsum((total, before.total))
    return Sum(before.number + number, both)


def _tags(source: Source, site_tags: Mapping[str, str]) -> Mapping[str, str]:
    return {**site_tags, "building": source.building, "space": source.space, "device": source.device}


def _known(tags: Mapping[str, str]) -> Tags:
    """As the district tells them: an empty tag is none."""
    return tuple(sorted((key, value) for key, value in tags.items() if value))


def _devices(series: Collection[Series]) -> list[str]:
    return sorted({dict(one.tags)["device"] for one in series})
