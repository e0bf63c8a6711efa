"""Tells the next desk of an alarm that nobody acknowledges, and gives the daily word."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

from drivers.reading import Millis
from edge.pipeline.notices import NoticeWriter
from edge.store.alarms import AlarmStore, Push
from rules.alarm import AlarmState, Condition

LOOK_S = 2.0
"""How often open alarms are looked at; escalation steps are ten seconds and more."""
LATE_MS = 6 * 3600 * 1000
"""A daily word that was missed is still given this long after its time."""


@dataclass(frozen=True, slots=True)
class Step:
    """A desk that hears of an alarm unacknowledged for `after_ms`."""

    after_ms: Millis
    desk: str


async def _nothing(_: Millis) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class DailyWord:
    """When (local time) and to which desks; `summary` makes its text, `news` what the day until then had."""

    at: time
    desks: tuple[str, ...]
    summary: Callable[[], str]
    news: Callable[[Millis], Awaitable[str]] = _nothing


class Escalator:
    """Looks at open alarms every few seconds; its pushes have stable ids, so none is made twice."""

    def __init__(
        self,
        store: AlarmStore,
        writer: NoticeWriter,
        steps: Mapping[int, Sequence[Step]],
        word: DailyWord | None,
        zone: ZoneInfo,
        clock: Callable[[], Millis],
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._writer = writer
        self._steps = steps
        self._word = word
        self._zone = zone
        self._clock = clock
        self._wake = wake
        self._done: set[tuple[str, str]] = set()
        self._last_word = ""

    async def run(self) -> None:
        """Escalates until cancelled; returns at once when nothing is configured."""
        if not self._steps and self._word is None:
            return
        while True:
            await self.look(self._clock())
            await asyncio.sleep(LOOK_S)

    async def look(self, now: Millis) -> None:
        """One look at everything that is due."""
        pushes: list[Push] = []
        if self._steps:
            for state in await self._store.occurrences(only_open=True):
                pushes.extend(self._due(state, now))
        pushes.extend(await self._daily(now))
        if pushes:
            await self._store.save([], pushes)
            self._wake()

    def _due(self, state: AlarmState, now: Millis) -> list[Push]:
        """The steps of one alarm whose time has come."""
        there = state.condition in (Condition.ACTIVE, Condition.CLEARING) or state.latched
        if state.acked or state.hidden or not there or state.raised_at is None:
            return []
        made: list[Push] = []
        for step in self._steps.get(state.priority, ()):
            key = (state.occurrence, step.desk)
            if now - state.raised_at >= step.after_ms and key not in self._done:
                self._done.add(key)
                made.extend(self._writer.escalation(state, step.desk, now))
        return made

    async def _daily(self, now: Millis) -> list[Push]:
        if self._word is None:
            return []
        local = datetime.fromtimestamp(now / 1000, UTC).astimezone(self._zone)
        due = datetime.combine(local.date(), self._word.at, self._zone)
        late_ms = (local - due).total_seconds() * 1000
        day = local.date().isoformat()
        if day == self._last_word or not 0 <= late_ms <= LATE_MS:
            return []
        self._last_word = day
        said = "；".join(part for part in (self._word.summary(), await self._word.news(now)) if part)
        return self._writer.heartbeat(self._word.desks, day, said, now)
