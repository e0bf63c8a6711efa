"""Hourly figures made of what is stored; run by the helper process.

Every block is folded into hours as it is read, so that memory holds one block and the figures, however
long a gateway was offline; of a step of work some devices' hours are made together, and told in
smaller portions yet, for the gateway's own process to stay small.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.reading import Millis
from edge.store import archive, catalogue
from edge.store.answers import FIGURES, HOUR, Figures, Hour, Hours, Part, SeriesKey, SeriesSum, Sums, hour_id
from edge.store.buckets import Buckets, decode_rollup, folded, joined, of_values
from edge.store.catalogue import Day
from edge.store.columns import DamagedBlock
from edge.store.figures import blocks
from edge.store.history import Snapshot
from edge.store.moments import Shape, Source
from edge.store.sealing import QUARTER

Touched = Mapping[Source, Collection[int]]
"""Hours since the epoch by series, without its points."""
Wanted = Callable[[Source], bool]
Folded = Mapping[tuple[Source, str], Buckets]
"""Hours of a series' point."""


AT_ONCE = 200
"""Hours of devices that are made together: each time the step's rows are looked through again."""


class _Step(NamedTuple):
    """What was stored behind a cursor and up to another, and whether more may be."""

    touched: Touched
    cursor: int
    more: bool


class Begun(NamedTuple):
    """What hours are to be made of: the moments behind an id that came in before a time, and before the
    first one that may be dated anew."""

    behind: int
    before: Millis
    first_held: int | None


class Made:
    """Hours of some devices, made together, that are told in portions. Up to `cursor` everything of
    the step of work is in them, or in what is made next."""

    def __init__(self, begun: Begun, step: _Step, chosen: Touched, figures: Folded, *, rest: bool) -> None:
        self.begun = begun
        self.cursor = step.cursor
        self._more = step.more
        self._rest = rest
        self._chosen = chosen
        self._points: dict[Source, list[tuple[str, Buckets]]] = {plain: [] for plain in chosen}
        for (plain, point), buckets in figures.items():
            self._points[plain].append((point, buckets))

    def holds(self, begun: Begun, part: Part) -> bool:
        """Whether what follows a part of a step is in here."""
        if self.begun != begun or self.cursor != part.cursor:
            return False
        keys = [_key(plain) for plain in self._chosen]
        return part.after in keys[:-1]

    def portion(self, part: Part | None, limit: int) -> Hours:
        """What follows a part of this step, or its beginning: of devices with at most about `limit` hours of
        points."""
        after = None if part is None or part.cursor != self.cursor else part.after
        waiting = [plain for plain in self._chosen if after is None or _key(plain) > after]
        taken: list[Source] = []
        number = 0
        for plain in waiting:
            size = len(self._points[plain]) * len(self._chosen[plain])
            if taken and number + size > limit:
                break
            taken.append(plain)
            number += size
        figures = {(plain, point): buckets for plain in taken for point, buckets in self._points[plain]}
        rest = self._rest or len(taken) < len(waiting)
        last = _key(taken[-1]) if rest else None
        return _told(figures, self._chosen)._replace(cursor=self.cursor, more=rest or self._more, after=last)


def make(snapshot: Snapshot, begun: Begun, part: Part | None) -> Made:
    """Hours of one sealed batch, of a day of which only rollups are left, or of all hot moments: of about
    `AT_ONCE`, behind a part of the same step, or from its beginning where it is another one by now."""
    behind, before, first_held = begun
    step = _step(snapshot, behind, before, first_held, None if part is None else part.cursor)
    after = None if part is None or part.cursor != step.cursor else part.after
    chosen: dict[Source, Collection[int]] = {}
    number = 0
    waiting = [one for one in sorted(step.touched, key=_key) if after is None or _key(one) > after]
    for plain in waiting:
        if number and number + len(step.touched[plain]) > AT_ONCE:
            break
        chosen[plain] = step.touched[plain]
        number += len(chosen[plain])
    keys = {key for some in chosen.values() for key in some}
    figures = _folded(snapshot, keys, lambda source: plain_of(source) in chosen, first_held)
    return Made(begun, step, chosen, figures, rest=len(chosen) < len(waiting))


