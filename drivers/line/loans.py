"""Exchanges for which somebody borrows a line, between two of its regular ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from drivers.contract import Exchange, Reply
from drivers.errors import DriverError, LineBusy
from drivers.line.counters import DeviceCounters
from drivers.line.schedule import Rank

MOST_WAITING = 16
"""Loans that may wait for one line; a person or a rule that wants more is told so."""

T = TypeVar("T")


class Loan(Generic[T]):
    """One borrowed conversation: its generator, the exchange it waits for and its outcome.

    `id` and `counters` stand for the device it speaks with, as in a regular round.
    """

    def __init__(
        self, work: Generator[Exchange, Reply, T], rank: Rank, name: str, counters: DeviceCounters
    ) -> None:
        self.id = name
        self.counters = counters
        self.rank = rank
        self.done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.exchange: Exchange | None = None
        self._work = work

    def begin(self) -> None:
        """Runs the generator to its first exchange, or to its end."""
        self._step(lambda: next(self._work))

    def answer(self, reply: Reply) -> None:
        """Hands the reply in; the next exchange stands in `exchange`, `None` at the end."""
        self._step(lambda: self._work.send(reply))

    def fail(self, error: DriverError) -> None:
        """Throws the error in; the generator may go on, answer or let it through."""
        self._step(lambda: self._work.throw(error))

    def _step(self, step: Callable[[], Exchange]) -> None:
        self.exchange = None
        if self.done.done():  # the borrower has gone
            return
        try:
            self.exchange = step()
        except StopIteration as stop:
            self.done.set_result(stop.value)
        except DriverError as error:
            self.done.set_exception(error)


class Loans:
    """Those that wait, first come first served within a rank."""

    def __init__(self) -> None:
        self._waiting: list[Loan[Any]] = []
        self._owes = False

    @property
    def waiting(self) -> bool:
        """Whether anybody may want the line."""
        return bool(self._waiting)

    def add(self, loan: Loan[Any]) -> None:
        """One more; LineBusy when too many wait."""
        self._waiting = [one for one in self._waiting if not one.done.done()]
        if len(self._waiting) >= MOST_WAITING:
            raise LineBusy(f"{loan.id}: {MOST_WAITING} others wait for this line already")
        self._waiting.append(loan)

    def pick(self, urgent: Callable[[Rank], bool]) -> Loan[Any] | None:
        """The loan to serve now. A command goes first whatever waits; any other takes turns
        with the devices, and lets those pass of whom `urgent` says that they are due and
        rank above it."""
        self._waiting = [one for one in self._waiting if not one.done.done()]
        if not self._waiting:
            return None
        first = min(self._waiting, key=lambda loan: loan.rank)  # min keeps the order within a rank
        if first.rank is Rank.COMMAND:
            return first
        if urgent(Rank.PROBE if self._owes else first.rank):
            return None
        self._owes = True
        return first

    def passed(self, rank: Rank) -> None:
        """A device of that rank had its exchange."""
        if rank >= Rank.NORMAL:
            self._owes = False

    def fail_all(self, error: DriverError) -> None:
        """The line is gone: everybody who waits is told."""
        waiting, self._waiting = self._waiting, []
        for loan in waiting:
            loan.fail(error)
            if not loan.done.done():  # it would like to go on, but there is no line
                loan.done.set_exception(error)
