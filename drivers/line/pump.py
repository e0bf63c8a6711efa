"""Runs a generator of waits straight from the event loop's callbacks.

    bytes came, somebody calls, time is up  ->  step  ->  the generator goes on  ->  its next wait

A task would need a future, a turn of the loop and a chain of coroutines for each wait; at
hundreds of exchanges a second that is a third of what a line costs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import NoReturn, TypeVar

from drivers.errors import DriverError

T = TypeVar("T")

Waits = Generator[float, bool, T]
"""Work that yields the time (of the loop's clock) until which it waits, and is sent whether
that time has come; False when it was woken before."""


class Pump:
    """Drives one piece of work at a time."""

    def __init__(self) -> None:
        self._work: Waits[NoReturn] | None = None
        self._ended: asyncio.Future[NoReturn] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._runs = False
        self._woken = False

    async def run(self, work: Waits[NoReturn]) -> None:
        """Runs work that never returns, and closes it when cancelled; raises what it raises."""
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._woken = False
        try:
            self._work = work
            self._begin(work, self._loop)
            await self._ended
        finally:
            self._work = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            work.close()

    def _begin(self, work: Waits[NoReturn], loop: asyncio.AbstractEventLoop) -> None:
        self._runs = True
        try:
            self._timer = loop.call_at(next(work), self._rang)
        finally:
            self._runs = False
        if self._woken:
            self.wake()

    def wake(self) -> None:
        """Lets the work go on before its time; called by itself, when it next waits."""
        if self._runs:
            self._woken = True
        elif self._work is not None:
            if self._timer is not None:
                self._timer.cancel()
            self._step(self._work, False)

    def _rang(self) -> None:
        if self._work is not None:
            self._step(self._work, True)

    def _step(self, work: Waits[NoReturn], rang: bool) -> None:
        """One stretch of work. A DriverError ends it; anything else is a fault of ours, which the
        loop is told too."""
        loop, ended = self._loop, self._ended
        assert loop is not None and ended is not None  # noqa: S101  # there is work
        self._runs = True
        try:
            until = work.send(rang)
            while self._woken:
                self._woken = False
                until = work.send(False)
            self._timer = loop.call_at(until, self._rang)
        except DriverError as error:
            self._work = None
            if not ended.done():
                ended.set_exception(error)
        except BaseException as error:
            self._work = None
            if not ended.done():
                ended.set_exception(error)
            raise
        finally:
            self._runs = False
