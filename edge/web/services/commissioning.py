"""An installer's work on lines that the gateway lends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from drivers.line.traffic import Passed
from drivers.reading import Reading


class NoSuchLine(Exception):
    """No open line has this name; a line without devices is not opened by the gateway."""


class LineTaken(Exception):
    """The line is lent to somebody else already."""


@dataclass(frozen=True, slots=True)
class ScanWish:
    """What a scan is narrowed to; empty means: the usual ones. `speeds` are such as `2400 8E1`."""

    protocols: tuple[str, ...] = ()
    addresses: tuple[int, ...] = ()
    speeds: tuple[str, ...] = ()
    patience: float = 1.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A device that a scan has seen. `profiles` fit it, best first; `known` is the configured
    device with this address."""

    protocol: str
    address: str
    speed: str
    frame: bytes
    conflict: bool
    profiles: tuple[str, ...]
    known: str


@dataclass(frozen=True, slots=True)
class ScanStatus:
    """How far a scan of a line has come; `yaml` is what it found, to paste."""

    line: str
    state: Literal["running", "done", "failed", "stopped"]
    asked: int
    total: int
    now: str
    seen: tuple[Seen, ...]
    yaml: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ReadOnce:
    """One round of reading a device on demand, and the bytes that passed."""

    readings: Sequence[Reading]
    traffic: Sequence[Passed]
    trouble: str = ""


class Commissioning(Protocol):
    """An installer's work on lines that the gateway lends."""

    def scan(self, line: str, wish: ScanWish) -> ScanStatus:
        """Starts a scan; raises NoSuchLine, LineTaken, and ValueError for a wish without sense."""
        ...

    def scanned(self, line: str) -> ScanStatus | None:
        """The last scan of a line, `None` before the first; raises NoSuchLine."""
        ...

    def stop(self, line: str) -> None:
        """Ends a running scan; raises NoSuchLine."""
        ...

    def traffic(self, line: str, after: int) -> Sequence[Passed]:
        """The bytes that passed behind that number; raises NoSuchLine."""
        ...

    async def read(self, device: str) -> ReadOnce:
        """Reads a device between two exchanges of its line; raises KeyError, NoSuchLine."""
        ...
