"""What a driver is: how it is asked, what it needs and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from drivers.line.settings import Framing
from drivers.reading import Millis, Reading, Value


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


class Exchange(NamedTuple):
    """One request and the way to know its reply. `baudrate` and `framing` are the
    device's own where it differs from its line's; `timeout_ms` counts from the last
    request byte, `gap_ms` is the quiet kept on the wire before the request. Where
    `repeatable` is false the request may be sent only once: sent again it means more.
    `ambiguous`: a late reply to another question of the same device would look like this
    one's, see `drivers.line.debts`."""

    request: bytes
    deframe: Deframe
    timeout_ms: int
    gap_ms: int = 0
    baudrate: int | None = None
    framing: Framing | None = None
    repeatable: bool = True
    ambiguous: bool = False


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


Write = Generator[Exchange, Reply, Value | None]
"""One write: yields the exchanges that carry it out and is sent their replies. Returns what
the device read back, `None` where it is not asked. Raises `Refused` when the device said no,
`NotTaken` when it holds something else, `NoReply` or `BadFrame` when nobody can tell."""


@runtime_checkable
class Writable(Protocol):
    """A device that takes values for some of its points."""

    def write(self, point: str, value: Value) -> Write:
        """The write of one value; NotWritable, before anything is sent, when the profile,
        its limits or the point's type forbid it. The exchanges are never to be repeated."""
        ...


@runtime_checkable
class Listening(Protocol):
    """A device, or a crowd behind one broker, that speaks first."""

    async def listen(self, publish: Callable[[Sequence[Reading]], None]) -> None:
        """Publishes until cancelled; raises `LineDown` when the connection is lost."""
        ...


class Overheard(NamedTuple):
    """What a device has said in one chunk of bytes. `faults` has a word for each piece of
    garbage (`crc`, `noise`, `too_long`); what is meant for another device is none."""

    readings: Sequence[Reading]
    faults: Sequence[str] = ()


@runtime_checkable
class Speaking(Protocol):
    """A device on a serial or TCP line that speaks first: a pure decoder of a stream.

    `points` are its points and their units, in order.
    """

    @property
    def points(self) -> Mapping[str, str]:
        """Point name -> unit."""
        ...

    def hear(self, data: bytes, at: Millis) -> Overheard:
        """Takes the next bytes, cut anywhere; keeps a bounded rest, and never raises."""
        ...
