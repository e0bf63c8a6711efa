"""Learns baselines from the store once a day, and gives them to the rules.

The store is read through its helper process, the arithmetic is done in a worker thread: the loop
waits for neither.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from drivers.reading import Millis, Quality
from edge.config.configuration import Configuration, site_info
from edge.store.database import Database
from edge.store.findings import FindingStore
from edge.store.readings import ReadingStore
from edge.store.samples import Sample
from rules.baseline import HOUR_MS, Baseline, BaselineKey, lesson_of, newest_lesson
from rules.engine import Engine
from rules.learning import QUARTER_MS, History, Quarter, daily_means, learn, since
from rules.timetable import Calendar

_LOG = logging.getLogger(__name__)

LATE_MS: Millis = 10 * 60_000
"""So long after its time a lesson waits for readings that are on their way to the store."""
AGAIN_MS: Millis = 30 * 60_000
"""A lesson that the store refused is tried again after so long."""
MOST = 50_000


class Learner:
    """Keeps the engine's baselines fresh. `failed` says why the last lesson was incomplete, if it was."""

    def __init__(
        self,
        engine: Engine,
        store: ReadingStore,
        kept: FindingStore,
        configuration: Configuration,
        clock: Callable[[], Millis],
    ) -> None:
        self._engine = engine
        self._store = store
        self.kept = kept
        self._site = site = site_info(configuration)
        self._calendar = configuration.calendar or Calendar()
        self._zone = ZoneInfo(site.timezone)
        self._clock = clock
        self._units = {one.id: one.points for one in site.devices}
        self.failed = ""

    async def load(self) -> None:
        """What former runs learned comes into force; before the engine's first call."""
        self._engine.learn(await self.kept.baselines())

    async def run(self) -> None:
        """Learns until cancelled."""
        while True:
            await self.step(self._clock())
            await asyncio.sleep(self._pause_s(self._clock()))

    def _pause_s(self, now: Millis) -> float:
        if self.failed:
            return AGAIN_MS / 1000
        tomorrow = newest_lesson(now - LATE_MS, self._zone) + timedelta(days=1)
        return max(60.0, (lesson_of(tomorrow, self._zone).learned + LATE_MS - now) / 1000)

    async def step(self, now: Millis) -> list[Baseline]:
        """Learns what of the newest lesson is not known yet; gives what was learned."""
        day = newest_lesson(now - LATE_MS, self._zone)
        holds = lesson_of(day, self._zone).since
        known = {one.key: one.since for one in await self.kept.baselines()}
        wanted = [key for key in self._engine.wanted() if known.get(key, 0) < holds]
        outdoor: Mapping[date, float] = {}
        self.failed = ""
        learned: list[Baseline] = []
        try:
            if any(key.name.startswith("degree_day") for key in wanted):
                outdoor = await self._weather(day)
            for key in wanted:
                history = await self._history(key, day, outdoor)
                learned.append(await asyncio.to_thread(learn, key, day, history, self._calendar, self._zone))
            if learned:
                await self.kept.keep(learned)
        except sqlite3.OperationalError as error:  # no disk, or the helper failed: older baselines go on
            self.failed = str(error)
            _LOG.warning("baselines are not learned yet: %s", error)
        self._engine.learn(learned)
        weak = sum(bool(one.weak) for one in learned)
        if learned:
            _LOG.info("%d baselines learned of %s, %d of them weak", len(learned), day, weak)
        return learned

    async def _history(self, key: BaselineKey, day: date, outdoor: Mapping[date, float]) -> History:
        times = lesson_of(day, self._zone)
        begin = since(key.name, day, self._zone) // QUARTER_MS * QUARTER_MS
        samples = await self._store.history(
            key.device, key.point, begin, times.learned, step=QUARTER_MS, aggregate="last", limit=MOST
        )
        quarters = [Quarter(at, value) for at, value in _numbers(samples)]
        return History(self._units.get(key.device, {}).get(key.point, ""), quarters, outdoor)

    async def _weather(self, day: date) -> Mapping[date, float]:
        source = self._site.outdoor
        if source is None:
            return {}
        begin = since("degree_day_12m", day, self._zone) // HOUR_MS * HOUR_MS
        samples = await self._store.history(
            source[0], source[1], begin, lesson_of(day, self._zone).learned,
            step=HOUR_MS, aggregate="mean", limit=MOST,
        )  # fmt: skip
        return daily_means(_numbers(samples), self._zone)


async def learner_of(
    engine: Engine,
    store: ReadingStore,
    core: Database,
    configuration: Configuration,
    clock: Callable[[], Millis],
) -> Learner:
    """A learner over the core file; what former runs learned is in force."""
    learner = Learner(engine, store, FindingStore(core), configuration, clock)
    await learner.load()
    return learner


def _numbers(samples: list[Sample]) -> list[tuple[Millis, float]]:
    return [
        (one.at, float(one.value))
        for one in samples
        if one.quality is Quality.GOOD and one.value is not None and not isinstance(one.value, str)
    ]
