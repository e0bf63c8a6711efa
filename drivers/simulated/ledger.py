"""What simulators sent, by their own account: one side of a ledger against store and server."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from drivers.reading import Value


class Ledger:
    """Counts and keeps each value that went out in a sound reply or an accepted message."""

    def __init__(self) -> None:
        self.sent: dict[tuple[str, str], list[Value | None]] = defaultdict(list)
        self._numbers: dict[tuple[str, str], int] = {}

    def record(self, device: str, values: Mapping[str, Value | None]) -> None:
        """One reply or message of a device that went out whole."""
        for point, value in values.items():
            self.sent[device, point].append(value)
            if (device, point) in self._numbers:
                self._numbers[device, point] += 1

    def numbered(self, device: str, point: str, first: int = 1) -> Numbered:
        """A signal whose value is a sequence number: one more behind each value sent."""
        self._numbers[device, point] = first
        return Numbered(self, device, point)

    def number(self, device: str, point: str) -> int:
        """The number that goes out next."""
        return self._numbers[device, point]


class Numbered:
    """A signal of `Ledger.numbered`."""

    def __init__(self, ledger: Ledger, device: str, point: str) -> None:
        self._ledger = ledger
        self._key = (device, point)

    def __call__(self) -> float:
        """The number that the next sound reply carries."""
        return float(self._ledger.number(*self._key))
