"""What a driver is: how it is asked, what it needs and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from drivers.line.settings import Framing
from drivers.reading import Millis, Reading


class Found(NamedTuple):
    """What a deframer saw in the receive buffer.

    `frame` is the reply, `None` while more bytes are needed. `end` is the index behind
    the bytes that may be dropped: the frame and what stood before it, or junk alone.
    `fault` names what was wrong with dropped bytes (`crc`, `wrong_address`, `echo`,
    `late`, `noise`), empty when nothing was.
    """

    frame: bytes | None
    end: int
    fault: str = ""


Deframe = Callable[[bytes], Found]
"""Finds the awaited reply in the bytes received so far; pure, and never raises."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and the way to know its reply. `baudrate` and `framing` are the
    device's own where it differs from its line's; `timeout_ms` counts from the last
    request byte, `gap_ms` is the quiet kept on the wire before the request."""

    request: bytes
    deframe: Deframe
    timeout_ms: int
    gap_ms: int = 0
    baudrate: int | None = None
    framing: Framing | None = None


class Reply(NamedTuple):
    """The frame that answered an exchange, and when its last byte came."""

    frame: bytes
    at: Millis


Poll = Generator[Exchange, Reply, Sequence[Reading]]
"""One round of reading a device: yields exchanges, is sent each `Reply`, or has a
`DriverError` thrown in; returns the readings, bad ones where an exchange failed."""


@runtime_checkable
class Polled(Protocol):
    """A device that is asked. One round, no loop, no sleep, no port."""

    def poll(self, at: Millis) -> Poll:
        """One round that starts at `at`."""
        ...


@runtime_checkable
class Listening(Protocol):
    """A device, or a crowd behind one broker, that speaks first."""

    async def listen(self, publish: Callable[[Sequence[Reading]], None]) -> None:
        """Publishes until cancelled; raises `LineDown` when the connection is lost."""
        ...
