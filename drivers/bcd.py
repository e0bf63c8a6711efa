"""Packed BCD as Chinese meters send it: two digits a byte, low pair first; pure.

    78 56 34 12  with two decimals is  123456.78

Source: DL/T 645-2007 section 5 and CJ/T 188-2004 section 5, which agree on it.
"""

from __future__ import annotations


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
