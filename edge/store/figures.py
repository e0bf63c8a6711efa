"""What the store says of whole days and hours, for the district; run by the helper process."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from drivers.reading import Millis
from edge.store import archive, catalogue
from edge.store.answers import Figures, Hour, Hours, Outgoing, SeriesSum, Slice, Sums
from edge.store.buckets import Buckets, decode_rollup, folded, joined, of_values
from edge.store.catalogue import Day
from edge.store.columns import Bools, DamagedBlock, Ints, Row, gathered
from edge.store.history import Snapshot
from edge.store.moments import Source
from edge.store.sealing import QUARTER
from edge.store.series import SourceBlock, rows_of

HOUR: Millis = 3_600_000
STRETCH = 6
"""Hours that are read together."""
Runs = Sequence[tuple[int, int]]
"""Ids in (behind, upto], in order."""


def _blocks(
    snapshot: Snapshot, since: Millis, until: Millis, device: str | None = None
) -> Iterator[SourceBlock]:
    """Blocks that touch [since, until), sealed and hot."""
    yield from snapshot.sealed_blocks(device, since, until)
    rows: dict[int, tuple[Source, list[Row]]] = {}
    for row in snapshot.hot(0, since, until):
        if device is None or row.source.device == device:
            some = rows.setdefault(id(row.source), (row.source, []))[1]
            some.append(Row(row.id, row.at, row.received_at, row.values, row.marks))
    for source, found in rows.values():
        yield SourceBlock(source, gathered(found, range(len(source.points))))


def _within(ids: Ints, runs: Runs) -> Bools:
    mask = np.zeros(len(ids), np.bool_)
    for behind, upto in runs:
        mask |= (ids > behind) & (ids <= upto)
    return mask


def sums(snapshot: Snapshot, since: Millis, until: Millis, runs: Runs, without: Collection[int]) -> Sums:
    """Good values in [since, until) of the moments in `runs`, without some of them, by series."""
    sources: dict[Source, int] = {}
    found: dict[tuple[int, int], tuple[int, float | None]] = {}
    left_out = np.array(sorted(without), np.int64)
    for source, block in _blocks(snapshot, since, until):
        wanted = (block.at >= since) & (block.at < until) & _within(block.ids, runs)
        wanted &= ~np.isin(block.ids, left_out)
        number = sources.setdefault(source, len(sources))
        for index, column in block.columns.items():
            good, values = column.good(len(block))
            mine = values[wanted[good]]
            if len(mine):
                count, total = found.get((number, index), (0, 0.0))
                adds = mine.dtype == np.float64 and total is not None
                found[number, index] = (
                    count + len(mine), float(total or 0.0) + float(mine.sum()) if adds else None
                )  # fmt: skip
    gone = any(not day.raw and day.first_at < until and day.last_at >= since for day in snapshot.days)
    return Sums(
        list(sources),
        [SeriesSum(*key, *value) for key, value in found.items()],
        not (gone or snapshot.damaged),
    )


def again(
    snapshot: Snapshot, device: str, since: Millis, until: Millis, runs: Runs, without: Collection[int]
) -> Slice:
    """A device's moments of [since, until) in `runs`, without some of them, as they were sent."""
    sources: dict[Source, int] = {}
    entries = []
    for source, block in _blocks(snapshot, since, until, device):
        held = _within(block.ids, runs)
        number = sources.setdefault(source, len(sources))
        for row, mine in zip(rows_of(source, block, 0, len(block)), held.tolist(), strict=True):
            if mine and since <= row.at < until and row.id not in without:
                fields = {
                    shape.name: value
                    for index, (shape, value) in enumerate(zip(source.points, row.values, strict=True))
                    if value is not None and index not in row.marks
                }
                if fields:
                    entries.append(Outgoing(row.id, number, row.at, fields))
    return Slice(list(sources), entries, 0, snapshot.damaged)


