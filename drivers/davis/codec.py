"""Davis Vantage consoles: packets to values in the gateway's units; pure.

    LOOP, LOOP2   "LOO" | 3 trend | 4 type 0 or 1 | ... little endian ... | 95 LF CR | 97 CRC, high byte first
    EEPROM        ACK 06 | bytes | CRC, high byte first

The CRC is CCITT (1021h, start 0, most significant bit first); over data and CRC it is 0. The
console refuses with 21h (not understood) or 18h (wrong CRC).
Source: Davis "Vantage Serial Communication Reference" 2.6.1, sections X.1 and X.2; the dew
point of LOOP2 stands at 30, as firmware 3.88 sends it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import NamedTuple

from drivers.contract import Found

SIZE = 99
ACK = 0x06
REFUSALS = {0x21: "not understood", 0x18: "wrong CRC"}
SETUP_BYTE = 0x2B
"""EEPROM address of the setup bits; bits 4 and 5 tell the rain collector."""

_BUCKETS = {0: 0.254, 1: 0.2, 2: 0.1}
_HPA_PER_INHG = 33.8639
_M_S_PER_MPH = 0.44704
_MM_PER_INCH = 25.4


class Packet(IntEnum):
    """The type byte (offset 4) of the two packets."""

    LOOP = 0
    LOOP2 = 1


class Kind(NamedTuple):
    """How a quantity is written. `none` are the raw numbers that mean: no value.

    `factor` and `offset` lead into the gateway's unit; a `clicks` kind counts tips of the
    rain collector and is multiplied by its size in mm instead.
    """

    format: str
    none: frozenset[int]
    factor: float = 1.0
    offset: float = 0.0
    clicks: bool = False


def _kind(layout: str, *none: int, factor: float = 1.0, offset: float = 0.0, clicks: bool = False) -> Kind:
    return Kind("<" + layout, frozenset(none), factor, offset, clicks)


TENTH_F = _kind("h", 0x7FFF, factor=0.5 / 9, offset=-160 / 9)
WHOLE_F = _kind("h", 0x7FFF, 0xFF, factor=5 / 9, offset=-160 / 9)
BYTE_F = _kind("B", 0xFF, factor=5 / 9, offset=-(90 + 32) * 5 / 9)
PERCENT = _kind("B", 0xFF)
INHG = _kind("H", 0, 0xFFFF, 0x7FFF, factor=0.001 * _HPA_PER_INHG)
MPH = _kind("B", 0xFF, factor=_M_S_PER_MPH)
MPH_WORD = _kind("H", 0xFF, 0x7FFF, 0xFFFF, factor=_M_S_PER_MPH)
TENTH_MPH = _kind("H", 0x7FFF, 0xFFFF, factor=0.1 * _M_S_PER_MPH)
DEGREES = _kind("H", 0, 0x7FFF, 0xFFFF)
CLICKS = _kind("H", 0xFFFF, clicks=True)
UV = _kind("B", 0xFF, factor=0.1)
SOLAR = _kind("H", 0x7FFF, 0xFFFF)
THOUSANDTH_INCH = _kind("H", 0xFFFF, factor=0.001 * _MM_PER_INCH)
HUNDREDTH_INCH = _kind("H", 0xFFFF, factor=0.01 * _MM_PER_INCH)
VOLTS = _kind("H", 0, 0xFFFF, factor=300 / 512 / 100)
BITS = _kind("B")


class Place(NamedTuple):
    """Where a packet holds a quantity."""

    offset: int
    kind: Kind


FIELDS: Mapping[str, Mapping[Packet, Place]] = {
    name: {packet: place for packet, place in zip(Packet, places, strict=True) if place is not None}
    for name, places in {
        "barometer": (Place(7, INHG), Place(7, INHG)),
        "barometer_raw": (None, Place(65, INHG)),
        "inside_temperature": (Place(9, TENTH_F), Place(9, TENTH_F)),
        "inside_humidity": (Place(11, PERCENT), Place(11, PERCENT)),
        "outside_temperature": (Place(12, TENTH_F), Place(12, TENTH_F)),
        "outside_humidity": (Place(33, PERCENT), Place(33, PERCENT)),
        "wind_speed": (Place(14, MPH), Place(14, MPH)),
        "wind_speed_10_min": (Place(15, MPH), Place(18, TENTH_MPH)),
        "wind_speed_2_min": (None, Place(20, TENTH_MPH)),
        "wind_gust_10_min": (None, Place(22, MPH_WORD)),
        "wind_gust_direction": (None, Place(24, DEGREES)),
        "wind_direction": (Place(16, DEGREES), Place(16, DEGREES)),
        **{f"extra_temperature_{n + 1}": (Place(18 + n, BYTE_F), None) for n in range(7)},
        "dew_point": (None, Place(30, WHOLE_F)),
        "heat_index": (None, Place(35, WHOLE_F)),
        "wind_chill": (None, Place(37, WHOLE_F)),
        "thsw_index": (None, Place(39, WHOLE_F)),
        "rain_rate": (Place(41, CLICKS), Place(41, CLICKS)),
        "uv_index": (Place(43, UV), Place(43, UV)),
        "solar_irradiance": (Place(44, SOLAR), Place(44, SOLAR)),
        "rain_storm": (Place(46, CLICKS), Place(46, CLICKS)),
        "rain_day": (Place(50, CLICKS), Place(50, CLICKS)),
        "rain_month": (Place(52, CLICKS), None),
        "rain_year": (Place(54, CLICKS), None),
        "rain_15_min": (None, Place(52, CLICKS)),
        "rain_hour": (None, Place(54, CLICKS)),
        "rain_24_h": (None, Place(58, CLICKS)),
        "evaporation_day": (Place(56, THOUSANDTH_INCH), Place(56, THOUSANDTH_INCH)),
        "evaporation_month": (Place(58, HUNDREDTH_INCH), None),
        "evaporation_year": (Place(60, HUNDREDTH_INCH), None),
        "transmitter_battery": (Place(86, BITS), None),
        "console_voltage": (Place(87, VOLTS), None),
    }.items()
}
"""Quantity -> where it stands. Cel, %, hPa, m/s, degrees, mm, mm/h, W/m2, V; `transmitter_battery`
has a bit for each transmitter whose battery is low."""


def crc(data: bytes) -> int:
    """CRC-CCITT with start 0."""
    result = 0
    for byte in data:
        result = (result << 8 & 0xFFFF) ^ _TABLE[result >> 8 ^ byte]
    return result


def _table_entry(byte: int) -> int:
    value = byte << 8
    for _ in range(8):
        value = (value << 1 ^ 0x1021 if value & 0x8000 else value << 1) & 0xFFFF
    return value


_TABLE = tuple(_table_entry(byte) for byte in range(256))


def wake_request() -> bytes:
    """What a sleeping console must get first; it answers LF CR."""
    return b"\n"


def packet_request(packet: Packet) -> bytes:
    """Asks for one packet."""
    return b"LOOP 1\n" if packet is Packet.LOOP else b"LPS 2 1\n"


def eeprom_request(address: int, count: int) -> bytes:
    """Asks for EEPROM bytes."""
    return b"EEBRD %02X %02X\n" % (address, count)


def find_awake(buffer: bytes) -> Found:
    """The console's LF CR."""
    at = buffer.find(b"\n\r")
    return Found(b"\n\r", at + 2) if at >= 0 else Found(None, 0, "noise" if buffer.strip() else "")


