"""The virtual school's days in virtual time, through the gateway's own screen, bus, store and rule
engine, killed again and again; then a backtest over what is left in its data folder."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from drivers.reading import Millis, Quality, Reading
from drivers.simulated.physics import School
from drivers.simulated.signals import signal
from drivers.simulated.spaces import Space
from drivers.simulated.timetable import clock
from edge.agent import CORE_MIGRATIONS
from edge.assembly import sources
from edge.bus import Overflow, ReadingBus, Subscription
from edge.config.configuration import Configuration, site_info
from edge.config.load import load
from edge.config.resources import builtin_configs
from edge.pipeline.collector import Collector
from edge.pipeline.screen import Screening, screen_of
from edge.store import registers
from edge.store.alarms import AlarmStore
from edge.store.database import Database
from edge.store.moments import MIGRATIONS
from edge.store.readings import ReadingStore
from edge.warmup import warm_up
from rules.alarm import Transition
from rules.engine import Engine
from rules.rehearsal import LATENESS_MS

START: Millis = 1_788_822_000_000
"""2026-09-08 07:00 in Shanghai, a Tuesday."""
ROUND_MS: Millis = 60_000
GROUP_MS: Millis = 5_000


def configure(folder: Path) -> Configuration:
    """The demo's school, read once a minute, under the shipped rules but those that learn from weeks."""
    text = (builtin_configs() / "demo.yaml").read_text(encoding="utf-8")
    text = re.sub(r"every: \d+m?s", "every: 60s", text)
    text = text.replace("rules: [demo/rules.yaml]", "rules: [rules/*.yaml]")
    path = folder / "school.yaml"
    path.write_text(text, encoding="utf-8")
    found = load(path)
    return replace(found, rules=tuple(rule for rule in found.rules if "baseline:" not in rule.core))


class World:
    """The school's physics, and what its devices would say."""

    def __init__(self, configuration: Configuration, chance: random.Random) -> None:
        settings = configuration.settings
        spaces = [
            Space(s.id, s.kind, s.parent or "", s.area_m2 or 0.0, s.seats or 0) for s in settings.spaces
        ]
        self._chance = chance
        self.school = School(spaces, 1, clock(7))
        self._signals = [
            (
                name,
                [
                    (p, spec, signal(self.school, name, m.kind, m.space, p, spec))
                    for p, spec in m.points.items()
                ],
            )
            for name, m in configuration.devices.items()
        ]
        self._dead: dict[str, Millis] = {}
        self.school.warm_up()

    def minute(self, at: Millis) -> list[list[Reading]]:
        """One round, device after device in the order of arrival; some devices are dead for a while."""
        self.school.advance(ROUND_MS / 1000)
        found = []
        for number, (device, points) in enumerate(self._signals):
            measured = at + number * 1_200 + self._chance.randrange(300)
            if self._chance.random() < 0.0008:
                self._dead[device] = measured + self._chance.randrange(4, 40) * 60_000
            dead = measured < self._dead.get(device, 0)
            came = measured + self._chance.randrange(400)
            found.append([
                Reading(device, point, None, spec.unit, measured, came, Quality.BAD, "timeout")
                if dead or (value := said()) is None
                else Reading(device, point, value, spec.unit, measured, came)
                for point, spec, said in points
            ])  # fmt: skip
        return found


@dataclass
class Life:
    """The gateway between two kills."""

    collector: Collector
    stored: Subscription
    judged: Subscription
    engine: Engine
    held: list[Transition]
    group: list[Reading]
    group_since: Millis = 0


class LiveSchool:
    """Runs a stretch of days; what it knows survives in `data` only."""

    def __init__(self, configuration: Configuration, data: Path, seed: int) -> None:
        self._configuration = configuration
        self._data = data
        self._chance = random.Random(seed)
        self._world = World(configuration, self._chance)
        self.now = START
        self.lost = 0

    async def run(self, minutes: int, kills: int) -> None:
        """So many rounds, with so many kills at random moments."""
        self._data.mkdir()
        devices = len(self._configuration.devices)
        deaths = set(self._chance.sample(range(devices, minutes * devices), kills))
        async with AsyncExitStack() as stack:
            core, telemetry = [
                Database(self._data / name, migrations)
                for name, migrations in (("core.db", CORE_MIGRATIONS), ("telemetry.db", MIGRATIONS))
            ]
            for database in (core, telemetry):
                await database.open()
                stack.push_async_callback(database.close)
            life = await self._begin(core, telemetry)
            for minute in range(minutes):
                for number, readings in enumerate(self._world.minute(START + minute * ROUND_MS)):
                    if readings[0].received_at < self.now:
                        continue  # the gateway was not there
                    await self._take(life, readings)
                    if minute * devices + number in deaths:
                        self.lost += len(life.group)
                        self.now += self._chance.randrange(2_000, 40_000)
                        life = await self._begin(core, telemetry)
            await self._commit(life)
            await self._save(life)
            await self._store.close()

    async def _begin(self, core: Database, telemetry: Database) -> Life:
        """A start, by what the two files hold."""
        configuration = self._configuration
        self._store = ReadingStore(telemetry, sources(configuration))
        await self._store.load()
        self._alarms = AlarmStore(core)
        known = registers.RegisterStore(core)
        screening = Screening(screen_of(configuration, await known.load()), known, lambda: self.now)
        bus = ReadingBus()
        stored, judged = (
            bus.subscribe(name, limit=100_000, overflow=Overflow.WAIT) for name in ("store", "rules")
        )
        engine = Engine(
            configuration.rules, site_info(configuration), configuration.calendar,
            await self._alarms.states(), lateness_ms=LATENESS_MS,
        )  # fmt: skip
        await warm_up(self._store, engine, self.now)
        return Life(Collector(bus, screening), stored, judged, engine, [], [], self.now)

    async def _take(self, life: Life, readings: Sequence[Reading]) -> None:
        """A device's round comes in; what was due before comes before."""
        came = max(reading.received_at for reading in readings)
        while (due := life.engine.next_due()) is not None and due < came:
            self.now = max(self.now, due + self._chance.randrange(20))
            if self.now >= came:
                break
            await self._hear(life, life.engine.tick(self.now))
        self.now = max(self.now, came)
        life.collector.collect(readings)
        await life.collector.flush()
        batch = await life.judged.get()
        await self._hear(life, life.engine.evaluate(batch, max(r.received_at for r in batch)))
        life.group += await life.stored.get()
        if self.now - life.group_since >= GROUP_MS:
            await self._commit(life)

    async def _hear(self, life: Life, said: Sequence[Transition]) -> None:
        """As the evaluator: what a person hears of is durable at once, the rest within a second."""
        life.held += said
        if any(transition.notify for transition in said) or (life.held and self.now - life.held[0].at > 1000):
            await self._save(life)

    async def _save(self, life: Life) -> None:
        held, life.held = life.held, []
        if held:
            await self._alarms.save(held)

    async def _commit(self, life: Life) -> None:
        group, life.group = life.group, []
        life.group_since = self.now
        if group:
            await self._store.append(group, self.now)
