"""A recorded line, played: to each recorded request the replies that came to it, in their order.

A recording is one JSON object a line, as `capture` writes it:

    {"at": 1790000000123, "way": "sent", "speed": "9600 8N1", "data": "01 03 00 00 00 02 c4 0b"}

What was received between two requests belongs to the first of them, with its time. When
the replies to a request are used up they begin anew. A Modbus TCP transaction id is the
asking master's own.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from drivers.simulated.bus import Bus, Spoken

LONGEST_S = 5.0
"""Bytes that came later than this were no reply."""


class Chunk(NamedTuple):
    """Received bytes, `after_s` behind the request."""

    after_s: float
    data: bytes


class BadRecording(ValueError):
    """A line of the recording is none; the text says which."""


def read_recording(lines: Iterable[str]) -> dict[bytes, list[list[Chunk]]]:
    """Request (without a transaction id) -> the replies to it, each in its pieces; raises BadRecording."""
    found: dict[bytes, list[list[Chunk]]] = defaultdict(list)
    current: list[Chunk] | None = None
    asked_at = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
            at, way, data = int(raw["at"]), raw["way"], bytes.fromhex(raw["data"])
        except (ValueError, TypeError, KeyError) as error:
            raise BadRecording(f"line {number}: {error}") from error
        if way == "sent":
            current, asked_at = [], at
            found[_key(data)].append(current)
        elif current is not None and 0 <= at - asked_at <= LONGEST_S * 1000:
            current.append(Chunk((at - asked_at) / 1000, data))
    return dict(found)


class Replay(Bus):
    """The line as it was; to what was never asked nobody answers. `missed` counts that."""

    def __init__(self, recording: dict[bytes, list[list[Chunk]]]) -> None:
        super().__init__([], 9600, seed=0)
        self._recording = recording
        self._turn: dict[bytes, int] = defaultdict(int)
        self._longest = max(map(len, recording), default=0) + 2
        self._heard = bytearray()
        self.missed = 0

    def receive(self, data: bytes, baudrate: int | None = None) -> list[Spoken]:
        """Takes what a master sends and gives what came back then."""
        self._heard += data
        key = _key(bytes(self._heard))
        if key not in self._recording:
            if len(self._heard) > self._longest:
                self.quiet()
            return []
        transaction = bytes(self._heard[:2]) if len(key) != len(self._heard) else b""
        self._heard.clear()
        replies = self._recording[key]
        chunks = replies[self._turn[key] % len(replies)]
        self._turn[key] += 1
        return [
            Spoken(chunk.after_s, _under(transaction, chunk.data) if first else chunk.data, "", {})
            for chunk, first in zip(chunks, [True] + [False] * len(chunks), strict=False)
        ]

    def quiet(self) -> None:
        """What was heard makes no recorded request."""
        self.missed += bool(self._heard)
        self._heard.clear()


def _key(request: bytes) -> bytes:
    tcp = (
        len(request) >= 8
        and request[2:4] == b"\0\0"
        and int.from_bytes(request[4:6], "big") == len(request) - 6
    )
    return request[2:] if tcp else request


def _under(transaction: bytes, reply: bytes) -> bytes:
    return transaction + reply[len(transaction) :]