def packet_finder(packet: Packet) -> Callable[[bytes], Found]:
    """Finds that packet (99 bytes), or a refusal of one byte; a packet of the other type is `late`."""

    def find(buffer: bytes) -> Found:
        refusal = _refusal(buffer)
        if refusal is not None:
            return refusal
        fault = ""
        at = buffer.find(b"LOO")
        while 0 <= at <= len(buffer) - SIZE:
            frame = buffer[at : at + SIZE]
            if frame[95:97] == b"\n\r" and crc(frame) == 0:
                if frame[4] == packet:
                    return Found(frame, at + SIZE)
                return Found(None, at + SIZE, "late")
            fault = "crc"
            at = buffer.find(b"LOO", at + 1)
        return Found(None, 0, fault)

    return find


def eeprom_finder(count: int) -> Callable[[bytes], Found]:
    """Finds `count` EEPROM bytes with their CRC behind, or a refusal: a single byte."""

    def find(buffer: bytes) -> Found:
        refusal = _refusal(buffer)
        if refusal is not None:
            return refusal
        fault = ""
        at = buffer.find(ACK)
        while 0 <= at <= len(buffer) - count - 3:
            frame = buffer[at + 1 : at + count + 3]
            if crc(frame) == 0:
                return Found(frame, at + count + 3)
            fault = "crc"
            at = buffer.find(ACK, at + 1)
        return Found(None, 0, fault)

    return find


def _refusal(buffer: bytes) -> Found | None:
    """A refusal stands alone: with more behind it, it is noise."""
    rest = buffer.strip(b"\n\r")
    return Found(rest, len(buffer)) if len(rest) == 1 and rest[0] in REFUSALS else None


def bucket_mm(setup: int) -> float | None:
    """The rain collector's size by the setup bits; None for a code that is not documented."""
    return _BUCKETS.get(setup >> 4 & 3)


def decode(packet: bytes, place: Place, bucket: float | None) -> float | None:
    """A quantity in the gateway's unit; None where the console shows dashes or the bucket is unknown."""
    kind = place.kind
    raw = int(struct.unpack_from(kind.format, packet, place.offset)[0])
    if raw in kind.none or (kind.clicks and bucket is None):
        return None
    return round(raw * (bucket or 0.0) if kind.clicks else raw * kind.factor + kind.offset, 6)


def build(packet: Packet, values: Mapping[str, float | None], bucket: float) -> bytes:
    """A packet with these quantities; what is not given shows dashes. The inverse of `decode`."""
    frame = bytearray(b"\xff" * 95)
    frame[0:5] = b"LOOP" + bytes((packet,))
    frame[5:7] = b"\0\0"
    for name, places in FIELDS.items():
        if packet not in places:
            continue
        offset, kind = places[packet]
        value = values.get(name)
        if value is None:
            raw = max(kind.none, default=0)
        elif kind.clicks:
            raw = round(value / bucket)
        else:
            raw = round((value - kind.offset) / kind.factor)
        size = struct.calcsize(kind.format)
        signed = kind.format[-1] == "h"
        low, high = (-(2**15), 2**15 - 1) if signed else (0, 2 ** (8 * size) - 1)
        struct.pack_into(kind.format, frame, offset, min(high, max(low, raw)))
    body = bytes(frame) + b"\n\r"
    return body + crc(body).to_bytes(2, "big")
