"""One source's moments as a compressed block of columns.

    body   CRC-32 of the rest (4 bytes, big endian) | msgpack [header, blobs]

The times of all points of an instant stand once. Values that are decimals go as scaled integers,
checked bit for bit; equal blobs are kept once (points that fail together share their marks).
This module needs numpy and pcodec (25 MB): the agent's process leaves it to `edge.store.helper`.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray
from pcodec import ChunkConfig, standalone

from drivers.reading import Millis, Value
from edge.store.moments import QUALITIES, Mark

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]

DECIMALS = 6
"""The finest steps that are tried; the vocabulary has none finer."""
_EXACT = float(1 << 53)
_LATE_MS = 1000
_STEPS = tuple(float(f"1e-{decimals}") for decimals in range(DECIMALS + 1))
_CONSTANT, _RAMP, _BLOB = 0, 1, 2
_NOTHING, _DIVIDED, _TIMES, _FLOATS, _SWITCHES, _WORDS = range(6)


class DamagedBlock(Exception):
    """A block's bytes are not those that were written."""


class Row(NamedTuple):
    """One moment as it comes from the hot table."""

    id: int
    at: Millis
    received_at: Millis
    values: Sequence[Value | None]
    marks: Mapping[int, Mark]


class Column(NamedTuple):
    """One point over a block: `values` of those instants at which `present` (or all, if `None`).

    `values` are float64, bool or object (texts); `codes` are indices into the block's marks plus
    one, 0 where the value is good, `None` where all are.
    """

    values: NDArray[Any]
    present: Bools | None
    codes: Ints | None

    def held(self, count: int) -> Bools:
        """The instants of which the block says something: a value or a mark."""
        held = np.ones(count, np.bool_) if self.present is None else self.present
        return held if self.codes is None else held | (self.codes != 0)

    def good(self, count: int) -> tuple[Bools, NDArray[Any]]:
        """Which instants have a good value, and these values."""
        present = np.ones(count, np.bool_) if self.present is None else self.present
        if self.codes is None:
            return present, self.values
        good = present & (self.codes == 0)
        return good, self.values[good[present]]


@dataclass(frozen=True, slots=True)
class Block:
    """Decoded columns. `received` is known to the second: late ones are seen to be late."""

    ids: Ints
    at: Ints
    received: Ints
    columns: Mapping[int, Column]
    """By the point's index in its source; only those that were asked for."""
    marks: Sequence[Mark]

    def __len__(self) -> int:
        return len(self.ids)


class _Blobs:
    """Collects byte strings, equal ones once."""

    def __init__(self) -> None:
        self.all: list[bytes] = []
        self._known: dict[bytes, int] = {}

    def put(self, blob: bytes) -> int:
        number = self._known.setdefault(blob, len(self.all))
        if number == len(self.all):
            self.all.append(blob)
        return number

    def ints(self, numbers: Ints) -> list[int]:
        """A reference to whole numbers: constant, evenly spaced, or compressed."""
        if len(numbers) == 0:
            return [_CONSTANT, 0]
        first = int(numbers[0])
        steps = np.diff(numbers)
        if not steps.any():
            return [_CONSTANT, first]
        if (steps == steps[0]).all():
            return [_RAMP, first, int(steps[0])]
        return [_BLOB, self.put(_pack(numbers))]

    def mask(self, mask: Bools) -> int:
        return self.put(zlib.compress(np.packbits(mask).tobytes(), 6))

    def numbers(self, values: Floats) -> list[Any]:
        """The kind, scale and reference of floats."""
        found = scaled(values)
        if found is None:
            return [_FLOATS, 0, self.put(_pack(values))]
        kind, decimals, numbers = found
        return [kind, decimals, self.ints(numbers)]


def _pack(numbers: Ints | Floats) -> bytes:
    packed: bytes = standalone.simple_compress(np.ascontiguousarray(numbers), ChunkConfig())
    return packed


def scaled(values: Floats) -> tuple[int, int, Ints] | None:
    """Floats as whole numbers of 10^-d with the smallest d that gives every bit back; or `None`."""
    bits = values.view(np.int64)
    for decimals in range(DECIMALS + 1):
        ten = 10.0**decimals
        numbers = np.rint(values * ten)
        if not (np.abs(numbers) < _EXACT).all():
            return None
        whole = numbers.astype(np.int64)
        again = whole.astype(np.float64)
        if ((again / ten).view(np.int64) == bits).all():
            return _DIVIDED, decimals, whole
        if decimals and ((again * _STEPS[decimals]).view(np.int64) == bits).all():
            return _TIMES, decimals, whole
    return None


def _unscaled(kind: int, decimals: int, numbers: Ints) -> Floats:
    if kind == _DIVIDED:
        return np.asarray(numbers / 10.0**decimals, np.float64)
    return np.asarray(numbers * _STEPS[decimals], np.float64)


def gathered(rows: Sequence[Row], points: Collection[int]) -> Block:
    """Rows as columns of these points."""
    marks: dict[Mark, int] = {}
    return Block(
        np.array([row.id for row in rows], np.int64),
        np.array([row.at for row in rows], np.int64),
        np.array([row.received_at for row in rows], np.int64),
        {index: _gathered_column(rows, index, marks) for index in points},
        list(marks),
    )


