"""The newest of many numbers, in memory that does not grow."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import overload


class Recent(Sequence[float]):
    """At most so many numbers, the oldest first; its room is taken at once, not over hours."""

    __slots__ = ("_count", "_room")

    def __init__(self, most: int) -> None:
        self._room = array("d", bytes(8 * most))
        self._count = 0

    def append(self, number: float) -> None:
        """Adds one; the oldest goes when there is no room."""
        self._room[self._count % len(self._room)] = number
        self._count += 1

    def _ordered(self) -> array[float]:
        if self._count <= len(self._room):
            return self._room[: self._count]
        start = self._count % len(self._room)
        return self._room[start:] + self._room[:start]

    def __len__(self) -> int:
        return min(self._count, len(self._room))

    def __iter__(self) -> Iterator[float]:
        return iter(self._ordered())

    @overload
    def __getitem__(self, index: int) -> float: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[float]: ...

    def __getitem__(self, index: int | slice) -> float | Sequence[float]:
        return self._ordered()[index]
