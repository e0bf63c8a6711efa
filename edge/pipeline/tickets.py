"""Tokens of prepared commands: each carries out one command, once, for one user, in half a minute."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Literal

from drivers.reading import Millis, Value
from edge.store.accounts import digest
from edge.store.commands import CommandRefused
from rules.command import Command

VALID_MS = 30_000
"""A prepared command must be confirmed, and begun, within this time."""
REMEMBERED_MS = 10 * 60_000
"""So long is a used or expired token told apart from one that never was."""
MOST = 1000

Seen = tuple[str | None, str | None, Value | None]
"""Device, point and value as the user saw them; `None` for what they did not say."""


@dataclass(slots=True)
class Ticket:
    """What a token stands for: the command's id in the store, its user's key, and whether it is over."""

    id: int
    command: Command
    key: str
    spent: Literal["", "used", "expired"] = ""


class Tickets:
    """In memory, by the tokens' hashes: a restart voids them all."""

    def __init__(self) -> None:
        self._tickets: dict[str, Ticket] = {}

    def issue(self, number: int, command: Command, key: str) -> str:
        """A new token."""
        while len(self._tickets) >= MOST:
            del self._tickets[next(iter(self._tickets))]
        token = secrets.token_urlsafe(24)
        self._tickets[digest(token)] = Ticket(number, command, key)
        return token

    def find(self, token: str) -> Ticket | None:
        """What a token stands for; `None` for one that never was or is long over."""
        return self._tickets.get(digest(token)) if token else None

    def overdue(self, now: Millis) -> list[Ticket]:
        """Those that ran out since the last call, marked as spent."""
        over = [t for t in self._tickets.values() if not t.spent and now >= t.command.expires_at]
        for ticket in over:
            ticket.spent = "expired"
        self._tickets = {
            key: t for key, t in self._tickets.items() if now < t.command.expires_at + REMEMBERED_MS
        }
        return over


def check(ticket: Ticket, key: str, now: Millis, seen: Seen) -> None:
    """Whether this user may spend the ticket now for what they saw; raises CommandRefused."""
    command = ticket.command
    if ticket.key != key:
        raise CommandRefused("other_user", "somebody else prepared this command")
    if ticket.spent == "used":
        raise CommandRefused("token_used", "this token was used already")
    if ticket.spent or not command.created_at <= now < command.expires_at:
        raise CommandRefused("token_expired", f"a command is confirmed within {VALID_MS // 1000} s")
    for given, bound in zip(seen, (command.device, command.point, command.value), strict=True):
        same_type = isinstance(given, bool) == isinstance(bound, bool)
        if given is not None and (given != bound or not same_type):
            raise CommandRefused("changed_value", f"the token is for {bound!r}, not {given!r}")