def _gathered_column(rows: Sequence[Row], index: int, marks: dict[Mark, int]) -> Column:
    given = [row.values[index] for row in rows]
    values = [value for value in given if value is not None]
    present = None
    if len(values) != len(rows):
        present = np.array([value is not None for value in given], np.bool_)
    codes = None
    if any(index in row.marks for row in rows):
        found = [row.marks.get(index) for row in rows]
        numbers = [0 if mark is None else marks.setdefault(mark, len(marks)) + 1 for mark in found]
        codes = np.array(numbers, np.int64)
    return Column(_array(values), present, codes)


def _array(values: Sequence[Value]) -> NDArray[Any]:
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return np.array(values, np.bool_)
    if kinds <= {float}:
        return np.array(values, np.float64)
    found = np.empty(len(values), object)
    found[:] = values
    return found


def encode(rows: Sequence[Row], points: int) -> bytes:
    """The block of one source's rows (in the order of storing); `points` = values in a row."""
    block = gathered(rows, range(points))
    blobs = _Blobs()
    header = [
        len(rows),
        blobs.ints(block.ids),
        blobs.ints(block.at),
        blobs.ints((block.received - block.at) // _LATE_MS),
        [_encode_column(blobs, block.columns[index]) for index in range(points)],
        [(QUALITIES.index(quality), reason) for quality, reason in block.marks],
    ]
    return seal((header, blobs.all))


def _encode_column(blobs: _Blobs, column: Column) -> list[Any]:
    """[kind, scale, values, presence or nil, marks or nil]"""
    present = None if column.present is None else blobs.mask(column.present)
    codes = None if column.codes is None else blobs.ints(column.codes)
    return [*_encode_values(blobs, column.values), present, codes]


def _encode_values(blobs: _Blobs, values: NDArray[Any]) -> list[Any]:
    if len(values) == 0:
        return [_NOTHING, 0, None]
    if values.dtype == np.float64:
        return blobs.numbers(values)
    if values.dtype == np.bool_:
        return [_SWITCHES, 0, blobs.ints(values.astype(np.int64))]
    words: dict[tuple[type, Value], int] = {}
    numbers = [words.setdefault((type(value), value), len(words)) for value in values]
    return [_WORDS, [word for _, word in words], blobs.ints(np.array(numbers, np.int64))]


def seal(content: object) -> bytes:
    """Content as msgpack behind its check sum."""
    packed = msgspec.msgpack.encode(content)
    return zlib.crc32(packed).to_bytes(4, "big") + packed


def unseal(body: bytes) -> Any:
    """What `seal` was given. Raises DamagedBlock."""
    if zlib.crc32(body[4:]) != int.from_bytes(body[:4], "big"):
        raise DamagedBlock(f"a block of {len(body)} bytes does not fit its check sum")
    return msgspec.msgpack.decode(body[4:])


def decode(body: bytes, wanted: Collection[int] | None = None) -> Block:
    """A block with the wanted points' columns, or all. Raises DamagedBlock."""
    header, blobs = unseal(body)
    count, ids, at, late, columns, marks = header
    times = _ints(blobs, at, count)
    return Block(
        _ints(blobs, ids, count),
        times,
        times + _ints(blobs, late, count) * _LATE_MS,
        {
            index: _column(blobs, column, count)
            for index, column in enumerate(columns)
            if wanted is None or index in wanted
        },
        [(QUALITIES[code], reason) for code, reason in marks],
    )


def _column(blobs: Sequence[bytes], column: Sequence[Any], count: int) -> Column:
    *values, mask, marks = column
    present = None
    if mask is not None:
        bits = np.frombuffer(zlib.decompress(blobs[mask]), np.uint8)
        present = np.unpackbits(bits, count=count).astype(np.bool_)
    number = count if present is None else int(present.sum())
    codes = None if marks is None else _ints(blobs, marks, count)
    return Column(_values(blobs, values, number), present, codes)


def _values(blobs: Sequence[bytes], column: Sequence[Any], count: int) -> NDArray[Any]:
    kind, scale, reference = column
    if kind == _NOTHING:
        return np.zeros(0)
    if kind == _FLOATS:
        return np.asarray(standalone.simple_decompress(blobs[reference]))
    numbers = _ints(blobs, reference, count)
    if kind == _SWITCHES:
        return np.asarray(numbers != 0)
    if kind == _WORDS:
        words = np.empty(len(scale), object)
        words[:] = scale
        return np.asarray(words[numbers])
    return _unscaled(kind, scale, numbers)


def _ints(blobs: Sequence[bytes], reference: Sequence[int], count: int) -> Ints:
    if reference[0] == _CONSTANT:
        return np.full(count, reference[1], np.int64)
    if reference[0] == _RAMP:
        return reference[1] + reference[2] * np.arange(count, dtype=np.int64)
    return np.asarray(standalone.simple_decompress(blobs[reference[1]]))


def encode_series(series: Sequence[Ints | Floats]) -> bytes:
    """Several arrays of one length, each compressed for itself."""
    blobs = _Blobs()
    packed = [
        [_DIVIDED, 0, blobs.ints(one.astype(np.int64))] if one.dtype == np.int64
        else blobs.numbers(one.astype(np.float64))
        for one in series
    ]  # fmt: skip
    return seal(((len(series[0]), packed), blobs.all))


def decode_series(body: bytes) -> list[Floats]:
    """The arrays of `encode_series`, as floats. Raises DamagedBlock."""
    (count, packed), blobs = unseal(body)
    return [_values(blobs, one, count) for one in packed]
