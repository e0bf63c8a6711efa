"""What rules do, propose and hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from drivers.reading import Millis
from edge.store.actions import ActionRecord, Arming
from edge.store.commands import Requester
from rules.intent import Lever


class Actions(Protocol):
    """What rules do; `edge.pipeline.actuator.Actuator` is one."""

    async def newest(self, limit: int, before: int | None, *, waiting: bool) -> Sequence[ActionRecord]:
        """Decisions, newest first, with ids below `before`; with `waiting` those that have not ended."""
        ...

    async def confirm(self, number: int, who: Requester) -> ActionRecord:
        """Lets a proposal out; raises NoProposal."""
        ...

    async def reject(self, number: int, who: Requester, note: str) -> ActionRecord:
        """Says no to a proposal; raises NoProposal."""
        ...

    def levers(self) -> Sequence[Lever]:
        """The points that rules or leases hold now."""
        ...

    def armings(self) -> Sequence[tuple[Arming, Millis]]:
        """How the rules of mode auto stand, and when each may be armed."""
        ...

    @property
    def acts_at_once(self) -> bool:
        """Whether rules of mode auto need no arming."""
        ...

    async def arm(self, rule: str, who: Requester, reason: str) -> Arming:
        """Asks for a rule to act by itself, or agrees; raises NotArmed."""
        ...

    async def disarm(self, rule: str, who: Requester, reason: str) -> Arming:
        """Takes a rule the right to act; raises NotArmed."""
        ...
