"""What the store says of whole days, for the district; run by the helper process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np

from drivers.reading import Millis
from edge.store.answers import Outgoing, SeriesSum, Slice, Sums
from edge.store.columns import Bools, Ints, Row, gathered
from edge.store.history import Snapshot
from edge.store.moments import Source
from edge.store.series import SourceBlock, rows_of

ROWS = 20_000
"""Hot rows that are in memory at once, about as many as a sealed block has."""
Runs = Sequence[tuple[int, int]]
"""Ids in (behind, upto], in order."""


def blocks(
    snapshot: Snapshot, since: Millis, until: Millis, device: str | None = None,
    wanted: Callable[[Source], bool] = lambda _: True,
) -> Iterator[SourceBlock]:  # fmt: skip
    """Blocks of wanted sources that touch [since, until), of a device or of all: sealed ones, and hot rows
    in portions."""
    yield from snapshot.sealed_blocks(device, since, until, wanted)
    rows: dict[int, tuple[Source, list[Row]]] = {}

    def of_it(source: Source) -> bool:
        return device in (None, source.device) and wanted(source)

    for count, row in enumerate(snapshot.hot(0, since, until, of_it), 1):
        some = rows.setdefault(id(row.source), (row.source, []))[1]
        some.append(Row(row.id, row.at, row.received_at, row.values, row.marks))
        if count % ROWS == 0:
            yield from _gathered(rows)
            rows.clear()
    yield from _gathered(rows)


def _gathered(rows: Mapping[int, tuple[Source, list[Row]]]) -> Iterator[SourceBlock]:
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
    for source, block in blocks(snapshot, since, until):
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
    for source, block in blocks(snapshot, since, until, device):
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