def hour_sums(snapshot: Snapshot, since: Millis, until: Millis, upto: int, without: Collection[int]) -> Sums:
    """What the figures of the hours that begin in [since, until) come to, by series, each figure as a point
    of its own; without some hours (`hour_id`), and without the series that wait to be made anew: of
    which something was stored behind `upto`."""
    sources: list[Source] = []
    series: list[SeriesSum] = []
    by_source: dict[Source, list[tuple[str, Buckets]]] = {}
    for (plain, point), buckets in _counted(snapshot, since, until, lambda _: True, upto, without).items():
        by_source.setdefault(plain, []).append((point, buckets))
    for plain, points in by_source.items():
        names = [f"{point}_{figure}" for point, _ in points for figure in FIGURES]
        columns = [column for _, buckets in points for column in _columns(buckets)]
        series += [
            SeriesSum(len(sources), index, len(column), float(column.sum()))
            for index, column in enumerate(columns)
        ]
        sources.append(replace(plain, points=tuple(Shape(name, "", "number") for name in names)))
    return Sums(sources, series, not snapshot.damaged)


def hours_again(
    snapshot: Snapshot, device: str, since: Millis, until: Millis, upto: int, without: Collection[int]
) -> Hours:
    """A device's hours that begin in [since, until), as far as `hour_sums` counts them."""
    made = _counted(snapshot, since, until, lambda source: source.device == device, upto, without)
    return _told(made, {plain: range(since // HOUR, until // HOUR + 1) for plain, _ in made})


def _step(snapshot: Snapshot, behind: int, before: Millis, first_held: int | None, upto: int | None) -> _Step:
    batch = snapshot.batch_behind(behind)
    day = next((day for day in snapshot.days if day.last_id > behind), None)
    touched: dict[Source, set[int]] = {}
    if day is not None and not day.raw and (batch is None or day.last_id < batch[0]):
        for source, _, buckets in _rolled(snapshot, day):
            touched.setdefault(plain_of(source), set()).update((buckets.at // HOUR).tolist())
        return _Step(touched, day.last_id, True)
    if batch is not None:
        for source, block in snapshot.blocks_in(*batch, wanted=lambda _: (0,)):
            keys = np.unique(block.at[block.ids > behind] // HOUR).tolist()
            touched.setdefault(plain_of(source), set()).update(keys)
        return _Step(touched, batch[0], True)
    ends = [one for one in (first_held, None if upto is None else upto + 1) if one is not None]
    found, cursor = snapshot.hot_hours(behind, before, min(ends, default=None))
    for source, key in found:
        touched.setdefault(plain_of(source), set()).add(key)
    return _Step(touched, cursor, False)


def plain_of(source: Source) -> Source:
    """The same series, whatever points the device had."""
    return replace(source, points=())


def _key(source: Source) -> SeriesKey:
    return source.device, source.kind, source.space, source.building


def _counted(
    snapshot: Snapshot, since: Millis, until: Millis, wanted: Wanted, upto: int, without: Collection[int]
) -> Folded:
    """See `hour_sums`."""
    keys = range(since // HOUR, -(-until // HOUR))
    pending = _pending(snapshot, since, until, upto)
    left_out = set(without)
    found = {}
    for (plain, point), buckets in _folded(snapshot, keys, wanted, None).items():
        if plain not in pending:
            here = np.array([hour_id(plain, at) not in left_out for at in buckets.at.tolist()], np.bool_)
            if here.any():
                found[plain, point] = buckets.within(here)
    return found


def _pending(snapshot: Snapshot, since: Millis, until: Millis, upto: int) -> set[Source]:
    """The series of which something in [since, until) was stored behind an id."""
    found = {plain_of(source) for source in snapshot.hot_sources(upto, since, until)}
    behind = upto
    while (batch := snapshot.batch_behind(behind, since, until)) is not None:
        for source, block in snapshot.blocks_in(*batch, since, until, lambda _: (0,)):
            if ((block.ids > upto) & (block.at >= since) & (block.at < until)).any():
                found.add(plain_of(source))
        behind = batch[0]
    for day in snapshot.days:
        if not day.raw and day.last_id > upto and day.first_at < until and day.last_at >= since:
            found |= {plain_of(source) for source, *_ in _rolled(snapshot, day)}
    return found


def _folded(snapshot: Snapshot, keys: Collection[int], wanted: Wanted, first_held: int | None) -> Folded:
    """These hours of all that is stored of the wanted series. Numbers that may be dated anew do not
    count."""
    found: dict[tuple[Source, str], Buckets] = {}
    for first, last in _runs(keys):
        for plain, point, values in _values(snapshot, first * HOUR, (last + 1) * HOUR, wanted, first_held):
            before = found.get((plain, point))
            found[plain, point] = folded(values if before is None else joined((before, values)), HOUR)
    return found


def _values(
    snapshot: Snapshot, since: Millis, until: Millis, wanted: Wanted, first_held: int | None
) -> Iterator[tuple[Source, str, Buckets]]:
    """All numbers of [since, until) that will not be dated anew, by series and point, block by block; and
    rollups where these are all that is left."""
    for source, block in blocks(snapshot, since, until, wanted=wanted):
        plain = plain_of(source)
        inside = (block.at >= since) & (block.at < until)
        if first_held is not None:
            inside &= block.ids < first_held
        for index, column in block.columns.items():
            good, values = column.good(len(block))
            if len(values) and values.dtype != object and (mine := inside[good]).any():
                numbers = values[mine].astype(np.float64)
                yield plain, source.points[index].name, of_values(block.at[good][mine], numbers)
    for day in snapshot.days:
        if not day.raw and day.first_at < until and day.last_at >= since:
            for source, index, buckets in _rolled(snapshot, day, wanted):
                inside = (buckets.at >= since) & (buckets.at < until)
                if inside.any():
                    yield plain_of(source), source.points[index].name, buckets.within(inside)


def _rolled(
    snapshot: Snapshot, day: Day, wanted: Wanted = lambda _: True
) -> Iterator[tuple[Source, int, Buckets]]:
    """The quarter-hour rollups of a day, by source and point."""
    with archive.reading(catalogue.rollups_file(snapshot.data, day.key)) as connection:
        if connection is None:
            return
        for number, source in archive.sources_in(connection).items():
            if not wanted(source):
                continue
            rows = connection.execute("SELECT body FROM chunks WHERE source=? AND batch=?", (number, day.key))
            for (body,) in rows:
                yield from ((source, *one) for one in _points(body, len(source.points)))


def _points(body: bytes, width: int) -> Iterator[tuple[int, Buckets]]:
    for index in range(width):
        try:
            buckets = decode_rollup(body, index, QUARTER)
        except DamagedBlock:
            return
        if len(buckets.at):
            yield index, buckets


def _told(made: Folded, wanted: Touched) -> Hours:
    """The wanted hours, each with all its points, the oldest first."""
    sources: dict[Source, int] = {}
    found: dict[tuple[int, Source], dict[str, Figures]] = {}
    for (plain, point), buckets in made.items():
        for at, *figures in zip(*(one.tolist() for one in (buckets.at, *_columns(buckets))), strict=True):
            if at // HOUR in wanted[plain]:
                found.setdefault((at, plain), {})[point] = Figures(int(figures[0]), *figures[1:])
    hours = [
        Hour(sources.setdefault(plain, len(sources)), at, points)
        for (at, plain), points in sorted(found.items(), key=lambda one: one[0][0])
    ]
    return Hours(list(sources), hours, 0, more=False)


def _columns(buckets: Buckets) -> Sequence[NDArray[Any]]:
    """As `Figures` has them."""
    return buckets.number, buckets.least, buckets.most, buckets.aggregate("mean"), buckets.last


def _runs(keys: Collection[int]) -> Iterator[tuple[int, int]]:
    """Hours in a row, as (first, last)."""
    first = last = None
    for key in sorted(keys):
        if last is not None and key == last + 1:
            last = key
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = key
    if first is not None and last is not None:
        yield first, last
