"""What stands in the body of a CJ/T 188 reply: quantities with their units, clock, status; pure.

    901F of water and gas meters, 19 bytes
        | volume 4 | unit | volume at settlement 4 | unit | clock 7 | status 2 |
    901F of heat and cold meters, 43 bytes
        | heat at settlement 4 | unit | heat 4 | unit | power 4 | unit | flow 4 | unit | volume 4 | unit |
        | supply temperature 3 | return temperature 3 | hours 3 | clock 7 | status 2 |
    D120..D12B, at a past settlement, 5 bytes
        | quantity 4 | unit |

Numbers are packed BCD, low pair first. Some makers put the unit before its number. FF in
all bytes of a number means: not available. Source: CJ/T 188-2004 section 7 and annex.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Literal, NamedTuple

from drivers.bcd import decode_bcd, encode_bcd

Layout = Literal["flow", "heat", "settlement"]
FieldName = Literal[
    "volume", "settled_volume", "heat", "settled_heat", "power", "flow",
    "supply_temperature", "return_temperature", "hours", "clock", "status",
]  # fmt: skip


class Quantity(StrEnum):
    """What a unit code measures, named by the unit that values are given in."""

    VOLUME = "m3"
    ENERGY = "kWh"
    POWER = "kW"
    FLOW = "m3/h"


_J = 1 / 3_600_000
UNITS: Mapping[int, tuple[Quantity, float]] = {
    0x01: (Quantity.ENERGY, _J),
    0x02: (Quantity.ENERGY, 0.001),
    0x05: (Quantity.ENERGY, 1.0),
    0x08: (Quantity.ENERGY, 1_000.0),
    0x0A: (Quantity.ENERGY, 100_000.0),
    0x0B: (Quantity.ENERGY, 1_000 * _J),
    0x0E: (Quantity.ENERGY, 1_000_000 * _J),
    0x11: (Quantity.ENERGY, 1_000_000_000 * _J),
    0x13: (Quantity.ENERGY, 100_000_000_000 * _J),
    0x14: (Quantity.POWER, 0.001),
    0x17: (Quantity.POWER, 1.0),
    0x1A: (Quantity.POWER, 1_000.0),
    0x29: (Quantity.VOLUME, 0.001),
    0x2C: (Quantity.VOLUME, 1.0),
    0x32: (Quantity.FLOW, 0.001),
    0x35: (Quantity.FLOW, 1.0),
}
"""Unit code -> what it measures and its factor to that quantity's unit. Source: CJ/T 188-2004, units."""

PLAIN_UNIT = {Quantity.VOLUME: 0x2C, Quantity.ENERGY: 0x05, Quantity.POWER: 0x17, Quantity.FLOW: 0x35}


class Place(NamedTuple):
    """Where a field stands: `quantity` fields take 4 bytes and a unit, others `size` alone."""

    at: int
    size: int
    decimals: int = 0
    quantity: Quantity | None = None


LAYOUTS: Mapping[Layout, Mapping[FieldName, Place]] = {
    "flow": {
        "volume": Place(0, 5, 2, Quantity.VOLUME),
        "settled_volume": Place(5, 5, 2, Quantity.VOLUME),
        "clock": Place(10, 7),
        "status": Place(17, 2),
    },
    "heat": {
        "settled_heat": Place(0, 5, 2, Quantity.ENERGY),
        "heat": Place(5, 5, 2, Quantity.ENERGY),
        "power": Place(10, 5, 2, Quantity.POWER),
        "flow": Place(15, 5, 2, Quantity.FLOW),
        "volume": Place(20, 5, 2, Quantity.VOLUME),
        "supply_temperature": Place(25, 3, 2),
        "return_temperature": Place(28, 3, 2),
        "hours": Place(31, 3),
        "clock": Place(34, 7),
        "status": Place(41, 2),
    },
    "settlement": {
        "settled_volume": Place(0, 5, 2, Quantity.VOLUME),
        "settled_heat": Place(0, 5, 2, Quantity.ENERGY),
    },
}
SIZES: Mapping[Layout, int] = {"flow": 19, "heat": 43, "settlement": 5}
"""Bytes of each body."""


class Unreadable(ValueError):
    """A field that says nothing we may believe; `reason` is what the bad reading carries."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def unit_first(layout: Layout, body: bytes) -> bool | None:
    """Whether the units stand before their numbers; None when the body does not tell.

    The one order counts in which every unit is legal for its quantity and every number BCD.
    """
    fits = [order for order in (False, True) if _fits(layout, body, order)]
    return fits[0] if len(fits) == 1 else None


def number(place: Place, body: bytes, decimals: int, first: bool) -> float | None:
    """A number in the unit of its quantity, or as it stands; None when not available.

    Unreadable with `unit` for a code that is unknown or measures something else, `not_bcd`
    for a nibble that is no digit.
    """
    item = body[place.at : place.at + place.size]
    factor = 1.0
    if place.quantity is not None:
        code, item = (item[0], item[1:]) if first else (item[-1], item[:-1])
        if item == b"\xff" * len(item):
            return None
        quantity, factor = UNITS.get(code, (None, 1.0))
        if quantity is not place.quantity:
            raise Unreadable("unit", f"unit code {code:02X} is no unit of {place.quantity}")
    try:
        value = decode_bcd(item, decimals)
    except ValueError as error:
        raise Unreadable("not_bcd", str(error)) from error
    return value if value is None or factor == 1.0 else round(value * factor, 6)


def encode_number(place: Place, value: float | None, decimals: int, first: bool, unit: int | None) -> bytes:
    """The meter's side of `number`; ValueError when the value does not fit."""
    size = place.size - (place.quantity is not None)
    if place.quantity is None:
        return b"\xff" * size if value is None else encode_bcd(value, size, decimals)
    code = bytes([PLAIN_UNIT[place.quantity] if unit is None else unit])
    factor = UNITS[code[0]][1]
    item = b"\xff" * size if value is None else encode_bcd(value / factor, size, decimals)
    return code + item if first else item + code


def clock(item: bytes) -> str | None:
    """The meter's clock as `2017-08-19T16:54:59`; None when it has none.

    Seven BCD bytes: seconds first and the century last, or the other way round; the order
    in which the fields are in range is taken. Unreadable with `clock` when neither is.
    """
    if not any(item) or item == b"\xff" * len(item):
        return None
    for fields in (item[::-1], item):
        digits = fields.hex()
        if digits.isdecimal():
            try:
                moment = datetime.strptime(digits, "%Y%m%d%H%M%S")  # noqa: DTZ007 - the meter's own time
            except ValueError:
                continue
            if 2000 <= moment.year < 2100:
                return moment.isoformat()
    raise Unreadable("clock", f"no time: {item.hex(' ')}")


def encode_clock(moment: str | None) -> bytes:
    """The meter's side of `clock`, seconds first; zeros for no clock."""
    return bytes.fromhex("".join(filter(str.isdecimal, moment)))[::-1] if moment else bytes(7)


def status(item: bytes) -> int | None:
    """The status word, first byte low; None for FF FF. What its bits mean is the maker's."""
    return None if item == b"\xff\xff" else int.from_bytes(item, "little")


def bits_of(word: int, bits: tuple[int, ...]) -> int:
    """Some bits of a word, gathered: the first named is the lowest."""
    return sum((word >> bit & 1) << place for place, bit in enumerate(bits))


def _fits(layout: Layout, body: bytes, first: bool) -> bool:
    try:
        for place in LAYOUTS[layout].values():
            if place.quantity is not None:
                number(place, body, 0, first)
    except Unreadable:
        return False
    return True