def hours(snapshot: Snapshot, behind: int, before: Millis, first_held: int | None) -> Hours:
    """The hours of the moments behind an id that came in before a time, and before the first one that
    may be dated anew: those of one sealed batch, of a day of which only rollups are left, or of all
    hot moments."""
    batch = snapshot.batch_behind(behind)
    day = next((day for day in snapshot.days if day.last_id > behind), None)
    if day is not None and not day.raw and (batch is None or day.last_id < batch[0]):
        keys = range(day.first_at // HOUR, day.last_at // HOUR + 1)
        touched = {(_plain(one), key) for one, _, _ in _rolled(snapshot, day) for key in keys}
        return _made(snapshot, touched, day.last_id, first_held, more=True)
    touched = set()
    if batch is not None:
        for source, block in snapshot.batch(*batch).blocks:
            keys = np.unique(block.at[block.ids > behind] // HOUR).tolist()
            touched |= {(_plain(source), key) for key in keys}
        return _made(snapshot, touched, batch[0], first_held, more=True)
    cursor = max(behind, snapshot.sealed)
    for row in snapshot.hot(cursor):
        if row.received_at >= before or (first_held is not None and row.id >= first_held):
            break
        touched.add((row.source, row.at // HOUR))
        cursor = row.id
    plain = {(_plain(source), key) for source, key in touched}
    return _made(snapshot, plain, cursor, first_held, more=False)


def _plain(source: Source) -> Source:
    """The same series, whatever points the device had."""
    return replace(source, points=())


def _rolled(snapshot: Snapshot, day: Day) -> Iterator[tuple[Source, int, Buckets]]:
    """The quarter-hour rollups of a day, by source and point."""
    with archive.reading(catalogue.rollups_file(snapshot.data, day.key)) as connection:
        if connection is None:
            return
        sources = archive.sources_in(connection)
        rows = connection.execute("SELECT source, body FROM chunks WHERE batch=?", (day.key,)).fetchall()
    for number, body in rows:
        source = sources[number]
        for index in range(len(source.points)):
            try:
                buckets = decode_rollup(body, index, QUARTER)
            except DamagedBlock:
                break
            if len(buckets.at):
                yield source, index, buckets


def _values(
    snapshot: Snapshot, since: Millis, until: Millis, first_held: int | None
) -> Iterator[tuple[Source, str, Buckets]]:
    """All numbers of [since, until) that will not be dated anew, and rollups where these are all that
    is left."""
    for source, block in _blocks(snapshot, since, until):
        inside = (block.at >= since) & (block.at < until)
        if first_held is not None:
            inside &= block.ids < first_held
        plain = _plain(source)
        for index, column in block.columns.items():
            good, values = column.good(len(block))
            if len(values) and values.dtype != object and (mine := inside[good]).any():
                numbers = values[mine].astype(np.float64)
                yield plain, source.points[index].name, of_values(block.at[good][mine], numbers)
    for day in snapshot.days:
        if not day.raw and day.first_at < until and day.last_at >= since:
            for source, index, buckets in _rolled(snapshot, day):
                inside = (buckets.at >= since) & (buckets.at < until)
                if inside.any():
                    yield _plain(source), source.points[index].name, buckets.within(inside)


def _made(
    snapshot: Snapshot,
    touched: Collection[tuple[Source, int]],
    cursor: int,
    first_held: int | None,
    *,
    more: bool,
) -> Hours:
    """Each touched hour from all that is stored of it."""
    sources: dict[Source, int] = {}
    found: dict[tuple[Source, int], dict[str, Figures]] = {}
    for first, last in _stretches({key for _, key in touched}):
        parts: dict[tuple[Source, str], list[Buckets]] = {}
        for plain, point, values in _values(snapshot, first * HOUR, (last + 1) * HOUR, first_held):
            parts.setdefault((plain, point), []).append(values)
        for (plain, point), some in parts.items():
            for at, *figures in _figures(folded(joined(some), HOUR)):
                if (plain, at // HOUR) in touched:
                    found.setdefault((plain, at // HOUR), {})[point] = Figures(*figures)
    made = [
        Hour(sources.setdefault(plain, len(sources)), key * HOUR, points)
        for (plain, key), points in sorted(found.items(), key=lambda one: one[0][1])
    ]
    return Hours(list(sources), made, cursor, more)


def _figures(buckets: Buckets) -> Iterator[tuple[Any, ...]]:
    """(at, number, least, most, mean, last) of each."""
    means = buckets.aggregate("mean").tolist()
    columns = (buckets.at, buckets.number, buckets.least, buckets.most)
    return zip(*(one.tolist() for one in columns), means, buckets.last.tolist(), strict=True)


def _stretches(keys: Collection[int]) -> Iterator[tuple[int, int]]:
    """Hours in a row, at most `STRETCH`, as (first, last)."""
    first = last = None
    for key in sorted(keys):
        if first is None or last is None:
            first = last = key
        elif key == last + 1 and key - first < STRETCH:
            last = key
        else:
            yield first, last
            first = last = key
    if first is not None and last is not None:
        yield first, last
