"""NMEA 0183 sentences and the composite messages of Vaisala WXT: bytes to fields; pure.

    $ talker 2 | type 3 | , field ... | * | checksum: 2 hex digits | CR LF     XOR of all between $ and *
    address 1 | R0..R5 | , name=value unit ...                       | CR LF     Vaisala, unchecked
    address 1 | r0..r5 | , name=value unit ... | CRC: 3 characters   | CR LF     Vaisala, CRC-16 as in SDI-12

Sources: IEC 61162-1; Vaisala WXT530 User's Guide M211840EN, chapters "ASCII Protocol" and
"NMEA 0183 V3.0 Protocol", appendix "CRC-16 Computation".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from drivers.errors import BadFrame

LONGEST = 512
"""Bytes of a sentence. The standard allows 82; composite messages of real devices reach 250."""

_COMPOSITE = re.compile(rb"[0-9A-Za-z][Rr][0-5],")
_NUMBER = re.compile(r"[+-]?(\d{1,12}(\.\d{0,9})?|\.\d{1,9})", re.ASCII)
_ITEM = re.compile(r"\s*([A-Z][a-z]{1,2})=([^=,]{0,20}?)([A-Za-z#]?)\s*", re.ASCII)


class Sentence(NamedTuple):
    """One sentence. Of a composite message the talker is the address and the type `R1` and so on."""

    talker: str
    type: str
    fields: tuple[str, ...]

    def field(self, number: int) -> str:
        """Field `number`, from 1 as the standard counts; empty where the sentence is cut short."""
        return self.fields[number - 1].strip() if number <= len(self.fields) else ""


class Item(NamedTuple):
    """One measured quantity of an XDR sentence or a composite message.

    `type` is the transducer type of XDR (`C` temperature, `A` angle ...), empty in composite
    messages; `unit` is one letter or empty.
    """

    type: str
    value: str
    unit: str
    id: str


def parse(line: bytes, *, verified: bool = True) -> Sentence | None:
    """The sentence in a line without its end; None for an empty line.

    What stands before the last `$` is junk. BadFrame with the reason `crc` for a wrong
    checksum, `unverified` for none where `verified` asks for one, else `noise`.
    """
    line = line.strip(b" \r\n\0")
    if not line:
        return None
    start = line.rfind(b"$")
    if start >= 0:
        return _standard(line[start:], verified)
    if _COMPOSITE.match(line):
        return _composite(line, verified)
    raise BadFrame("neither $ nor a composite message", frame=line, reason="noise")


def _standard(line: bytes, verified: bool) -> Sentence:
    body, star, tail = line[1:].partition(b"*")
    if star:
        if not re.fullmatch(rb"[0-9A-Fa-f]{2}", tail.strip()) or int(tail, 16) != checksum(body):
            raise BadFrame(f"checksum {tail[:8]!r}, expected {checksum(body):02X}", frame=line)
    elif verified:
        raise BadFrame("no checksum", frame=line, reason="unverified")
    address, *fields = body.decode("latin-1").split(",")
    if not re.fullmatch(r"[A-Z][A-Z0-9]{2,9}", address):
        raise BadFrame(f"no address: {address[:20]!r}", frame=line, reason="noise")
    cut = 1 if address[0] == "P" else 2  # P and the maker's own sentence
    return Sentence(address[:cut], address[cut:], tuple(fields))


def _composite(line: bytes, verified: bool) -> Sentence:
    if line[1:2] == b"r":
        line, crc = line[:-3], line[-3:]
        if crc != composite_crc(line):
            raise BadFrame(f"CRC {crc!r}, expected {composite_crc(line)!r}", frame=line + crc)
    elif verified:
        raise BadFrame("a composite message without CRC", frame=line, reason="unverified")
    address, *fields = line.decode("latin-1").split(",")
    return Sentence(address[0], address[1:].upper(), tuple(fields))


def items(sentence: Sentence) -> Iterator[Item]:
    """The quantities of an XDR sentence or a composite message; what is no quantity is left out."""
    if sentence.type == "XDR":
        padded = (*sentence.fields, "", "", "")
        for at in range(0, len(sentence.fields), 4):
            kind, value, unit, name = (text.strip() for text in padded[at : at + 4])
            if kind:
                yield Item(kind, value, unit, name)
        return
    for field in sentence.fields:
        match = _ITEM.fullmatch(field)
        if match is not None:
            yield Item("", match[2].strip(), match[3], match[1])


def number(text: str) -> float | None:
    """A field as a number, None for an empty one; ValueError for anything else."""
    text = text.strip()
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"no number: {text[:20]!r}")
    return float(text)


def checksum(body: bytes) -> int:
    """XOR of all characters between $ and *."""
    result = 0
    for byte in body:
        result ^= byte
    return result


def composite_crc(message: bytes) -> bytes:
    """The three characters behind a composite message: CRC-16, polynomial A001h reflected, start 0."""
    crc = 0
    for byte in message:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return bytes((0x40 | crc >> 12, 0x40 | crc >> 6 & 0x3F, 0x40 | crc & 0x3F))


def build(sentence: Sentence) -> bytes:
    """A sentence with its checksum and line end: the inverse of `parse`; composites without CRC."""
    fields = ",".join(sentence.fields)
    if sentence.type.startswith("R") and len(sentence.type) == 2:
        return f"{sentence.talker}{sentence.type},{fields}\r\n".encode("latin-1")
    body = f"{sentence.talker}{sentence.type},{fields}".encode("latin-1")
    return b"$%s*%02X\r\n" % (body, checksum(body))
