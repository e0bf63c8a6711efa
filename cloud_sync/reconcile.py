"""Compares what the school holds with what the district says it holds, day by day, and mends it.

A 204 promises little on some servers, and people delete what they should not. What differs is sent
again: points overwrite themselves, so that the copy is exact and nothing is there twice.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple, Protocol

from cloud_sync.errors import NotALine, Rejected, TooLarge, UploadError
from cloud_sync.line_protocol import format_entry
from cloud_sync.outbox import Entry
from cloud_sync.reader import Question, Reader, ReadFailed, Series, Sum
from cloud_sync.writer import Writer
from drivers.reading import Millis, Value

READINGS, ALARMS, HOURLY = "readings", "alarms", "hourly"
"""The streams that a school sends."""
DAY: Millis = 86_400_000
MOST_BYTES = 500_000


class Holding(NamedTuple):
    """What the school holds of one field of one series, and has sent."""

    measurement: str
    series: Series
    sum: Sum


class NotKept(Exception):
    """Not all of a time is kept as it was sent."""


class Evidence(Protocol):
    """The school's side."""

    def sums(self, since: Millis, until: Millis) -> AsyncIterator[Sequence[Holding]]:
        """By series and field, some devices at a time, each with all it has; raises NotKept."""
        ...

    def again(
        self, series: Collection[Series], since: Millis, until: Millis
    ) -> AsyncIterator[Sequence[Entry]]:
        """What was sent of these series, as it was sent, and perhaps of others beside them."""
        ...


class Stream(NamedTuple):
    """One kind of what was sent, and the bucket that it went to."""

    name: str
    evidence: Evidence
    reader: Reader
    writer: Writer


