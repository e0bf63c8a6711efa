"""What rules want of one point, and which of it holds: a priority array for each point (BACnet).

The strongest standing intent has its way; when it goes the next one has, and when all are gone
what was found before comes back. A person who told the point something keeps it for a while
(the lease), whatever rules want. All functions are pure and give new levers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from drivers.reading import Millis, Value

FREE_PRIO = 5
"""Up to this priority an intent breaks minimum times (BACnet: level 6 guards them)."""

Undo = Literal["on_clear", "on_reset", "never", "after"]


@dataclass(frozen=True, slots=True)
class Intent:
    """One action of one occurrence on one point; `until` is when it ends by itself.

    `number` is the action's within its rule, `person` whoever let it out (empty: nobody had to).
    """

    id: str
    rule: str
    scope: str
    occurrence: str
    number: int
    cmd: str
    device: str
    point: str
    value: Value
    prio: int
    since: Millis
    until: Millis | None = None
    undo: Undo = "on_clear"
    min_on_ms: Millis = 0
    min_off_ms: Millis = 0
    max_per_day: int | None = None
    unless: tuple[str, ...] = ()
    staged: bool = False
    person: str = ""

    @property
    def action(self) -> str:
        """The action of the rule that it comes from, on all scopes."""
        return f"{self.rule}#{self.number}"


class ActKind(StrEnum):
    """What became of an intent."""

    ADVISED = "advised"  # a person should do it
    PROPOSED = "proposed"  # it waits for a person's yes
    ORDERED = "ordered"  # it is to be sent
    SHADOWED = "shadowed"  # it would be sent, were the rule armed
    SPARED = "spared"  # the point holds it already
    BLOCKED = "blocked"  # an interlock forbids it for now
    REFUSED = "refused"  # it will not be: too often today, nothing to start from
    WITHDRAWN = "withdrawn"  # an interlock came, or the rule was disarmed
    KEPT = "kept"  # nothing is known that could come back
    EXPIRED = "expired"  # nobody said yes while the alarm stood


@dataclass(frozen=True, slots=True)
class Act:
    """One decision. `restores` is true where the point goes back; `key` names it for good."""

    kind: ActKind
    at: Millis
    intent: Intent
    value: Value
    restores: bool = False
    detail: str = ""
    expires_at: Millis | None = None

    @property
    def key(self) -> str:
        """Stable over restarts, so that a decision is carried out once."""
        return f"{self.intent.id}@{self.at}{'r' if self.restores else ''}:{self.kind}"


@dataclass(frozen=True, slots=True)
class Lever:
    """One point: the standing intents, the strongest first, and what they found there.

    `placed` is what was last ordered while any stands, `last` and `last_at` what was ever; `leaving`
    is the last one that went and still owes what was found. `held_until` guards minimum times.
    `counts` holds action, local day (ordinal) and how often.
    """

    device: str
    point: str
    shadow: bool = False
    standing: tuple[Intent, ...] = ()
    leaving: Intent | None = None
    found: Value | None = None
    placed: Value | None = None
    last: Value | None = None
    last_at: Millis | None = None
    held_until: Millis = 0
    lease_until: Millis = 0
    lease_by: str = ""
    counts: tuple[tuple[str, int, int], ...] = ()

    @property
    def top(self) -> Intent | None:
        """Whose turn it is: the strongest that stands, else the one that owes what was found."""
        return self.standing[0] if self.standing else self.leaving

    @property
    def wanted(self) -> Value | None:
        """What should be there; None when nobody wants anything, or nothing is known."""
        if self.standing:
            return self.standing[0].value
        if self.leaving is None:
            return None
        if self.found is None and isinstance(self.leaving.value, bool):
            return not self.leaving.value
        return self.found

    def due(self, now: Millis) -> Millis | None:
        """When time alone changes something next."""
        times = [one.until for one in self.standing if one.until is not None]
        if self.lease_until > now:
            times.append(self.lease_until)
        elif self.held_until > now and self.top is not None and self.placed != self.wanted:
            times.append(self.held_until)
        return min(times, default=None)

    def used(self, action: str, day: int) -> int:
        """How often an action was ordered here on a day."""
        return sum(n for name, when, n in self.counts if name == action and when == day)


def place(lever: Lever, intent: Intent, present: Value | None) -> Lever:
    """An intent comes; what is there before the first one is remembered."""
    if not lever.standing and lever.leaving is None:
        lever = replace(lever, found=present, placed=None)
    standing = sorted((*lever.standing, intent), key=lambda one: (one.prio, one.since, one.id))
    return replace(lever, standing=tuple(standing), leaving=None)


def withdraw(lever: Lever, intent: Intent, *, restore: bool) -> Lever:
    """An intent goes; where it was the last one, what was found is owed if `restore`."""
    standing = tuple(one for one in lever.standing if one.id != intent.id)
    if len(standing) == len(lever.standing):
        return lever
    leaving = intent if restore and not standing and lever.placed is not None else None
    return replace(lever, standing=standing, leaving=leaving)


def take_over(lever: Lever, value: Value, who: str, at: Millis, until: Millis) -> Lever:
    """A person told the point something: it stays so until then, and is what rules find."""
    return replace(
        lever,
        found=value,
        placed=value,
        last=value,
        last_at=at,
        leaving=None,
        lease_until=until,
        lease_by=who,
    )


def settle(lever: Lever, at: Millis, present: Value | None, day: int) -> tuple[Lever, list[Act]]:
    """What is to be done at a point now, and the point behind it."""
    said: list[Act] = []
    while at >= lever.lease_until:
        intent, value = lever.top, lever.wanted
        if intent is None:
            return _idle(lever), said
        restores = not lever.standing
        if value is None:
            said.append(Act(ActKind.KEPT, at, intent, intent.value, restores=True, detail="before: unknown"))
            lever = replace(lever, leaving=None)
            continue
        have = present if lever.placed is None else lever.placed
        if have == value:
            if lever.placed is None:
                said.append(Act(ActKind.SPARED, at, intent, value))
                lever = replace(lever, placed=value)
            if not restores:
                return lever, said
            lever = replace(lever, leaving=None)
            continue
        if at < lever.held_until and intent.prio > FREE_PRIO:
            return lever, said
        if not restores and _spent(lever, intent, day):
            detail = f"{intent.max_per_day} times today already"
            said.append(Act(ActKind.REFUSED, at, intent, value, detail=detail))
            lever = withdraw(lever, intent, restore=True)
            continue
        lever, act = _order(lever, intent, value, at, day, restores=restores)
        said.append(act)
    return lever, said


def _spent(lever: Lever, intent: Intent, day: int) -> bool:
    return intent.max_per_day is not None and lever.used(intent.action, day) >= intent.max_per_day


def _order(
    lever: Lever, intent: Intent, value: Value, at: Millis, day: int, *, restores: bool
) -> tuple[Lever, Act]:
    # Two orders at one point in one millisecond still need two names.
    stamp = at if lever.last_at is None else max(at, lever.last_at + 1)
    on = value if isinstance(value, bool) else not restores
    least = intent.min_on_ms if on else intent.min_off_ms
    counts = lever.counts
    if not restores:
        today = tuple(one for one in counts if one[1] == day and one[0] != intent.action)
        counts = (*today, (intent.action, day, lever.used(intent.action, day) + 1))
    ordered = replace(
        lever,
        placed=value,
        last=value,
        last_at=stamp,
        held_until=stamp + least if least else 0,
        leaving=None if restores else lever.leaving,
        counts=counts,
    )
    kind = ActKind.SHADOWED if lever.shadow else ActKind.ORDERED
    return ordered, Act(kind, stamp, intent, value, restores=restores)


def _idle(lever: Lever) -> Lever:
    """Nobody wants anything: what was found is no longer known."""
    return replace(lever, found=None, placed=None, lease_until=0, lease_by="")
