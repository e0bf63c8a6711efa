"""Which channels do not get through, since when, and why; and a look at those that can be tried."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol, runtime_checkable

from drivers.reading import Millis
from edge.channels.channel import Channel, Undelivered

FAILING_MS = 10 * 60_000
"""A channel that has taken nothing for so long, though it was tried, is failing."""
LOOK_S = 600.0
"""A modem is asked this often whether it could send: its death is not found out by an emergency."""


@runtime_checkable
class Checkable(Protocol):
    """A channel that can say whether it would deliver, without a message."""

    async def check(self) -> None:
        """Raises Undelivered."""
        ...


class ChannelHealth:
    """Told of every attempt; `errors` holds the last failure of each channel that is not well."""

    def __init__(self, clock: Callable[[], Millis]) -> None:
        self._clock = clock
        self._since: dict[str, Millis] = {}
        self.errors: dict[str, str] = {}

    def restore(self, since: Mapping[str, Millis], names: Collection[str]) -> None:
        """Channels that failed for good before this start, as far as they still are."""
        for name in names & since.keys():
            self._since.setdefault(name, since[name])
            self.errors.setdefault(name, "failed before the last start")

    def failed(self, name: str, detail: str) -> None:
        """An attempt did not get through."""
        self._since.setdefault(name, self._clock())
        self.errors[name] = detail

    def worked(self, name: str) -> None:
        """An attempt got through."""
        self._since.pop(name, None)
        self.errors.pop(name, None)

    def failing(self) -> Sequence[str]:
        """Channels that have not got through for ten minutes."""
        now = self._clock()
        return [name for name, since in self._since.items() if now - since >= FAILING_MS]

    async def watch(self, channels: Sequence[Channel]) -> None:
        """Looks at channels that can be checked now and then; returns at once where there are none."""
        checkable = [channel for channel in channels if isinstance(channel, Checkable)]
        while checkable:
            for channel in checkable:
                try:
                    await channel.check()
                except Undelivered as error:
                    self.failed(channel.name, str(error))
                else:
                    self.worked(channel.name)
            await asyncio.sleep(LOOK_S)
