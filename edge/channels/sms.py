"""Text messages through a modem of the school's own: they need neither internet nor district."""

from __future__ import annotations

from edge.channels.channel import Notice, Undelivered
from edge.channels.modem import Modem
from edge.channels.settings import SmsSettings
from edge.channels.text import text_of

TEXT_LIMIT = 1500
"""Bytes of UTF-8; the codec cuts at its own limit of characters."""
MOST_REMEMBERED = 100


class SmsChannel:
    """Sends a notice to each number; a second try leaves out those that have it."""

    def __init__(self, name: str, settings: SmsSettings, modem: Modem, priorities: frozenset[int]) -> None:
        self.name = name
        self.priorities = priorities
        self._numbers = settings.numbers
        self._modem = modem
        self._reached: dict[str, set[str]] = {}

    async def send(self, notice: Notice) -> str:
        """Delivered when the network has taken it for every number."""
        reached = self._reached.setdefault(notice.id, set())
        while len(self._reached) > MOST_REMEMBERED:
            del self._reached[next(iter(self._reached))]
        failures: list[Undelivered] = []
        for number in self._numbers:
            if number in reached:
                continue
            try:
                await self._modem.send(number, text_of(notice, TEXT_LIMIT))
                reached.add(number)
            except Undelivered as error:
                failures.append(error)
        if failures:
            raise self._failure(failures)
        self._reached.pop(notice.id, None)
        return f"taken by the network for {len(self._numbers)}"

    def _failure(self, failures: list[Undelivered]) -> Undelivered:
        """Worth another try while any number is."""
        passing = [failure for failure in failures if not failure.final]
        waits = [f.retry_after_s for f in passing if f.retry_after_s is not None]
        detail = f"{len(failures)} of {len(self._numbers)} not reached: {(passing or failures)[0]}"
        return Undelivered(detail, final=not passing, retry_after_s=max(waits, default=None))

    async def check(self) -> None:
        """Whether a message could be sent now; raises Undelivered."""
        await self._modem.check()

    async def close(self) -> None:
        """Gives the port back."""
        self._modem.close()
