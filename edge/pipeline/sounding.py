"""When a siren on a relay sounds: decided from alarms, silence and time alone; pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from drivers.reading import Millis
from edge.channels.settings import WeeklyTest
from edge.store.sirens import SirenMemory

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
TEST_WINDOW = timedelta(minutes=10)
"""A test that could not be made by then waits for the next week: a siren at an odd hour is an alarm."""


def demanded(memory: SirenMemory, loud: Collection[str], at: Millis, max_on: Millis) -> SirenMemory:
    """The memory behind one look: it sounds while `on_since` is set.

    It sounds for what is loud and not hushed, `max_on` at the longest; what had that time is
    hushed, and only another occurrence sounds again.
    """
    hushed = memory.hushed & frozenset(loud)
    calling = frozenset(loud) - hushed
    since = memory.on_since if calling else None
    if calling and since is None:
        since = at
    if since is not None and not since <= at < since + max_on:
        since, hushed = None, hushed | calling
    return replace(memory, on_since=since, hushed=hushed)


def rearmed(memory: SirenMemory, at: Millis) -> SirenMemory:
    """Another occurrence came: the time of what sounds begins anew."""
    return memory if memory.on_since is None else replace(memory, on_since=at)


def silenced(memory: SirenMemory, loud: Collection[str]) -> SirenMemory:
    """Somebody has had enough of it: what is loud now is hushed, its alarms stay."""
    return replace(memory, on_since=None, hushed=memory.hushed | frozenset(loud))


def due_test(test: WeeklyTest, zone: ZoneInfo, at: Millis, memory: SirenMemory) -> str:
    """The date of the test that is due now, empty when none is."""
    local = datetime.fromtimestamp(at / 1000, UTC).astimezone(zone)
    hour, minute = map(int, test.at.split(":"))
    due = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
    day = local.date().isoformat()
    in_time = due <= local < due + TEST_WINDOW
    return day if in_time and DAYS[local.weekday()] == test.day and memory.tested != day else ""