@dataclass(frozen=True, slots=True)
class DayResult:
    """One day (UTC) of a stream that was compared. `missing` values were lacking there in `differing`
    fields of series; `resent` entries were sent again, and `still` so many fields differ. `surplus` fields
    hold more there than here. `skipped` says why a day was not compared."""

    stream: str
    since: Millis
    fields: int = 0
    values: int = 0
    differing: int = 0
    missing: int = 0
    resent: int = 0
    still: int = 0
    surplus: int = 0
    skipped: str = ""

    def and_also(self, other: DayResult) -> DayResult:
        """Both parts of a day together."""
        return DayResult(
            self.stream, self.since, self.fields + other.fields, self.values + other.values,
            self.differing + other.differing, self.missing + other.missing, self.resent + other.resent,
            self.still + other.still, self.surplus + other.surplus,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class SpotCheck:
    """How many single points were read back, and how many of them were not there as they were sent."""

    asked: int = 0
    wrong: int = 0


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What a comparison came to; `reason` says why it ended early, empty when it did not."""

    at: Millis
    days: tuple[DayResult, ...] = ()
    spot: SpotCheck = field(default_factory=SpotCheck)
    reason: str = ""

    @property
    def same(self) -> bool:
        """Whether the district holds all that was sent, as far as it was asked."""
        return not (self.reason or self.spot.wrong or any(day.still for day in self.days))


class Reconciler:
    """Compares what went to one destination, stream by stream, day by day."""

    def __init__(self, school: str, streams: Sequence[Stream], clock: Callable[[], Millis]) -> None:
        self._school = school
        self._streams = tuple(streams)
        self._clock = clock

    async def run(
        self,
        days: Sequence[Millis],
        *,
        mend: bool = True,
        spots: int = 0,
        random: Random | None = None,
        told: Callable[[DayResult], None] = lambda _: None,
    ) -> Reconciliation:
        """Compares whole days (their first instants) and tells each when it is done. Single points of the
        stream of readings are read back first; a stream that cannot be asked does not end the others."""
        done: list[DayResult] = []
        spot = SpotCheck()
        failed: dict[str, str] = {}
        for stream in self._streams:
            one = _Comparison(self._school, stream, self._clock)
            try:
                if spots and stream.name == READINGS:
                    spot = await one.spots(spots, random or Random())  # noqa: S311  no secret
                for since in days:
                    done.append(await one.day(since, mend))
                    told(done[-1])
            except (ReadFailed, UploadError) as error:
                failed[stream.name] = str(error)
        return Reconciliation(self._clock(), tuple(done), spot, _reason(failed, len(self._streams)))


def _reason(failed: Mapping[str, str], streams: int) -> str:
    """Why streams could not be compared; said once where it is the same for all."""
    reasons = set(failed.values())
    if len(failed) == streams and len(reasons) == 1:
        return reasons.pop()
    return "; ".join(f"{name}: {reason}" for name, reason in failed.items())


class _Comparison:
    """Of one stream."""

    def __init__(self, school: str, stream: Stream, clock: Callable[[], Millis]) -> None:
        self._school = school
        self._name, self._evidence, self._reader, self._writer = stream
        self._clock = clock

    async def day(self, since: Millis, mend: bool) -> DayResult:
        """One day, whose first instant it is; what differs is sent again with `mend`."""
        day = DayResult(self._name, since)
        try:
            async for holdings in self._evidence.sums(since, since + DAY):
                day = day.and_also(await self._part(holdings, since, mend))
        except NotKept:
            return DayResult(self._name, since, skipped="not all of this day is kept as it was sent")
        return day

    async def _part(self, holdings: Sequence[Holding], since: Millis, mend: bool) -> DayResult:
        """Some devices of a day."""
        until = since + DAY
        lacking, surplus = await self._differing(holdings, since, until)
        resent = 0
        still = len(lacking)
        if mend and lacking:
            async for entries in self._evidence.again({one.series for one, _ in lacking}, since, until):
                resent += await self._send(entries)
            still = len((await self._differing([one for one, _ in lacking], since, until))[0])
        return DayResult(
            self._name, since, len(holdings), sum(one.sum.number for one in holdings), len(lacking),
            sum(max(0, one.sum.number - there) for one, there in lacking), resent, still, surplus,
        )  # fmt: skip

    async def _differing(
        self, holdings: Sequence[Holding], since: Millis, until: Millis
    ) -> tuple[list[tuple[Holding, int]], int]:
        """The fields of which the district lacks something, with how many it holds; how many hold more."""
        by_measurement: dict[str, list[Holding]] = {}
        for one in holdings:
            by_measurement.setdefault(one.measurement, []).append(one)
        lacking: list[tuple[Holding, int]] = []
        surplus = 0
        for measurement, mine in by_measurement.items():
            numbers = frozenset(one.series.field for one in mine if one.sum.total is not None)
            devices = frozenset(dict(one.series.tags).get("device", "") for one in mine)
            there: Mapping[Series, Sum] = await self._reader.sums(
                Question(
                    measurement, self._school, numbers, since, until,
                    frozenset() if "" in devices else devices,
                )
            )  # fmt: skip
            for one in mine:
                found = there.get(one.series, Sum(0, 0.0))
                if found.number > one.sum.number:
                    surplus += 1
                elif not one.sum.same(found):
                    lacking.append((one, found.number))
        return lacking, surplus

    async def _send(self, entries: Sequence[Entry]) -> int:
        """Writes entries again; what the district refuses is passed over: it is in quarantine. How many."""
        sent = 0
        for lines in _bodies(entries):
            sent += await self._write(lines)
        return sent

    async def _write(self, lines: Sequence[bytes]) -> int:
        try:
            await self._writer.write(b"\n".join(lines))
        except (Rejected, TooLarge):
            if len(lines) == 1:
                return 0
            middle = len(lines) // 2
            return await self._write(lines[:middle]) + await self._write(lines[middle:])
        return len(lines)

    async def spots(self, count: int, random: Random) -> SpotCheck:
        """Reads back single values of the last complete hour; what is not there is sent again."""
        until = self._clock() // 3_600_000 * 3_600_000
        since = until - 3_600_000
        asked = wrong = 0
        for one in await self._some(count, since, until, random):
            candidates = [
                entry
                async for entries in self._evidence.again([one.series], since, until)
                for entry in entries
                if one.series.field in entry.fields
            ]
            if candidates:
                entry = random.choice(candidates)
                asked += 1
                there = await self._reader.value(one.measurement, one.series, entry.at)
                if not _equal(entry.fields[one.series.field], there):
                    wrong += 1
                    await self._send(candidates)
        return SpotCheck(asked, wrong)

    async def _some(self, count: int, since: Millis, until: Millis, random: Random) -> Sequence[Holding]:
        """So many of all fields of a time, each as likely as any other; none where it is not kept."""
        chosen: list[Holding] = []
        seen = 0
        try:
            async for holdings in self._evidence.sums(since, until):
                for one in holdings:
                    seen += 1
                    if len(chosen) < count:
                        chosen.append(one)
                    elif (place := random.randrange(seen)) < count:
                        chosen[place] = one
        except NotKept:
            return []
        return chosen


def _equal(here: Value, there: Value | None) -> bool:
    if isinstance(here, float) and isinstance(there, float):
        return math.isclose(here, there, rel_tol=1e-12)
    return here == there


def _bodies(entries: Sequence[Entry]) -> list[list[bytes]]:
    bodies: list[list[bytes]] = [[]]
    size = 0
    for entry in entries:
        try:
            line = format_entry(entry)
        except NotALine:
            continue
        if size + len(line) > MOST_BYTES and bodies[-1]:
            bodies.append([])
            size = 0
        bodies[-1].append(line)
        size += len(line) + 1
    return [body for body in bodies if body]
