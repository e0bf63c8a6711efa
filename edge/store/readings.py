"""Readings on disk: group commits, latest values and history.

What is sealed (`edge.store.archivist`) is read by the helper process.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from drivers.reading import Millis, Quality, Reading
from edge.store import catalogue, moments, spans
from edge.store.answers import Samples
from edge.store.database import Database
from edge.store.helper import Helper
from edge.store.moments import QUALITIES, Moment, Source
from edge.store.newest import Newest
from edge.store.samples import Sample, aggregated, unpacked

_LOG = logging.getLogger(__name__)

_GOOD = Quality.GOOD
LONG_AGO, FAR_OFF = -(1 << 62), 1 << 62


class _Appended(NamedTuple):
    """What an append did; with `unknown` it did nothing, and must first be told what of these
    devices' instants is sealed."""

    stored: int
    duplicates: int
    newest: Mapping[str, Millis]
    unknown: Sequence[_Instant] = ()


_Instant = tuple[str, Millis]


class ReadingStore:
    """The telemetry file's readings; `sources` are the configured devices with their points."""

    def __init__(self, database: Database, sources: Iterable[Source]) -> None:
        self._database = database
        self._sources = {source.device: source for source in sources}
        self._ids: dict[str, int] = {}
        self._newest: dict[str, Millis] = {}
        self.stored = 0
        self.duplicates = 0
        self.last_commit: Millis | None = None
        self.helper = Helper(database.path.parent)
        """Answers from sealed files; the outbox may share it."""

    async def close(self) -> None:
        """Ends the helper process; the file is its owner's to close."""
        await self.helper.close()

    async def load(self) -> None:
        """Makes sure that every configured device has its source."""
        await self._database.run(self._load)

    def _load(self, connection: sqlite3.Connection) -> None:
        sealed = _sealed_last(connection)
        newest = dict(connection.execute("SELECT source, max(at) FROM moments GROUP BY source").fetchall())
        for device, source in self._sources.items():
            number = self._ids[device] = moments.source_of(connection, source)
            self._newest[device] = max(newest.get(number, 0), sealed)

    async def append(self, readings: Sequence[Reading], now: Millis) -> None:
        """Stores a group in one commit. A second value of a point in the same millisecond
        is a duplicate: the first stays, the count says so."""
        sealed: dict[_Instant, Sequence[str]] = {}

        def work(connection: sqlite3.Connection) -> _Appended:
            return self._append(connection, readings, sealed)

        done = await self._database.run(work)
        while done.unknown:
            sealed.update(await self._sealed_at(done.unknown))
            done = await self._database.run(work)
        self._newest.update(done.newest)
        self.stored += done.stored
        self.duplicates += done.duplicates
        self.last_commit = now

    async def _sealed_at(self, instants: Sequence[_Instant]) -> Mapping[_Instant, Sequence[str]]:
        """The points that are sealed at these devices' instants; nothing where files cannot be read:
        a reading twice is better than none."""
        found: dict[_Instant, Sequence[str]] = dict.fromkeys(instants, ())
        for device in {device for device, _ in instants}:
            at = [one for name, one in instants if name == device]
            try:
                known = await self.helper.call("known", dict[int, list[str]], device, at)
            except sqlite3.OperationalError as error:
                _LOG.warning("late readings of %s are not compared with sealed ones: %s", device, error)
                continue
            found |= {(device, one): points for one, points in known.items()}
        return found

    def _append(
        self,
        connection: sqlite3.Connection,
        readings: Sequence[Reading],
        sealed: Mapping[_Instant, Sequence[str]],
    ) -> _Appended:
        group, known, duplicates = self._gather(readings)
        late = [moment for moment in group if moment.at <= self._newest[moment.source.device]]
        if late:
            until = _sealed_last(connection)
            instants = [(moment.source.device, moment.at) for moment in late if moment.at <= until]
            unknown = [one for one in instants if one not in sealed]
            if unknown:
                return _Appended(0, 0, {}, unknown)
        for moment in late:
            duplicates += _forget_sealed(moment, sealed.get((moment.source.device, moment.at), ()))
        duplicates += self._forget_known(connection, late)
        rows = [
            (self._ids[m.source.device], m.at, m.received_at, m.body())
            for m in group
            if m.marks or m.values.count(None) < len(m.values)
        ]
        connection.executemany("INSERT INTO moments(source, at, received_at, body) VALUES(?,?,?,?)", rows)
        newest: dict[str, Millis] = {}
        for moment in group:
            device = moment.source.device
            newest[device] = max(newest.get(device, self._newest[device]), moment.at)
        return _Appended(known - duplicates, duplicates, newest)

    def _gather(self, readings: Sequence[Reading]) -> tuple[list[Moment], int, int]:
        """The readings by device and instant; how many are of known devices, and how many of these said
        a point's instant twice."""
        found: dict[tuple[str, Millis], Moment] = {}
        known = duplicates = 0
        of, instant = "", LONG_AGO  # whose readings come now: they come together
        mine: Moment | None = None
        for device, point, value, _unit, at, received_at, quality, reason, _origin in readings:
            if at != instant or device != of:
                of, instant = device, at
                mine = found.get((device, at))
                if mine is None and (source := self._sources.get(device)) is not None:
                    mine = Moment(source, at, received_at, [None] * len(source.points), {})
                    found[device, at] = mine
                if mine is not None:
                    index, values, marks = mine.source.index, mine.values, mine.marks
            if mine is None:
                continue
            known += 1
            place = index[point]
            if values[place] is not None or place in marks:
                duplicates += 1
                continue
            values[place] = value
            if quality is not _GOOD:
                marks[place] = (quality, reason)
        return list(found.values()), known, duplicates

    def _forget_known(self, connection: sqlite3.Connection, late: Sequence[Moment]) -> int:
        """Takes out of moments what earlier groups stored of the same instants; how many."""
        if not late:
            return 0
        wanted = {(self._ids[moment.source.device], moment.at): moment for moment in late}
        first, last = min(moment.at for moment in late), max(moment.at for moment in late)
        devices = ",".join(str(number) for number in {source for source, _ in wanted})
        rows = connection.execute(
            f"SELECT m.source, m.at, m.body FROM {spans.WITHIN} AND m.source IN ({devices})",
            {"since": first, "until": last + 1},
        )
        taken = 0
        for source, at, body in rows:
            if (moment := wanted.get((source, at))) is not None:
                taken += _forget_body(moment, body)
        return taken

    async def latest(self) -> list[Reading]:
        """The newest stored reading of every configured point (after a restart)."""
        return await self._database.read(self._latest, patient=True)

    def _latest(self, connection: sqlite3.Connection) -> list[Reading]:
        sealed = catalogue.newest(connection)
        known = {
            self._ids[device]: Newest(source, _newest_sealed(source, sealed.get(self._ids[device], ())))
            for device, source in self._sources.items()
        }
        waiting = set(known)
        for places, later in spans.newest_first(connection):
            for place in places:
                if place.source in waiting and known[place.source].wants(place.at):
                    row = connection.execute(
                        "SELECT at, received_at, body FROM moments WHERE id=?", (place.id,)
                    ).fetchone()
                    known[place.source].learn(_readings(known[place.source].source, *row))
            waiting = {number for number in waiting if not known[number].complete(later)}
            if not waiting:
                break
        return [reading for one in known.values() for reading in one.found.values()]

    async def recent(self, since: Millis, limit: int = 500_000) -> list[Reading]:
        """The configured points' stored readings from `since` on, in the order of storing."""

        def look(connection: sqlite3.Connection) -> list[Reading]:
            known = {self._ids[device]: source for device, source in self._sources.items()}
            found: list[Reading] = []
            for source, at, received_at, body in connection.execute(
                f"SELECT m.source, m.at, m.received_at, m.body FROM {spans.WITHIN} ORDER BY m.id",
                {"since": since, "until": FAR_OFF},
            ):
                if source in known:
                    found.extend(_readings(known[source], at, received_at, body))
                    if len(found) >= limit:
                        break
            return found

        return await self._database.read(look, patient=True)

    async def stored_last(self, within: Millis) -> list[Reading]:
        """The configured points' readings that came in within so long of the very last one, in the order of
        storing. By that order, not by time: the clock may have been ahead in between, and what was stored
        then is newer than anything else."""

        def look(connection: sqlite3.Connection) -> list[Reading]:
            known = {self._ids[device]: source for device, source in self._sources.items()}
            found: list[Sequence[Reading]] = []
            end: Millis | None = None
            for source, at, received_at, body in connection.execute(
                "SELECT source, at, received_at, body FROM moments ORDER BY id DESC"
            ):
                end = received_at if end is None else end
                if abs(end - received_at) > within:
                    break
                if source in known:
                    found.append(tuple(_readings(known[source], at, received_at, body)))
            return [reading for moment in reversed(found) for reading in moment]

        return await self._database.read(look, patient=True)

    async def history(
        self,
        device: str,
        point: str,
        since: Millis,
        until: Millis,
        *,
        step: Millis | None = None,
        aggregate: str = "mean",
        limit: int = 10_000,
    ) -> list[Sample]:
        """Samples in [since, until), oldest first: raw, or one for each `step` (aligned to
        the epoch) of the good ones. `aggregate` is mean, min, max, sum, count or last."""

        def look(connection: sqlite3.Connection) -> list[Sample] | None:
            if since <= _sealed_last(connection):
                return None
            values = moments.instants(connection, device, point, since, until)
            if step is None:
                return [Sample(*one) for one, _ in zip(values, range(limit), strict=False)]
            return aggregated(values, step, aggregate, limit)

        hot = await self._database.read(look)
        if hot is not None:
            return hot
        if step is None:
            sealed = await self.helper.call("series", Samples, device, point, since, until, limit)
        else:
            sealed = await self.helper.call(
                "buckets", Samples, device, point, since, until, step, aggregate, limit
            )
        return await asyncio.to_thread(unpacked, sealed)


