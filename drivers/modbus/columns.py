"""A block's raw numbers to readings: compiled once, the usual case as whole columns; pure.

Where all points of a block are plain numbers and all values are what they should be, one pass
over columns makes the readings; whatever is unusual is judged value by value, with the same
result (`tests/drivers/modbus/test_columns.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from operator import le, truediv
from typing import NamedTuple

from drivers.modbus.blocks import Block, plan
from drivers.modbus.codec import block_decoder, in_order
from drivers.modbus.profile import ModbusProfile
from drivers.profile import Judge, Plain, judge_of, plain_of
from drivers.reading import Millis, Origin, Quality, Reading
from drivers.vocabulary import PointSpec

PROFILES = 64
"""Compiled profiles that are kept for further devices of the same model."""

Decode = Callable[[bytes], Sequence[float]]
Read = Callable[[str, bytes, Millis], list[Reading]]
"""A device's reply frame and when it came, as readings."""

_GOOD, _LIVE = Quality.GOOD, Origin.LIVE
_new = tuple.__new__  # a NamedTuple's own takes three times as long


class Column(NamedTuple):
    """One point of a block: its name, unit and judge; `plain` where its raw numbers may go the
    short way."""

    name: str
    unit: str
    judge: Judge
    plain: Plain | None


def reader_of(decode: Decode, columns: Sequence[Column]) -> Read:
    """Compiles the reading of one block; `decode` gives a raw number for each column."""

    def judged(device: str, raws: Sequence[float], at: Millis) -> list[Reading]:
        readings = []
        for raw, (name, unit, judge, _) in zip(raws, columns, strict=True):
            value, quality, reason = judge(raw)
            readings.append(_new(Reading, (device, name, value, unit, at, at, quality, reason, _LIVE)))
        return readings

    plains = [column.plain for column in columns if column.plain is not None]
    if len(plains) < len(columns):
        return lambda device, frame, at: judged(device, decode(frame), at)

    names, units = [column.name for column in columns], [column.unit for column in columns]
    divisors, lows, highs = [p.divisor for p in plains], [p.low for p in plains], [p.high for p in plains]
    sentinels = frozenset(s for p in plains for s in p.sentinels if p.low <= s / p.divisor <= p.high)

    def read(device: str, frame: bytes, at: Millis) -> list[Reading]:
        raws = decode(frame)
        values = list(map(truediv, raws, divisors))
        if all(map(le, lows, values)) and all(map(le, values, highs)) and sentinels.isdisjoint(raws):
            fields = zip(
                repeat(device), names, values, units, repeat(at), repeat(at), repeat(_GOOD), repeat(""),
                repeat(_LIVE),
            )  # fmt: skip
            return list(map(_new, repeat(Reading), fields))
        return judged(device, raws, at)

    return read


class Part(NamedTuple):
    """A block that is compiled: how it is read, and the names and units of its points."""

    read: Read
    points: Sequence[tuple[str, str]]


class Compiled:
    """A profile under the words for its points; shared by all devices of that model."""

    def __init__(self, profile: ModbusProfile, points: Mapping[str, PointSpec]) -> None:
        self.blocks = plan(profile.points, profile.limits)
        self._maps = profile.points
        self._columns = {
            name: Column(
                name, points[name].unit, judge_of(mapping, points[name]), plain_of(mapping, points[name])
            )
            for name, mapping in profile.points.items()
        }
        self._parts: dict[Block, Part] = {}

    def part(self, block: Block) -> Part:
        """One block of its points; remembered."""
        known = self._parts.get(block)
        if known is None:
            known = self._parts[block] = self._part(block)
        return known

    def _part(self, block: Block) -> Part:
        maps = [self._maps[name] for name in block.points]
        ints = in_order(block, maps)
        columns = []
        for name, mapping in zip(block.points, maps, strict=True):
            column = self._columns[name]
            # a value that is decoded as a float is scaled otherwise than a whole number
            if column.plain and column.plain.divisor > 1 and not (ints and mapping.type != "f32"):
                column = column._replace(plain=None)
            columns.append(column)
        read = reader_of(block_decoder(block, maps), columns)
        return Part(read, [(column.name, column.unit) for column in columns])


class _Same:
    """Equal only to what holds the very same thing."""

    __slots__ = ("it",)

    def __init__(self, it: object) -> None:
        self.it = it

    def __hash__(self) -> int:
        return id(self.it)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.it is other.it


def compiled(profile: ModbusProfile, points: Mapping[str, PointSpec]) -> Compiled:
    """The profile compiled, for all devices that have the same profile and words at hand."""
    return _compiled(_Same(profile), tuple((name, _Same(points[name])) for name in profile.points))


@lru_cache(maxsize=PROFILES)
def _compiled(profile: _Same, points: tuple[tuple[str, _Same], ...]) -> Compiled:
    assert isinstance(profile.it, ModbusProfile)  # noqa: S101  # see `compiled`
    specs = {name: same.it for name, same in points if isinstance(same.it, PointSpec)}
    return Compiled(profile.it, specs)
