"""All levers of a site: what stands at each point, and what each point holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from drivers.reading import Millis, Value
from rules import intent as one_point
from rules.intent import Act, Intent, Lever


class Seen(NamedTuple):
    """A point's newest good value and when it was measured."""

    value: Value | None
    at: Millis | None


Present = Callable[[str, str, Millis], Seen]
"""What a point (device, point) holds as read, as of an instant."""


def lever_key(device: str, point: str, shadow: bool) -> str:
    """The name of a lever in the store."""
    return f"{device}.{point}{'~' if shadow else ''}"


class Levers:
    """`by_key` is all that is remembered; what changes is added to `changed` and `touched`: the lever's key,
    and to `touched` the occurrences that it concerns."""

    def __init__(
        self,
        kept: Sequence[Lever],
        present: Present,
        zone: ZoneInfo,
        changed: set[str],
        touched: set[str],
    ) -> None:
        self._present = present
        self._zone = zone
        self._changed = changed
        self._touched = touched
        self._held: dict[str, set[tuple[str, str]]] = {}
        self.by_key: dict[str, Lever] = {}
        for lever in kept:
            self.keep(lever)

    def at(self, device: str, point: str, *, shadow: bool) -> Lever:
        """The lever of a point; one that nothing stands at where there was none."""
        return self.by_key.get(lever_key(device, point, shadow)) or Lever(device, point, shadow)

    def standing(self, occurrence: str) -> list[tuple[Lever, Intent]]:
        """What an occurrence wants now, by point."""
        held = sorted(self._held.get(occurrence, ()))
        return [
            (self.by_key[key], one)
            for key, name in held
            for one in self.by_key[key].standing
            if one.id == name
        ]

    def holds(self, occurrence: str) -> bool:
        """Whether an occurrence wants anything."""
        return bool(self._held.get(occurrence))

    def place(self, lever: Lever, intent: Intent, now: Millis) -> None:
        """An intent comes."""
        self.keep(one_point.place(lever, intent, self.holding(lever, now)))

    def withdraw(self, lever: Lever, intent: Intent, *, restore: bool) -> None:
        """An intent goes; where it was the last one, what was found comes back if `restore`."""
        self.keep(one_point.withdraw(lever, intent, restore=restore))

    def take_over(self, device: str, point: str, value: Value, who: str, at: Millis, until: Millis) -> None:
        """A person told a point something: it stays so until then."""
        for shadow in (False, True):
            lever = self.at(device, point, shadow=shadow)
            self.keep(one_point.take_over(lever, value, who, at, until))

    def settle(self, lever: Lever, at: Millis) -> list[Act]:
        """What is over goes, and what is to be done at the point now is said."""
        for intent in lever.standing:
            if intent.until is not None and intent.until <= at:
                lever = one_point.withdraw(lever, intent, restore=True)
        day = datetime.fromtimestamp(at / 1000, self._zone).toordinal()
        settled, said = one_point.settle(lever, at, self.holding(lever, at), day)
        self.keep(settled)
        return said

    def holding(self, lever: Lever, now: Millis) -> Value | None:
        """What a point holds: as read, unless something was ordered since it was read."""
        seen = self._present(lever.device, lever.point, now)
        if lever.last_at is not None and (seen.at is None or seen.at < lever.last_at) and not lever.shadow:
            return lever.last
        return seen.value

    def keep(self, lever: Lever) -> None:
        """Remembers a lever as it is now."""
        key = lever_key(lever.device, lever.point, lever.shadow)
        before = self.by_key.get(key)
        if before == lever:
            return
        self.by_key[key] = lever
        self._changed.add(key)
        self._touched.add(key)
        if before is not None and before.standing == lever.standing:
            return
        for one in before.standing if before is not None else ():
            self._held[one.occurrence].discard((key, one.id))
            self._touched.add(one.occurrence)
        for one in lever.standing:
            self._held.setdefault(one.occurrence, set()).add((key, one.id))

    def shift(self, step: Millis) -> None:
        """Moves everything remembered, after the clock was stepped."""
        for lever in list(self.by_key.values()):
            self.keep(
                replace(
                    lever,
                    standing=tuple(_moved(one, step) for one in lever.standing),
                    last_at=None if lever.last_at is None else lever.last_at + step,
                    held_until=lever.held_until + step if lever.held_until else 0,
                    lease_until=lever.lease_until + step if lever.lease_until else 0,
                )
            )


def _moved(intent: Intent, step: Millis) -> Intent:
    return replace(
        intent, since=intent.since + step, until=None if intent.until is None else intent.until + step
    )
