"""Stored readings side by side, by time over all devices, in bounded memory: for rehearsals.

    sealed batches, hot rows  ->  parts (columns of one source)  ->  slabs (a stretch of all devices)

The folder is looked at anew for each batch, so a gateway may seal, delete and write meanwhile. Rows
stand where they would have been taken live: by the time of measuring, but a row that came late stands
where it came, behind what its device had said before.

Needs numpy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from drivers.reading import Millis, Origin, Quality, Reading, Value
from edge.store.columns import Block, Bools, Column, Ints, Row, gathered
from edge.store.history import Snapshot
from edge.store.moments import Source
from edge.store.series import SourceBlock
from rules.presence import DERIVED
from rules.rehearsal import LATENESS_MS, Wanted
from rules.run import Run, gap_of
from rules.stretch import Stretch
from rules.track import FUTURE_MS

SLACK_MS = 60_000
"""Rows of one instant are stored within so long of each other; later ones stand where they came."""
SAMPLES = 150_000
"""About so many samples are in a slab, unless it would be longer than an hour."""
LONGEST_MS = 3_600_000
_GOOD = (Quality.GOOD, "")
HOT_ROWS = 50_000
"""So many hot rows are gathered at once."""

_Played = Mapping[str, Collection[str]]


class _Part:
    """Rows of one source in their order of storing; `key` is where each stands, and `odd` those that
    did not come in time."""

    def __init__(
        self, source: Source, block: Block, keep: Bools, floor: Millis, backfill_ms: Millis | None
    ) -> None:
        self.source = source
        self.ids: Ints = block.ids[keep]
        self.at: Ints = block.at[keep]
        self.received: Ints = block.received[keep]
        late = self.received - self.at
        told = np.maximum(np.maximum(self.at, self.received - LATENESS_MS), floor)
        self.key: Ints = np.maximum.accumulate(told)
        self.odd: Bools = (late < 0) | (late > LATENESS_MS) | (self.key != self.at)
        self.backfill: Bools = late > (1 << 62 if backfill_ms is None else backfill_ms)
        self.columns = {
            source.points[index].name: _Values(source.points[index].unit, column, keep, block)
            for index, column in block.columns.items()
        }

    def place(self, key: Millis) -> int:
        """The first row that does not stand before `key`."""
        return int(np.searchsorted(self.key, key))

    def plain(self, low: int, high: int) -> bool:
        """Whether all that rows [low, high) say is good and came in time."""
        if self.odd[low:high].any() or (np.diff(self.at[low:high]) <= 0).any():
            return False
        return not any(values.marked(low, high) for values in self.columns.values())

    def count(self, low: int, high: int) -> int:
        """How many readings rows [low, high) are."""
        return sum(values.count(low, high) for values in self.columns.values())

    def readings(
        self, low: int, high: int, points: Collection[str] | None
    ) -> Iterator[tuple[int, int, Reading]]:
        """Where each stands, its row's id, and the reading; of some points, or of all."""
        device, make = self.source.device, Reading._make
        told = [
            (name, values.unit, values.listed(low, high), values.marks_of(low, high))
            for name, values in self.columns.items()
            if points is None or name in points
        ]
        rows = zip(
            self.key[low:high].tolist(), self.ids[low:high].tolist(), self.at[low:high].tolist(),
            np.where(self.odd, self.received, self.at)[low:high].tolist(), self.backfill[low:high].tolist(),
            strict=True,
        )  # fmt: skip
        for place, (key, number, at, received, backfill) in enumerate(rows):
            origin = Origin.BACKFILL if backfill else Origin.LIVE
            for name, unit, values, marks in told:
                value, mark = values[place], marks[place] if marks else None
                if mark is not None or value is not None:
                    yield (
                        key,
                        number,
                        make((device, name, value, unit, at, received, *(mark or _GOOD), origin)),
                    )


