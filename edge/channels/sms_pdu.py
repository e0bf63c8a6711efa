"""Short messages as a modem takes them: SMS-SUBMIT of 3GPP TS 23.040, in UCS-2; pure.

    00 | first | MR | length TOA digits | PID DCS VP | UDL | [UDH] text
    SMSC  TPDU, whose octets AT+CMGS counts

first   01 SMS-SUBMIT, 10 a relative validity follows, 40 the user data begins with a header
UDH     05 00 03 REFERENCE TOTAL NUMBER: one part of a long text (9.2.3.24.1)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

SUBMIT, WITH_VALIDITY, WITH_HEADER = 0x01, 0x10, 0x40
UCS2 = 0x08
ONE_DAY = 0xA7
"""A relative validity (9.2.3.12.1): the network gives up after 24 hours, as a push does."""
ALONE = 140
"""Octets of user data in one message."""
IN_PARTS = 134
"""The same less the header of a part."""
MOST_PARTS = 5
"""A text of at most 335 characters; the rest is cut."""


class Pdu(NamedTuple):
    """One message: `length` is what AT+CMGS is told, `text` the hexadecimal digits."""

    length: int
    text: str


def submits(number: str, text: str, reference: int, validity: int | None = ONE_DAY) -> list[Pdu]:
    """The messages that carry a text to a number (`+` and digits, or digits as dialled here).

    `reference` (0-255) must differ from that of the last long text to the same number.
    """
    whole = text.encode("utf-16-be")
    if len(whole) <= ALONE:
        return [_submit(number, b"", whole, validity)]
    parts = _parts(text)
    return [
        _submit(number, bytes((5, 0, 3, reference & 0xFF, len(parts), count)), part, validity)
        for count, part in enumerate(parts, 1)
    ]


def _parts(text: str) -> Sequence[bytes]:
    """The text in pieces that fit, no character torn apart."""
    parts = [b""]
    for character in text:
        code = character.encode("utf-16-be")
        if len(parts[-1]) + len(code) > IN_PARTS:
            if len(parts) == MOST_PARTS:
                break
            parts.append(b"")
        parts[-1] += code
    return parts


def _submit(number: str, header: bytes, text: bytes, validity: int | None) -> Pdu:
    first = SUBMIT | (WITH_VALIDITY if validity is not None else 0) | (WITH_HEADER if header else 0)
    tpdu = (
        bytes((first, 0))
        + address(number)
        + bytes((0, UCS2))
        + (bytes((validity,)) if validity is not None else b"")
        + bytes((len(header) + len(text),))
        + header
        + text
    )
    return Pdu(len(tpdu), "00" + tpdu.hex().upper())


def address(number: str) -> bytes:
    """TP-DA (9.1.2.5): digits, type (91 international, 81 unknown), digits in swapped pairs."""
    digits = number.removeprefix("+")
    kind = 0x91 if number.startswith("+") else 0x81
    padded = digits + "F" * (len(digits) % 2)
    pairs = "".join(padded[n + 1] + padded[n] for n in range(0, len(padded), 2))
    return bytes((len(digits), kind)) + bytes.fromhex(pairs)
