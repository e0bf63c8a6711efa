"""Cuts a stream of bytes into lines of text at a terminator; pure, bounded and linear."""

from __future__ import annotations

from typing import NamedTuple


class Cut(NamedTuple):
    """The whole lines of a chunk, without their terminators, and how many were too long to keep."""

    lines: list[bytes]
    too_long: int


class LineSplitter:
    """Keeps the unfinished line between chunks, at most `longest` bytes of it.

    The same bytes give the same lines however they are cut into chunks. A line beyond
    `longest` is dropped whole and counted once.
    """

    def __init__(self, longest: int, terminator: bytes = b"\n") -> None:
        self._longest = longest
        self._terminator = terminator
        self._rest = bytearray()
        self._searched = 0
        self._skipping = False

    def feed(self, data: bytes) -> Cut:
        """What `data` has completed."""
        self._rest += data
        size = len(self._terminator)
        lines: list[bytes] = []
        too_long = start = 0
        while (end := self._rest.find(self._terminator, self._searched)) >= 0:
            if self._skipping:
                self._skipping = False
            elif end - start > self._longest:
                too_long += 1
            else:
                lines.append(bytes(self._rest[start:end]))
            start = self._searched = end + size
        del self._rest[:start]
        if len(self._rest) > self._longest + size - 1:  # a terminator may have begun at its end
            too_long += not self._skipping
            self._skipping = True
            del self._rest[: len(self._rest) - size + 1]
        self._searched = max(0, len(self._rest) - size + 1)
        return Cut(lines, too_long)