def _sealed_last(connection: sqlite3.Connection) -> Millis:
    """The newest sealed instant; long ago when nothing is sealed."""
    (last,) = connection.execute("SELECT max(last_at) FROM batches").fetchone()
    return LONG_AGO if last is None else int(last)


def _forget_body(moment: Moment, body: bytes) -> int:
    """Takes out of a moment what a stored body says of the same instant; how many."""
    taken = 0
    values, marks = moments.values_of(body)
    for index, value in enumerate(values):
        if (value is not None or index in marks) and moment.holds(index):
            moment.values[index] = None
            moment.marks.pop(index, None)
            taken += 1
    return taken


def _forget_sealed(moment: Moment, points: Sequence[str]) -> int:
    """Takes out of a moment what is sealed of the same instant; how many."""
    taken = 0
    for index in {moment.source.index[point] for point in points if point in moment.source.index}:
        if moment.holds(index):
            moment.values[index] = None
            moment.marks.pop(index, None)
            taken += 1
    return taken


def _newest_sealed(source: Source, row: Sequence[catalogue.Newest | None]) -> dict[str, Reading]:
    """The newest sealed reading of each point that has one."""
    found = {}
    for shape, newest in zip(source.points, row, strict=False):
        if newest is not None:
            at, received_at, value, code, reason = newest
            found[shape.name] = Reading(
                source.device, shape.name, value, shape.unit, at, received_at, QUALITIES[code], reason
            )
    return found


def _readings(source: Source, at: Millis, received_at: Millis, body: bytes) -> Iterable[Reading]:
    values, marks = moments.values_of(body)
    for index, (value, shape) in enumerate(zip(values, source.points, strict=True)):
        if value is not None or index in marks:
            quality, reason = marks.get(index, (Quality.GOOD, ""))
            yield Reading(source.device, shape.name, value, shape.unit, at, received_at, quality, reason)
