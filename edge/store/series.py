"""Samples of one point, and moments of one batch, taken out of blocks of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.reading import Millis, Value
from edge.store.columns import Block, Bools, Column, Ints
from edge.store.moments import QUALITIES, Mark, Source


class Series(NamedTuple):
    """One point's samples side by side, oldest first. `values` are float64, bool or object, with
    a filling where `present` is false; `quality` indexes `moments.QUALITIES`."""

    at: Ints
    values: NDArray[Any]
    present: Bools
    quality: NDArray[np.int8]

    def good(self) -> tuple[Ints, NDArray[Any]]:
        """Times and values of the good samples."""
        mask = self.present & (self.quality == 0)
        return self.at[mask], self.values[mask]

    def first(self, limit: int) -> Series:
        """At most so many."""
        return Series(self.at[:limit], self.values[:limit], self.present[:limit], self.quality[:limit])


class SourceBlock(NamedTuple):
    """Moments of one source as columns; the rows are in the order of storing."""

    source: Source
    block: Block


class StoredRow(NamedTuple):
    """One moment, decoded."""

    id: int
    source: Source
    at: Millis
    received_at: Millis
    values: Sequence[Value | None]
    marks: Mapping[int, Mark]


class BatchRows:
    """The moments of a batch in the order of storing, kept as columns until they are asked for."""

    def __init__(self, blocks: Sequence[SourceBlock]) -> None:
        self._blocks = blocks
        ids = np.concatenate([one.block.ids for one in blocks]) if blocks else np.zeros(0, np.int64)
        owner = [np.full(len(one.block), i, np.int64) for i, one in enumerate(blocks)]
        self._order = np.argsort(ids, kind="stable")
        self._ids = ids[self._order]
        self._owner = (np.concatenate(owner) if blocks else ids)[self._order]

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def blocks(self) -> Sequence[SourceBlock]:
        """The same moments, source by source."""
        return self._blocks

    def place(self, cursor: int) -> int:
        """Where the first moment behind an id stands."""
        return int(np.searchsorted(self._ids, cursor, side="right"))

    def rows(self, start: int, stop: int) -> list[StoredRow]:
        """The moments from one place to another."""
        ids, owner = self._ids[start:stop], self._owner[start:stop]
        found: list[StoredRow] = []
        for one in np.unique(owner):
            source, block = self._blocks[int(one)]
            mine = ids[owner == one]
            low = int(np.searchsorted(block.ids, mine[0]))
            found += rows_of(source, block, low, low + len(mine))
        found.sort(key=lambda row: row.id)
        return found


def rows_of(source: Source, block: Block, low: int, high: int) -> list[StoredRow]:
    """Rows [low, high) of a block with all its columns."""
    columns = [_dense(block.columns[index], low, high) for index in range(len(source.points))]
    marked = [
        (index, column.codes[low:high]) for index, column in block.columns.items() if column.codes is not None
    ]
    found = []
    ids, ats, received = (one[low:high].tolist() for one in (block.ids, block.at, block.received))
    for place, (number, at, when) in enumerate(zip(ids, ats, received, strict=True)):
        marks = {index: block.marks[int(codes[place]) - 1] for index, codes in marked if codes[place]}
        found.append(StoredRow(number, source, at, when, [column[place] for column in columns], marks))
    return found


def _dense(column: Column, low: int, high: int) -> list[Value | None]:
    if column.present is None:
        values: list[Value | None] = column.values[low:high].tolist()
        return values
    here = column.present[low:high]
    start = int(column.present[:low].sum())
    given = iter(column.values[start : start + int(here.sum())].tolist())
    return [next(given) if there else None for there in here.tolist()]


def series_of(block: Block, index: int, since: Millis, until: Millis) -> Series:
    """A column's samples in [since, until), in the order of storing."""
    column = block.columns[index]
    count = len(block)
    mask = column.held(count) & (block.at >= since) & (block.at < until)
    present = np.ones(count, np.bool_) if column.present is None else column.present
    if column.present is None:
        values = column.values
    else:
        values = np.zeros(count, column.values.dtype if len(column.values) else np.float64)
        values[present] = column.values
    quality = np.zeros(count, np.int8)
    if column.codes is not None:
        codes = np.array([0, *(QUALITIES.index(quality) for quality, _ in block.marks)], np.int8)
        quality = codes[column.codes]
    return Series(block.at[mask], values[mask], present[mask], quality[mask])


def in_order(parts: Sequence[Series]) -> Series:
    if not parts:
        return Series(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.bool_), np.zeros(0, np.int8))
    kinds = {part.values.dtype for part in parts if part.present.any()}
    values = [part.values if len(kinds) <= 1 else part.values.astype(object) for part in parts]
    if len(kinds) == 1:
        (kind,) = kinds
        values = [part.values if part.values.dtype == kind else part.values.astype(kind) for part in parts]
    at = np.concatenate([part.at for part in parts])
    order = np.argsort(at, kind="stable")
    return Series(
        at[order],
        np.concatenate(values)[order],
        np.concatenate([part.present for part in parts])[order],
        np.concatenate([part.quality for part in parts])[order],
    )