class _Values:
    """One point over the rows of a part."""

    def __init__(self, unit: str, column: Column, keep: Bools, block: Block) -> None:
        self.unit = unit
        self._marks = block.marks
        present = np.ones(len(block), np.bool_) if column.present is None else column.present
        self._values: Any = column.values[keep[present]]
        self._present: Bools = present[keep]
        self._before: Ints = np.concatenate(([0], np.cumsum(self._present)))
        self._codes = None if column.codes is None else column.codes[keep]

    def marked(self, low: int, high: int) -> bool:
        return self._codes is not None and bool(self._codes[low:high].any())

    def count(self, low: int, high: int) -> int:
        if self._codes is not None and self.marked(low, high):
            return int((self._present[low:high] | (self._codes[low:high] != 0)).sum())
        return int(self._before[high] - self._before[low])

    def given(self, low: int, high: int) -> list[Value]:
        """The values that are there."""
        found: list[Value] = self._values[self._before[low] : self._before[high]].tolist()
        return found

    def there(self, low: int, high: int) -> Bools:
        """Which rows have a value."""
        return self._present[low:high]

    def listed(self, low: int, high: int) -> list[Value | None]:
        """A value or nothing for each row."""
        given = self.given(low, high)
        if len(given) == high - low:
            return list(given)
        rest = iter(given)
        return [next(rest) if there else None for there in self._present[low:high].tolist()]

    def marks_of(self, low: int, high: int) -> list[tuple[Quality, str] | None] | None:
        """What is wrong with each row; None when nothing is."""
        if self._codes is None or not self.marked(low, high):
            return None
        return [self._marks[code - 1] if code else None for code in self._codes[low:high].tolist()]


class StoredSlab:
    """See `rules.stretch.Slab`."""

    def __init__(self, begins: Millis, until: Millis, cut: Sequence[tuple[_Part, int, int]]) -> None:
        self.begins = begins
        self.until = until
        self._of: dict[str, list[tuple[_Part, int, int]]] = {}
        for one in cut:
            self._of.setdefault(one[0].source.device, []).append(one)
        self.count = sum(part.count(low, high) for part, low, high in cut)
        self.stretches: list[Stretch] = []
        self.busy: set[str] = set()
        for device, parts in self._of.items():
            stretch = _stretch(device, parts)
            if stretch is None:
                self.busy.add(device)
            else:
                self.stretches.append(stretch)

    def readings(self, played: _Played) -> Sequence[Reading]:
        """See the protocol."""
        found: list[tuple[int, int, Reading]] = []
        for device, parts in self._of.items():
            points = None if device in self.busy else played.get(device, ())
            if points is None or points:
                for part, low, high in parts:
                    found.extend(part.readings(low, high, points))
        found.sort(key=itemgetter(0, 1))
        return [reading for _, _, reading in found]

    def everything(self) -> Sequence[Reading]:
        """All of it."""
        return self.readings({device: tuple(parts[0][0].columns) for device, parts in self._of.items()})


def _stretch(device: str, parts: Sequence[tuple[_Part, int, int]]) -> Stretch | None:
    """What a device's parts say, if it is all good, of one source and in time."""
    source = parts[0][0].source
    last = -1
    for part, low, high in parts:
        if part.source != source or part.at[low] <= last or not part.plain(low, high):
            return None
        last = int(part.at[high - 1])
    at = np.concatenate([part.at[low:high] for part, low, high in parts])
    times = at.tolist()
    gap = gap_of(times)
    runs: dict[str, Run] = {}
    for name in parts[0][0].columns:
        told = [(part.columns[name], low, high) for part, low, high in parts]
        values = [value for one, low, high in told for value in one.given(low, high)]
        kinds = set(map(type, values))
        if len(kinds) > 1:
            return None
        for kind in kinds:
            if len(values) == len(times):
                runs[name] = Run(times, values, kind, gap)
            else:
                mine = at[np.concatenate([one.there(low, high) for one, low, high in told])].tolist()
                runs[name] = Run(mine, values, kind, gap_of(mine))
    return Stretch(device, runs, Run(times, [True] * len(times), bool, gap))


