"""Values gathered into buckets of time: count, sum, min, max and last; pure, on numpy arrays.

A single value is a bucket of one, so that values and rollups fold into wider buckets alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.reading import Millis
from edge.store.columns import Floats, Ints, decode_series, encode_series, scaled

_SECOND = 1000


class Buckets(NamedTuple):
    """One entry for each bucket, side by side: `at` its start, `number` of values, their `total`,
    `least`, `most` and `last`, and when the last was measured."""

    at: Ints
    number: Ints
    total: Floats
    least: Floats
    most: Floats
    last: Floats
    last_at: Ints

    def within(self, mask: NDArray[np.bool_]) -> Buckets:
        """Only these."""
        return Buckets(
            self.at[mask], self.number[mask], self.total[mask], self.least[mask], self.most[mask],
            self.last[mask], self.last_at[mask],
        )  # fmt: skip

    def aggregate(self, name: str) -> Floats:
        """mean, min, max, sum, count or last of each."""
        match name:
            case "mean":
                return np.asarray(self.total / self.number, np.float64)
            case "min":
                return self.least
            case "max":
                return self.most
            case "sum":
                return self.total
            case "count":
                return self.number.astype(np.float64)
        return self.last


def of_values(at: Ints, values: Floats) -> Buckets:
    """Each value as a bucket of its own."""
    return Buckets(at, np.ones(len(at), np.int64), values, values, values, values, at)


def joined(parts: Sequence[Buckets]) -> Buckets:
    """All entries of several, unsorted."""
    if not parts:
        none = np.zeros(0, np.int64)
        return of_values(none, none.astype(np.float64))
    return Buckets(
        np.concatenate([one.at for one in parts]),
        np.concatenate([one.number for one in parts]),
        np.concatenate([one.total for one in parts]),
        np.concatenate([one.least for one in parts]),
        np.concatenate([one.most for one in parts]),
        np.concatenate([one.last for one in parts]),
        np.concatenate([one.last_at for one in parts]),
    )


def folded(buckets: Buckets, step: Millis) -> Buckets:
    """One bucket for each multiple of `step` since the epoch that has any, oldest first."""
    if len(buckets.at) == 0:
        return buckets
    start = buckets.at // step * step
    order = np.lexsort((buckets.last_at, start))
    start = start[order]
    first = np.flatnonzero(np.diff(start, prepend=start[0] - 1))
    last = np.append(first[1:], len(start)) - 1
    return Buckets(
        start[first],
        np.add.reduceat(buckets.number[order], first),
        _sums(buckets.total[order], first),
        np.minimum.reduceat(buckets.least[order], first),
        np.maximum.reduceat(buckets.most[order], first),
        buckets.last[order][last],
        buckets.last_at[order][last],
    )


def _sums(values: Floats, first: Ints) -> Floats:
    """Sums of decimals without the noise of binary fractions, which would not compress."""
    found = scaled(values)
    if found is None:
        return np.add.reduceat(values, first)
    _, decimals, numbers = found
    if len(numbers) * float(np.abs(numbers).max()) >= 1 << 53:
        return np.add.reduceat(values, first)
    return np.asarray(np.add.reduceat(numbers, first) / 10.0**decimals, np.float64)


def encode_rollup(points: Sequence[tuple[int, Buckets]], step: Millis) -> bytes:
    """A source's buckets of one width, for storing; `last_at` is kept to the second."""
    index = np.concatenate([np.full(len(b.at), point, np.int64) for point, b in points])
    all_ = joined([buckets for _, buckets in points])
    return encode_series(
        (
            index, all_.at // step, all_.number, all_.total, all_.least, all_.most, all_.last,
            (all_.last_at - all_.at) // _SECOND,
        )
    )  # fmt: skip


def decode_rollup(body: bytes, point: int, step: Millis) -> Buckets:
    """One point's buckets of a stored rollup. Raises DamagedBlock."""
    index, at, count, total, least, most, last, seconds = decode_series(body)
    mine = index == point
    starts = at[mine].astype(np.int64) * step
    return Buckets(
        starts,
        count[mine].astype(np.int64),
        total[mine],
        least[mine],
        most[mine],
        last[mine],
        starts + seconds[mine].astype(np.int64) * _SECOND,
    )
