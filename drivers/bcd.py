"""Packed BCD as Chinese meters send it: two digits a byte, low pair first; pure.

    78 56 34 12  with two decimals is  123456.78

Source: DL/T 645-2007 section 5 and CJ/T 188-2004 section 5, which agree on it.
"""

from __future__ import annotations

from datetime import datetime, time


def decode_bcd(item: bytes, decimals: int, signed: bool = False) -> float | None:
    """Packed BCD, low pair first, as a number; None for all FF (not available).

    `signed`: the top bit of the top byte is the sign. ValueError when a nibble is no digit.
    """
    if item == b"\xff" * len(item):
        return None
    digits = bytearray(reversed(item))
    negative = signed and bool(digits[0] & 0x80)
    if negative:
        digits[0] &= 0x7F
    text = digits.hex()
    if not text.isdecimal():
        raise ValueError(f"not packed BCD: {text}")
    number: float = int(text) / 10**decimals
    return -number if negative and number else number


def decode_time(item: bytes) -> str | None:
    """`ss mm hh DD MM YY` in packed BCD (low pair first, the seconds may be left out) as
    `20YY-MM-DD hh:mm:ss`; three bytes are the time of day alone, seven have the day of the week
    behind the hours. None for all FF and for all zero (nothing has happened yet), but midnight.

    ValueError when it is no date. The century is the standard's own: meters know 2000 to 2099.
    """
    if item == b"\xff" * len(item) or (len(item) > 3 and item == b"\x00" * len(item)):
        return None
    if len(item) == 3:
        return datetime.strptime(bytes(reversed(item)).hex(), "%H%M%S").time().isoformat()  # noqa: DTZ007
    if len(item) == 7:
        item = item[:3] + item[4:]
    text = bytes(reversed(item)).hex()
    moment = datetime.strptime(f"20{text}", "%Y%m%d%H%M%S"[: 2 * len(item)])  # noqa: DTZ007  # meter's local
    return moment.isoformat(sep=" ")


def encode_time(text: str, size: int) -> bytes:
    """The meter's side of `decode_time`; ValueError when the text is no such time."""
    if size == 3:
        return bytes.fromhex(time.fromisoformat(text).strftime("%H%M%S"))[::-1]
    moment = datetime.fromisoformat(text)
    if size == 7:  # days of the week from 0, Sunday
        whole = bytes.fromhex(moment.strftime("%y%m%d%H%M%S"))[::-1]
        return whole[:3] + bytes((moment.isoweekday() % 7,)) + whole[3:]
    return bytes.fromhex(moment.strftime("%y%m%d%H%M%S")[: 2 * size])[::-1]


def encode_bcd(number: float, size: int, decimals: int, signed: bool = False) -> bytes:
    """The meter's side of `decode_bcd`; ValueError when the number does not fit."""
    whole = round(abs(number) * 10**decimals)
    text = f"{whole:0{2 * size}d}"
    negative = number < 0 and whole > 0
    if len(text) > 2 * size or (negative and not signed) or (signed and text[0] > "7"):
        raise ValueError(f"{number} does not fit in {size} bytes with {decimals} decimals")
    item = bytearray.fromhex(text)
    if negative:
        item[0] |= 0x80
    return bytes(reversed(item))
