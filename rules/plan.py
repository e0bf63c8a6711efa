"""What an alarm's actions are up to: those still to come, those that wait for a person, those to be
taken back one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from drivers.reading import Millis
from drivers.vocabulary import CommandSpec
from rules.action import Placed
from rules.intent import Intent


class Target(NamedTuple):
    """One point that a command writes."""

    device: str
    point: str


class Equipped(NamedTuple):
    """One action of a rule on one scope: its points there, and the marks of the room that forbid it."""

    placed: Placed
    verb: CommandSpec
    targets: tuple[Target, ...]
    barred: tuple[str, ...] = ()


class Equipment(NamedTuple):
    """All actions of a rule on one scope. `meaning` changes when the rule or its actions do."""

    meaning: str
    actions: tuple[Equipped, ...]
    stagger_ms: Millis = 0
    reverse: bool = True
    latch: bool = False


Key = tuple[str, str]
"""A rule and a scope."""
Equipments = Mapping[Key, Equipment]


@dataclass(frozen=True, slots=True)
class Proposal:
    """An intent that waits for a person's yes."""

    intent: Intent
    expires_at: Millis


@dataclass(frozen=True, slots=True)
class Plan:
    """One occurrence of an alarm. `waiting` holds number and time of the actions still to come,
    `blocked` those of them that an interlock stops, `leaving` time and intent of what is taken
    back later; `locks` are the interlocks that hold. `ended`: the alarm is over."""

    rule: str
    scope: str
    occurrence: str
    meaning: str
    stagger_ms: Millis = 0
    reverse: bool = True
    locks: tuple[str, ...] = ()
    waiting: tuple[tuple[int, Millis], ...] = ()
    blocked: tuple[int, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    leaving: tuple[tuple[Millis, str], ...] = ()
    ended: bool = False

    def due(self) -> Millis | None:
        """When time alone changes something next."""
        times = [when for number, when in self.waiting if number not in self.blocked]
        times += [when for when, _ in self.leaving]
        times += [one.expires_at for one in self.proposals]
        return min(times, default=None)

    @property
    def empty(self) -> bool:
        """Whether nothing is left to come of it, but for what stands at the points."""
        return self.ended and not (self.waiting or self.proposals or self.leaving)
