"""Which rules may act by themselves: after their time in shadow, when an engineer armed them.

A rule that means something else than when it was armed begins anew in shadow. With two persons
one asks, another one agrees; both stand in the audit log.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from drivers.reading import Millis
from edge.store import actions
from edge.store.accounts import Accounts
from edge.store.actions import Arming, NotArmed
from edge.store.commands import Requester
from edge.store.database import Database
from rules.meaning import meaning_of
from rules.rulebook import Rule

_CONSOLE = re.compile(r"(.+@console)-[0-9a-f]+")
LONGEST_REASON = 500


class Armoury:
    """The rules of mode auto and how each stands. With `shadow_ms` 0 all of them act."""

    def __init__(
        self,
        rules: Sequence[Rule],
        known: Sequence[Arming],
        core: Database,
        accounts: Accounts,
        clock: Callable[[], Millis],
        *,
        shadow_ms: Millis,
        two_persons: bool,
    ) -> None:
        self._core = core
        self._accounts = accounts
        self._clock = clock
        self._shadow_ms = shadow_ms
        self._two_persons = two_persons
        before = {one.rule: one for one in known}
        self._stands: dict[str, Arming] = {}
        self._new: list[Arming] = []
        for rule in rules:
            if any(placed.action.mode == "auto" for placed in rule.actions):
                self._admit(rule, before.get(rule.id))

    def _admit(self, rule: Rule, before: Arming | None) -> None:
        meaning = meaning_of(rule, {name: param.default for name, param in rule.params.items()})
        if before is None or before.meaning != meaning:
            before = Arming(rule.id, meaning, self._clock())
            self._new.append(before)
        self._stands[rule.id] = before

    @property
    def armed(self) -> frozenset[str] | None:
        """The rules whose mode auto acts; None for all."""
        if not self._shadow_ms:
            return None
        return frozenset(rule for rule, one in self._stands.items() if one.armed_at is not None)

    @property
    def stands(self) -> Mapping[str, Arming]:
        """How each rule of mode auto stands."""
        return self._stands

    def ripe_at(self, rule: str) -> Millis:
        """When a rule's time in shadow is over; KeyError for one without mode auto."""
        return self._stands[rule].shadow_since + self._shadow_ms

    async def begin(self) -> None:
        """Writes down since when new rules are in shadow."""

        def work(c: sqlite3.Connection) -> None:
            for one in self._new:
                actions.put_arming(c, one)

        await self._core.run(work)

    async def arm(self, rule: str, who: Requester, reason: str) -> Arming:
        """Asks for a rule to be armed, or agrees where another person has asked; raises NotArmed."""
        stands, now = self._find(rule, reason), self._clock()
        if stands.armed_at is not None:
            raise NotArmed("armed", f"{rule} is armed already")
        if now < self.ripe_at(rule):
            days = (self.ripe_at(rule) - now) / 86_400_000
            raise NotArmed(
                "in_shadow", f"{rule} is in shadow for another {days:.1f} days: look at what it would do"
            )
        me = person(who.name)
        if self._two_persons and stands.asked_by in ("", me):
            after = replace(stands, asked_by=me, asked_at=now, reason=reason[:LONGEST_REASON])
        else:
            after = replace(stands, armed_by=me, armed_at=now, reason=reason[:LONGEST_REASON])
        await self._keep(after, who, "rule.arm" if after.armed_at is not None else "rule.arm.ask", reason)
        return after

    async def disarm(self, rule: str, who: Requester, reason: str) -> Arming:
        """Takes a rule's right to act, at once, whoever armed it; raises NotArmed."""
        stands = self._find(rule, reason)
        after = Arming(rule, stands.meaning, stands.shadow_since, reason=reason[:LONGEST_REASON])
        await self._keep(after, who, "rule.disarm", reason)
        return after

    def _find(self, rule: str, reason: str) -> Arming:
        if rule not in self._stands:
            raise NotArmed("no_auto", f"{rule} has no action of mode auto")
        if not reason.strip():
            raise NotArmed("reason_missing", "say why")
        return self._stands[rule]

    async def _keep(self, after: Arming, who: Requester, action: str, reason: str) -> None:
        before = self._stands[after.rule]

        def work(c: sqlite3.Connection) -> None:
            actions.put_arming(c, after)
            was, now = (("armed" if one.armed_at is not None else "shadow") for one in (before, after))
            self._accounts.audit(
                c,
                who.name,
                who.source,
                action,
                f"rule:{after.rule}",
                was,
                now,
                f"ok {after.meaning}: {reason}",
            )

        await self._core.run(work)
        self._stands[after.rule] = after


def person(name: str) -> str:
    """Who somebody is: the console makes a name of its own for each command."""
    match = _CONSOLE.fullmatch(name)
    return match[1] if match else name
