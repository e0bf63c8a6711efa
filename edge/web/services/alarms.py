"""The alarm list and what people may do with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from drivers.reading import Millis
from edge.web.services.texts import Text
from rules.alarm import AlarmState
from rules.aside import Outage
from rules.report import AlarmReport


class UnknownAlarm(Exception):
    """There is no such occurrence."""


class NotAllowed(Exception):
    """The alarm is not in a state that permits this; the message says why."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One push of an alarm through one channel, and how far it came."""

    channel: str
    state: Literal["pending", "delivered", "failed"]
    at: Millis | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AlarmRecord:
    """One occurrence with what its rule says about it and the pushes it caused."""

    state: AlarmState
    title: Text
    consequence: Text | None = None
    guide: Text | None = None
    owner: str = ""
    respond_within: Millis | None = None
    deliveries: tuple[Delivery, ...] = ()


class Alarms(Protocol):
    """The alarm list and what people may do with it."""

    async def list(
        self, state: str, priority: int | None, scopes: frozenset[str] | None, limit: int, offset: int
    ) -> Sequence[AlarmRecord]:
        """Occurrences, newest first. `state` is `open` (all but normal), `all` or an ISA-18.2
        state name; `scopes`, where given, holds the scope ids wanted."""
        ...

    async def acknowledge(self, occurrence: str, user: str, note: str) -> AlarmRecord:
        """The alarm behind the acknowledgement, which is durable; raises UnknownAlarm, NotAllowed."""
        ...

    async def reset(self, occurrence: str, user: str, note: str) -> AlarmRecord:
        """The alarm behind the reset of its latch, which is durable; raises UnknownAlarm, NotAllowed."""
        ...

    async def shelve(self, occurrence: str, user: str, reason: str, until: Millis) -> AlarmRecord:
        """The alarm put aside until then, which is durable; raises UnknownAlarm, NotAllowed."""
        ...

    async def unshelve(self, occurrence: str, user: str, note: str) -> AlarmRecord:
        """The alarm taken back, which is durable; raises UnknownAlarm, NotAllowed."""
        ...

    async def out_of_service(self, device: str, user: str, order: str, until: Millis) -> None:
        """Somebody works on a device until then, by a work order: what only it is watched for calls
        nobody. Durable; raises NotAllowed."""
        ...

    async def into_service(self, device: str) -> None:
        """The work is done; durable. Raises NotAllowed for a device that is in service."""
        ...

    def outages(self) -> Sequence[Outage]:
        """The devices that are out of service."""
        ...

    async def report(self, since: Millis, until: Millis) -> AlarmReport:
        """How well the alarms raised in [since, until) served the desk."""
        ...
