"""A simulated RS-485 line behind a pseudo-terminal, under a path that stays the same.

The gateway opens the path as it would a USB adapter. A pseudo-terminal has no parity
and moves bytes at once; the speed that the gateway sets is seen, and devices answer
only at their own.
"""

from __future__ import annotations

import asyncio
import os
import termios
import tty
from pathlib import Path
from types import TracebackType
from typing import Self

from drivers.simulated.bus import Bus, Spoken
from drivers.simulated.ledger import Ledger

QUIET_S = 0.05
"""Bytes that make no frame within this time are dropped."""
_SPEEDS = {
    getattr(termios, f"B{rate}"): rate
    for rate in (300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
}


class PtyLine:
    """One line; an async context manager. `path` is what the configuration's `serial:` names."""

    def __init__(self, bus: Bus, path: Path, ledger: Ledger | None = None) -> None:
        self.bus = bus
        self.path = path
        self._ledger = ledger
        self._master = self._slave = -1
        self._pending: set[asyncio.TimerHandle] = set()
        self._quiet: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self.plug()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unplug()

    def plug(self) -> None:
        """Makes the port appear; nothing when it is there."""
        if self._master >= 0:
            return
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(self._slave))
        asyncio.get_running_loop().add_reader(self._master, self._read)

    def unplug(self) -> None:
        """Pulls the adapter: the path vanishes and whoever holds the port sees a hang-up."""
        if self._master < 0:
            return
        asyncio.get_running_loop().remove_reader(self._master)
        for handle in (*self._pending, self._quiet):
            if handle is not None:
                handle.cancel()
        self._pending.clear()
        self.bus.quiet()
        self.path.unlink(missing_ok=True)
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = -1

    def say(self, spoken: Spoken) -> None:
        """A device speaks by itself; lost where the adapter is unplugged."""
        if self._master >= 0:
            self._write(spoken)

    def _read(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except (BlockingIOError, OSError):  # the gateway closed its end; ours stays open
            return
        if self._quiet is not None:
            self._quiet.cancel()
        loop = asyncio.get_running_loop()
        self._quiet = loop.call_later(QUIET_S, self.bus.quiet)
        for spoken in self.bus.receive(data, self._baudrate()):
            self._later(loop, spoken)

    def _later(self, loop: asyncio.AbstractEventLoop, spoken: Spoken) -> None:
        def send() -> None:
            self._pending.discard(handle)
            self._write(spoken)

        handle = loop.call_later(spoken.delay_s, send)
        self._pending.add(handle)

    def _write(self, spoken: Spoken) -> None:
        try:
            written = os.write(self._master, spoken.data)
        except BlockingIOError:  # nobody reads the port and its buffer is full: lost, as on a wire
            return
        if self._ledger is not None and written == len(spoken.data):
            self._ledger.record(spoken.device, spoken.values)

    def _baudrate(self) -> int | None:
        return _SPEEDS.get(termios.tcgetattr(self._slave)[5])
