"""Finds frames of the kind `start ... length ... checksum end` in a stream of bytes; pure.

DL/T 645 and CJ/T 188 are of this kind. Their end byte and start byte may stand anywhere
inside a frame, so only the position that the length gives is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from drivers.contract import Found


class Shape(NamedTuple):
    """How a protocol's frames are known.

    `end_of(buffer, at)` is the index behind the sound frame at `at`; 0 when none is there,
    -1 while more bytes are needed. It must cost no more than the longest frame.
    `resembles(buffer, at)` tells a frame that was spoilt from noise. `idle` are the bytes
    that may stand before a frame without being noise.
    """

    start: int
    end_of: Callable[[bytes, int], int]
    resembles: Callable[[bytes, int], bool]
    idle: bytes


def scan(shape: Shape, buffer: bytes, judge: Callable[[bytes], str]) -> Found:
    """The first frame that `judge` accepts (returns no fault for).

    An unfinished candidate is kept, yet does not hide a finished frame behind it: noise
    may look like the head of a long frame. Each byte is tried as a start once, and a
    try costs at most one frame, so that the work grows with the buffer's length only.
    """
    fault = ""
    keep = -1
    at = clean = 0
    while (at := buffer.find(shape.start, at)) >= 0:
        end = shape.end_of(buffer, at)
        if end > 0:
            verdict = judge(buffer[at:end])
            if not verdict:
                return Found(buffer[at:end], end, fault or _noise(shape, buffer, clean, at))
            if keep < 0:
                fault, clean = verdict, end
            at = end
            continue
        if keep < 0 and end < 0:
            keep = at
        elif keep < 0 and not fault and shape.resembles(buffer, at):
            fault = "crc"
        at += 1
    end = keep if keep >= 0 else len(buffer)
    return Found(None, end, fault or _noise(shape, buffer, clean, end))


def _noise(shape: Shape, buffer: bytes, start: int, end: int) -> str:
    return "noise" if buffer[start:end].strip(shape.idle) else ""
