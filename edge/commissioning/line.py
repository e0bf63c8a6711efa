"""A line in our own hands, for an installer's work while no gateway runs on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from drivers.errors import LineDown
from drivers.line.arbiter import Arbiter, Attached
from drivers.line.settings import FieldLine
from drivers.line.transport import Transport, transport_for
from drivers.reading import Reading
from edge.clock import now


@asynccontextmanager
async def open_line(
    line: FieldLine, devices: Sequence[Attached] = (), transport: Transport | None = None
) -> AsyncIterator[Arbiter]:
    """The line, opened and given back; `devices` are polled beside what is lent.

    Raises LineDown when it cannot be had; a serial port that somebody else holds is one.
    """
    arbiter = Arbiter(line, transport or transport_for(line), devices, _nowhere, now)
    # Joined below; a TaskGroup would wrap what the work raises.
    serving = asyncio.create_task(_serve(arbiter), name=f"line {line.id}")
    opening = asyncio.create_task(arbiter.opened.wait(), name=f"opening {line.id}")
    try:
        await asyncio.wait((serving, opening), return_when=asyncio.FIRST_COMPLETED)
        if serving.done() and (error := serving.result()) is not None:
            raise error
        yield arbiter
    finally:
        for task in (opening, serving):
            task.cancel()
        await asyncio.gather(opening, serving, return_exceptions=True)


async def _serve(arbiter: Arbiter) -> LineDown | None:
    try:
        await arbiter.run()
    except LineDown as error:
        return error  # told to whoever lends, or wanted to
    return None


def _nowhere(_: Sequence[Reading]) -> None:
    """Nobody stores what is read here."""