class Slabs:
    """The readings of a data folder measured in [since, until) and come by then, slab by slab.

    `wanted` are (device, point); of a device whose `online` is wanted everything is read. `backfill_ms`
    tells how late a device's readings may come and still be live, where that matters.
    """

    def __init__(
        self,
        data: Path,
        since: Millis,
        until: Millis,
        wanted: Wanted | None,
        backfill_ms: Mapping[str, Millis],
    ) -> None:
        self._data = data
        self._since, self._until = since, until
        self._wanted = None if wanted is None else _by_device(wanted)
        self._backfill_ms = backfill_ms
        self._parts: list[tuple[_Part, int]] = []
        self._floor: dict[str, Millis] = {}
        self._begun = since
        self.damaged = 0

    def __iter__(self) -> Iterator[StoredSlab]:
        behind, span = 0, LONGEST_MS
        while (loaded := self._load(behind)) is not None:
            blocks, behind, received = loaded
            parts = [part for one in blocks if (part := self._part(one)) is not None]
            self._parts += [(part, 0) for part in parts]
            span = _span(parts) or span
            yield from self._cut(min(received - SLACK_MS, self._until), span)
        yield from self._cut(self._until, span)

    def _cut(self, horizon: Millis, span: Millis) -> Iterator[StoredSlab]:
        """All that stands before `horizon`."""
        while self._parts:
            begins = min(int(part.key[start]) for part, start in self._parts)
            if begins >= horizon:
                return
            ends = min(horizon, begins + span)
            cut, rest = [], []
            for part, start in self._parts:
                stop = part.place(ends)
                if stop > start:
                    cut.append((part, start, stop))
                if stop < len(part.key):
                    rest.append((part, stop))
            self._parts, self._begun = rest, ends
            yield StoredSlab(begins, ends, cut)

    def _load(self, behind: int) -> tuple[list[SourceBlock], int, Millis] | None:
        """The next batch, or run of hot rows: its blocks, the id of its last row, and when that came."""
        with Snapshot(self._data) as snapshot:
            place = snapshot.batch_behind(behind, self._since, self._until)
            if place is not None:
                blocks = list(snapshot.blocks_in(*place, self._since, self._until, self._indexes))
                self.damaged += snapshot.damaged
                last = max((int(one.block.received[-1]) for one in blocks), default=self._since)
                return blocks, place[0], last
            rows = tuple(islice(snapshot.hot(behind, self._since, self._until), HOT_ROWS))
        if not rows:
            return None
        found: dict[Source, list[Row]] = {}
        for row in rows:
            found.setdefault(row.source, []).append(
                Row(row.id, row.at, row.received_at, row.values, row.marks)
            )
        blocks = [
            SourceBlock(source, gathered(some, sorted(self._indexes(source))))
            for source, some in found.items()
        ]
        return blocks, rows[-1].id, rows[-1].received_at

    def _indexes(self, source: Source) -> set[int]:
        """The points of a source that are read."""
        everything = set(range(len(source.points)))
        if self._wanted is None:
            return everything
        points = self._wanted.get(source.device, set())
        if points & DERIVED.keys():
            return everything
        return {source.index[point] for point in points if point in source.index}

    def _part(self, one: SourceBlock) -> _Part | None:
        source, block = one
        device = source.device
        if not block.columns:
            return None
        keep = (block.at >= self._since) & (block.at < self._until) & (block.at <= block.received + FUTURE_MS)
        if not keep.any():
            return None
        floor = max(self._begun, self._floor.get(device, self._since))
        part = _Part(source, block, keep, floor, self._backfill_ms.get(device))
        self._floor[device] = int(part.key[-1])
        return part


def _by_device(wanted: Wanted) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for device, point in wanted:
        found.setdefault(device, set()).add(point)
    return found


def _span(parts: Sequence[_Part]) -> Millis | None:
    """How long a slab may be, by how dense these parts are."""
    if not parts:
        return None
    samples = sum(len(part.key) * len(part.columns) for part in parts)
    length = max(int(part.key[-1]) for part in parts) - min(int(part.key[0]) for part in parts)
    return min(LONGEST_MS, max(1000, length * SAMPLES // max(1, samples)))
