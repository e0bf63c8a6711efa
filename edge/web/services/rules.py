"""The rules as they stand, and as they stood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from drivers.reading import Millis
from rules.binding import Coverage
from rules.explanation import Explanation


class RuleBook(Protocol):
    """The rules as bound to this school; `rules.engine.Engine` is one."""

    def coverage(self) -> Sequence[Coverage]:
        """Where each rule is in force, and where it cannot be and why."""
        ...

    def explain(self, rule: str, scope: str) -> Explanation:
        """Why one instance stands as it does; KeyError when there is none."""
        ...


class NoHindsight(Exception):
    """The past could not be played; the message says why."""


class Past(Protocol):
    """How rules stood; `edge.hindsight.Hindsight` is one."""

    async def explain(self, rule: str, scope: str, at: Millis) -> bytes:
        """The explanation of one instance as it stood, as JSON. Raises KeyError and NoHindsight."""
        ...
