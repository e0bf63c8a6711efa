"""All stored readings of a data folder, hot rows and sealed blocks alike: for charts, exports,
backtests and what destinations still lack.

Needs numpy; the gateway's own process asks `edge.store.helper` instead. A damaged block or file
is left out, counted in `damaged`; the rest is given.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.reading import Millis
from edge.store import archive, catalogue, moments, spans
from edge.store.buckets import Buckets, decode_rollup, folded, joined, of_values
from edge.store.catalogue import DAY_MS, Day
from edge.store.columns import Block, DamagedBlock, Row, decode, gathered
from edge.store.moments import Source
from edge.store.sealing import MINUTE, QUARTER, telemetry
from edge.store.series import BatchRows, Series, SourceBlock, StoredRow, in_order, series_of

_LOG = logging.getLogger(__name__)

HOUR_MS = 3_600_000
LONG_AGO, FAR_OFF = -(1 << 62), 1 << 62


class Snapshot:
    """One consistent view of a data folder; a context manager. Not for several threads."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._hot = telemetry(data)
        self.sealed = catalogue.sealed_until(self._hot)
        self.days = catalogue.days(self._hot)
        self.damaged = 0

    @property
    def data(self) -> Path:
        """The folder."""
        return self._data

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *_: object) -> None:
        self._hot.close()

    def series(self, device: str, point: str, since: Millis, until: Millis) -> Series:
        """One point's samples in [since, until) of which raw values are kept."""
        return self._series(device, point, since, until, [day for day in self.days if day.raw])

    def first(self, device: str, point: str, since: Millis, until: Millis, limit: int) -> Series:
        """The first `limit` samples in [since, until), day by day until there are enough."""
        hot = spans.bounds(self._hot)
        reach = [] if hot is None else [hot]
        reach += [(d.first_at, d.last_at) for d in self.days if d.raw]
        start = max(since, min((low for low, _ in reach), default=until))
        end = min(until, max((high + 1 for _, high in reach), default=until))
        parts, count = [], 0
        while start < end and count < limit:
            stop = min(end, (start // DAY_MS + 1) * DAY_MS)
            parts.append(self.series(device, point, start, stop))
            count += len(parts[-1].at)
            start = stop
        return in_order([part for part in parts if len(part.at)]).first(limit)

    def _series(self, device: str, point: str, since: Millis, until: Millis, days: Sequence[Day]) -> Series:
        parts = []
        for source, block in self._blocks(device, point, since, until, days):
            part = series_of(block, source.index[point], since, until)
            if len(part.at):
                parts.append(part)
        return in_order(parts)

    def _blocks(
        self, device: str, point: str | None, since: Millis, until: Millis, days: Sequence[Day]
    ) -> Iterator[SourceBlock]:
        """Blocks that touch [since, until) with the wanted column, sealed ones first."""

        def wanted(source: Source) -> set[int] | None:
            return None if point is None else {source.index[point]}

        for day in days:
            if day.first_at < until and day.last_at >= since:
                yield from self._of_day(day, device, since, until, wanted, point)
        for number, source in moments.sources(self._hot, device).items():
            if point is None or point in source.index:
                rows = self._hot_rows(number, since, until)
                if rows:
                    yield SourceBlock(source, gathered(rows, _every(source, wanted(source))))

    def _of_day(
        self, day: Day, device: str | None, since: Millis, until: Millis,
        wanted: Callable[[Source], set[int] | None], point: str | None,
    ) -> Iterator[SourceBlock]:  # fmt: skip
        path = catalogue.raw_file(self._data, day.key)
        try:
            with archive.reading(path) as connection:
                if connection is None:
                    return
                for number, source in archive.sources_in(connection, device).items():
                    if point is not None and point not in source.index:
                        continue
                    columns = wanted(source)
                    if columns is not None and not columns:
                        continue
                    for body in archive.bodies(connection, number, since, until, self.sealed):
                        if (block := self._decoded(body, columns)) is not None:
                            yield SourceBlock(source, block)
        except sqlite3.DatabaseError as error:
            self._note(path, error)

    def _decoded(self, body: bytes, wanted: Collection[int] | None) -> Block | None:
        try:
            return decode(body, wanted)
        except DamagedBlock as error:
            self.damaged += 1
            _LOG.error("a sealed block is left out: %s", error)
            return None

    def _note(self, path: Path, error: sqlite3.DatabaseError) -> None:
        self.damaged += 1
        _LOG.error("%s is left out: %s", path.name, error)

    def _hot_rows(self, source: int, since: Millis, until: Millis) -> list[Row]:
        rows = self._hot.execute(
            f"SELECT m.id, m.at, m.received_at, m.body FROM {spans.WITHIN}"
            " AND m.source=:source AND m.id>:sealed ORDER BY m.at, m.id",
            {"source": source, "since": since, "until": until, "sealed": self.sealed},
        )
        found = []
        for number, at, received_at, body in rows:
            values, marks = moments.values_of(body)
            found.append(Row(number, at, received_at, values, marks))
        return found

    def blocks(self, since: Millis, until: Millis, device: str | None = None) -> Iterator[SourceBlock]:
        """Blocks with all their columns that touch [since, until): day by day, in a day source by
        source, the hot ones last. Rows outside the time are still in them: mask by `block.at`."""
        devices = [device] if device is not None else self._devices()
        for day in (day for day in self.days if day.raw):
            if day.first_at < until and day.last_at >= since:
                yield from self._of_day(day, device, since, until, lambda _: None, None)
        for name in devices:
            yield from self._blocks(name, None, since, until, ())

    def sealed_blocks(
        self, device: str | None, since: Millis, until: Millis,
        wanted: Callable[[Source], bool] = lambda _: True,
    ) -> Iterator[SourceBlock]:  # fmt: skip
        """A device's sealed blocks, or all, with all their columns that touch [since, until); of wanted
        sources."""
        for day in (day for day in self.days if day.raw):
            if day.first_at < until and day.last_at >= since:
                yield from self._of_day(
                    day, device, since, until, lambda source: None if wanted(source) else set(), None
                )

    def _devices(self) -> list[str]:
        return sorted({source.device for source in moments.sources(self._hot).values()})

    def buckets(
        self, device: str, point: str, since: Millis, until: Millis, step: Millis
    ) -> tuple[Buckets, NDArray[Any] | None]:
        """Good values in [since, until) by multiples of `step`, oldest first; for texts and switches
        also what `last` is, as bool or str.

        A rolled-up day answers from its rollups where the step is a multiple of theirs and they lie
        in the time as a whole, else from its raw values. Where these are gone, rollups answer as
        finely as they can: a bucket counts where it begins.
        """
        plain = [d for d in self.days if d.raw and not (d.rolled and step % QUARTER == 0)]
        rolled = [d for d in self.days if d.raw and d.rolled and step % QUARTER == 0]
        gone = [d for d in self.days if not d.raw]
        first, last = -(-since // QUARTER) * QUARTER, until // QUARTER * QUARTER
        raw = [self._series(device, point, since, until, plain)]
        parts: list[Buckets] = []
        if rolled and first < last:
            raw += [self._only(device, point, span, rolled) for span in ((since, first), (last, until))]
            parts += self._rollups(device, point, first, last, rolled, QUARTER)
        elif rolled:
            raw.append(self._only(device, point, (since, until), rolled))
        if gone:
            fine = [d for d in gone if d.minutes] if step % QUARTER else []
            parts += self._rollups(device, point, since, until, fine, MINUTE)
            parts += self._rollups(device, point, since, until, [d for d in gone if d not in fine], QUARTER)
        at, values = in_order([one for one in raw if len(one.at)]).good()
        if values.dtype == object:
            found = folded(of_values(at, np.arange(len(at), dtype=np.float64)), step)
            return found, values[found.last.astype(np.int64)]
        if len(at):
            parts.append(of_values(at, values.astype(np.float64)))
        switch = any(
            source.points[source.index[point]].type == "switch"
            for source in moments.sources(self._hot, device).values()
            if point in source.index
        )
        found = folded(joined(parts), step)
        return found, found.last != 0 if switch else None

    def _only(self, device: str, point: str, span: tuple[Millis, Millis], days: Sequence[Day]) -> Series:
        """Sealed raw values of these days alone."""
        parts = []
        if span[0] < span[1]:
            for day in days:
                if day.first_at < span[1] and day.last_at >= span[0]:
                    for source, block in self._of_day(
                        day, device, *span, lambda source: {source.index[point]}, point
                    ):
                        parts.append(series_of(block, source.index[point], *span))
        return in_order([part for part in parts if len(part.at)])

    def _rollups(
        self, device: str, point: str, since: Millis, until: Millis, days: Sequence[Day], step: Millis
    ) -> list[Buckets]:
        """A point's rollups of these days that begin in [since, until)."""
        name = catalogue.rollups_file if step == QUARTER else catalogue.minutes_file
        files: dict[Path, set[int]] = {}
        for day in days:
            if day.first_at // step * step < until and day.last_at >= since:
                files.setdefault(name(self._data, day.key), set()).add(day.key)
        found: list[Buckets] = []
        for path, keys in files.items():
            try:
                found += self._rollups_in(path, keys, device, point, since, until, step)
            except sqlite3.DatabaseError as error:
                self._note(path, error)
        return found

    def _rollups_in(
        self, path: Path, keys: Collection[int], device: str, point: str,
        since: Millis, until: Millis, step: Millis,
    ) -> Iterator[Buckets]:  # fmt: skip
        with archive.reading(path) as connection:
            if connection is None:
                return
            for number, source in archive.sources_in(connection, device).items():
                if point not in source.index:
                    continue
                for key, body in connection.execute(
                    "SELECT batch, body FROM chunks WHERE source=? AND first_at<? AND last_at>=?",
                    (number, until, since),
                ):
                    if key not in keys:
                        continue
                    try:
                        buckets = decode_rollup(body, source.index[point], step)
                    except DamagedBlock:
                        self.damaged += 1
                        continue
                    yield buckets.within((buckets.at >= since) & (buckets.at < until))

    def count(self, since: Millis, until: Millis, device: str | None = None) -> int:
        """Moments of the blocks that touch [since, until): what `blocks` gives."""
        total = 0
        for day in (day for day in self.days if day.raw):
            if day.first_at < until and day.last_at >= since:
                path = catalogue.raw_file(self._data, day.key)
                try:
                    with archive.reading(path) as connection:
                        if connection is not None:
                            total += archive.moments_in(connection, device, since, until, self.sealed)
                except sqlite3.DatabaseError as error:
                    self._note(path, error)
        (hot,) = self._hot.execute(
            f"SELECT count(*) FROM {spans.WITHIN} AND m.id>:sealed"
            " AND (:device IS NULL OR m.source IN (SELECT id FROM sources WHERE device=:device))",
            {"since": since, "until": until, "sealed": self.sealed, "device": device},
        ).fetchone()
        return total + int(hot)

    def batch_behind(
        self, cursor: int, since: Millis = LONG_AGO, until: Millis = FAR_OFF
    ) -> tuple[int, int] | None:
        """The first batch with raw blocks that ends behind a moment id and touches [since, until):
        (last id, key of its day)."""
        row = self._hot.execute(
            "SELECT b.last_id, b.key FROM batches b JOIN days d ON d.key=b.key"
            " WHERE b.last_id>? AND d.raw AND b.first_at<? AND b.last_at>=? ORDER BY b.last_id LIMIT 1",
            (cursor, until, since),
        ).fetchone()
        return None if row is None else (row[0], row[1])

    def batch(self, last_id: int, key: int) -> BatchRows:
        """All moments of one batch."""
        return BatchRows(list(self.blocks_in(last_id, key)))

    def blocks_in(
        self, last_id: int, key: int, since: Millis = LONG_AGO, until: Millis = FAR_OFF,
        wanted: Callable[[Source], Collection[int] | None] = lambda _: None,
    ) -> Iterator[SourceBlock]:  # fmt: skip
        """One batch's blocks that touch [since, until), in the order of storing, with the wanted columns;
        none of a source of which none is wanted."""
        path = catalogue.raw_file(self._data, key)
        try:
            with archive.reading(path) as connection:
                if connection is None:
                    return
                sources = archive.sources_in(connection)
                for source, body in connection.execute(
                    "SELECT source, body FROM chunks WHERE batch=? AND first_at<? AND last_at>=? ORDER BY id",
                    (last_id, until, since),
                ):
                    columns = wanted(sources[source])
                    if columns is not None and not columns:
                        continue
                    if (block := self._decoded(body, columns)) is not None:
                        yield SourceBlock(sources[source], block)
        except sqlite3.DatabaseError as error:
            self._note(path, error)

    def hot(
        self, behind: int, since: Millis = LONG_AGO, until: Millis = FAR_OFF,
        wanted: Callable[[Source], bool] = lambda _: True,
    ) -> Iterator[StoredRow]:  # fmt: skip
        """Hot moments behind an id with since <= at < until, in the order of storing, of wanted sources."""
        known = {number: one for number, one in moments.sources(self._hot).items() if wanted(one)}
        ids = ",".join(map(str, known))  # the others' rows are not even fetched
        for number, source, at, received_at, body in self._hot.execute(
            "SELECT id, source, at, received_at, body FROM moments"
            f" WHERE id>? AND at>=? AND at<? AND source IN ({ids}) ORDER BY id",
            (max(behind, self.sealed), since, until),
        ):
            values, marks = moments.values_of(body)
            yield StoredRow(number, known[source], at, received_at, values, dict(marks))

    def hot_sources(self, behind: int, since: Millis, until: Millis) -> list[Source]:
        """Of which sources there are hot moments behind an id with since <= at < until."""
        known = moments.sources(self._hot)
        rows = self._hot.execute(
            "SELECT DISTINCT source FROM moments WHERE id>? AND at>=? AND at<?",
            (max(behind, self.sealed), since, until),
        )
        return [known[number] for (number,) in rows]

    def hot_hours(
        self, behind: int, before: Millis, stop: int | None
    ) -> tuple[Sequence[tuple[Source, int]], int]:
        """Hours since the epoch of the hot moments behind an id, by source, and the last of them: up to
        the first that came in from `before` on, or that has the id `stop`."""
        behind = max(behind, self.sealed)
        (young,) = self._hot.execute(
            "SELECT min(id) FROM moments WHERE id>? AND received_at>=?", (behind, before)
        ).fetchone()
        end = min(one for one in (young, stop, FAR_OFF) if one is not None)
        known = moments.sources(self._hot)
        rows = self._hot.execute(
            f"SELECT source, at/{HOUR_MS}, max(id) FROM moments WHERE id>? AND id<? GROUP BY 1, 2",
            (behind, end),
        ).fetchall()
        return [(known[row[0]], row[1]) for row in rows], max((row[2] for row in rows), default=behind)

    def walk(self, behind: int = 0, since: Millis = LONG_AGO, until: Millis = FAR_OFF) -> Iterator[StoredRow]:
        """Every moment behind an id with since <= at < until, in the order of storing."""
        while (batch := self.batch_behind(behind, since, until)) is not None:
            rows = self.batch(*batch)
            start = rows.place(behind)
            while start < len(rows):
                yield from (row for row in rows.rows(start, start + 1000) if since <= row.at < until)
                start += 1000
            behind = batch[0]
        yield from self.hot(behind, since, until)


def _every(source: Source, wanted: Collection[int] | None) -> Collection[int]:
    return range(len(source.points)) if wanted is None else wanted
