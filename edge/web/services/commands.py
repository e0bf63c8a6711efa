"""The door to the field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from drivers.reading import Value
from edge.store.commands import CommandRecord, Prepared, Requester


class Commands(Protocol):
    """The one door to the field; `edge.pipeline.dispatcher.Dispatcher` is one."""

    async def prepare(self, device: str, point: str, value: Value, reason: str, who: Requester) -> Prepared:
        """Checks a command and gives the token that carries it out; raises CommandRefused."""
        ...

    async def confirm(
        self,
        token: str,
        who: Requester,
        device: str | None = None,
        point: str | None = None,
        value: Value | None = None,
    ) -> CommandRecord:
        """The command as it ended; raises CommandRefused, and then nothing was sent."""
        ...

    async def newest(self, limit: int, before: int | None) -> Sequence[CommandRecord]:
        """At most `limit` commands, newest first, with ids below `before`."""
        ...

    def unit(self, device: str, point: str) -> str:
        """A point's unit, empty for one that is not there any more."""
        ...
