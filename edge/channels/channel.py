"""What a way to tell a person is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from drivers.reading import Millis, Value


@dataclass(frozen=True, slots=True)
class Notice:
    """What a person is told about one occurrence. Texts are in the site's language."""

    id: str
    """Idempotency key: the same for every try and after a restart."""
    change: str  # raised | cleared | escalated | digest | heartbeat
    occurrence: str
    rule: str
    priority: int
    title: str
    place: str
    message: str
    guide: str
    site: str
    device: str
    point: str
    value: Value | None
    unit: str
    at: Millis
    when: str
    """`at` in the site's local time, for people."""


class Undelivered(Exception):
    """The channel did not take the notice. `retry_after_s` is the provider's own wish;
    `final` means that trying again cannot help."""

    def __init__(self, detail: str, *, final: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.final = final
        self.retry_after_s = retry_after_s


class Channel(Protocol):
    """Delivers one notice, or raises `Undelivered`; success means that the receiver said so."""

    name: str
    priorities: frozenset[int]

    async def send(self, notice: Notice) -> str:
        """Sends; returns what the receiver answered, in a few words."""
        ...

    async def close(self) -> None:
        """Frees connections."""
        ...
