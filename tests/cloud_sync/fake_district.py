"""A destination in memory whose every answer can be ordered; the outermost edge of uploader tests."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from cloud_sync.errors import Rejected, TooLarge, UploadError
from cloud_sync.line_parser import FieldValue, Point, parse_lines

PointKey = tuple[str, tuple[tuple[str, str], ...], int, str]


@dataclass(frozen=True)
class Ordered:
    """An error to raise, before or after the lines were stored."""

    error: UploadError
    stored: bool = False


@dataclass
class FakeDistrict:
    """Implements `Writer`. `poison` tells refused points; they are dropped, the others stored.

    With `digest` false nothing of a write with poison is stored, as OSS 2 does with a malformed line.
    """

    poison: Callable[[Point], bool] = lambda _: False
    digest: bool = True
    most_bytes: int = 10_000_000
    refuse_with: Callable[[], UploadError] = lambda: Rejected("partial write: field type conflict", 422)
    orders: deque[Ordered | None] = field(default_factory=deque)
    held: dict[PointKey, FieldValue] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)

    async def write(self, lines: bytes) -> None:
        self.bodies.append(lines)
        order = self.orders.popleft() if self.orders else None
        if order is not None and not order.stored:
            raise order.error
        if len(lines) > self.most_bytes:
            raise TooLarge("too large", 413)
        points = parse_lines(lines)
        good = [point for point in points if not self.poison(point)]
        if self.digest or len(good) == len(points):
            for point in good:
                self._store(point)
        if order is not None:
            raise order.error
        if len(good) < len(points):
            raise self.refuse_with()

    def _store(self, point: Point) -> None:
        for name, value in point.fields.items():
            self.held[(point.measurement, tuple(sorted(point.tags.items())), point.at, name)] = value

    def total(self) -> float:
        """The sum of all held numbers."""
        return sum(value for value in self.held.values() if isinstance(value, float))
