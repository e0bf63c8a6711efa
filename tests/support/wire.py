"""An emulated RS-485 wire: it knows byte time, baud rate and framing, and a device on it
answers only what reaches it at its own speed. A pty can show none of this."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from drivers.line.settings import Framing
from drivers.line.transport import Lost, Receive

Answer = Callable[[bytes], bytes | None]
"""A device's reply to a request, `None` when it is not addressed."""


@dataclass
class WireDevice:
    """A device with its speed and turn-round; `dead` devices stay silent."""

    answer: Answer
    baudrate: int = 9600
    framing: Framing = Framing.F8N1
    turn_round_s: float = 0.020
    dead: bool = False


@dataclass
class EmulatedWire:
    """A transport over simulated time; `spoil` may change what comes back."""

    devices: list[WireDevice]
    spoil: Callable[[bytes], bytes] = lambda data: data
    echo: bool = False
    speed: tuple[int, Framing] = (9600, Framing.F8N1)
    sent: list[tuple[float, bytes]] = field(default_factory=list)
    busy_s: float = 0.0
    _receive: Receive | None = None
    _lost: Lost | None = None

    async def open(self, receive: Receive, lost: Lost) -> None:
        self._receive, self._lost = receive, lost

    def configure(self, baudrate: int, framing: Framing) -> None:
        self.speed = (baudrate, framing)

    def write(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        baudrate, framing = self.speed
        took = len(data) * framing.bits / baudrate
        self.sent.append((loop.time(), data))
        self.busy_s += took
        if self.echo:
            loop.call_later(took, self._deliver, data)
        for device in self.devices:
            if device.dead or (device.baudrate, device.framing) != (baudrate, framing):
                continue
            reply = device.answer(data)
            if reply is not None:
                back = len(reply) * framing.bits / baudrate
                self.busy_s += device.turn_round_s + back
                loop.call_later(took + device.turn_round_s + back, self._deliver, self.spoil(reply))

    def _deliver(self, data: bytes) -> None:
        if self._receive is not None and data:
            self._receive(data)

    def lose(self, reason: str) -> None:
        """Pulls the plug."""
        assert self._lost is not None
        self._lost(reason)

    def close(self) -> None:
        self._receive = None
