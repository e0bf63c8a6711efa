"""What the composition root builds from a configuration: lines, sources, notices, escalation."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from drivers.line.arbiter import Arbiter, Attached
from drivers.line.listener import Listener, Speaker
from drivers.line.schedule import Rank
from drivers.line.settings import SerialLine, TcpLine
from drivers.line.transport import transport_for
from drivers.mqtt.device import DeviceSlot
from drivers.mqtt.profile import MqttProfile
from drivers.mqtt.settings import MqttDevice, MqttLine
from drivers.reading import Millis, Quality, Value
from drivers.registry import build_polled, build_speaking
from drivers.settings import millis
from edge import clock
from edge.channels.route import Route
from edge.config.configuration import Configuration
from edge.config.secrets import resolve_secret
from edge.finding_desk import FindingDesk
from edge.pipeline.collector import Collector
from edge.pipeline.daily_news import DailyNews, Titles
from edge.pipeline.desk_watch import DeskWatch
from edge.pipeline.dispatcher import Dispatcher
from edge.pipeline.escalator import DailyWord, Escalator, Step
from edge.pipeline.live import Latest
from edge.pipeline.notices import NoticeWriter, RuleTexts
from edge.pipeline.notifier import Notifier
from edge.pipeline.outlets import Outlet
from edge.pipeline.sirens import Sirens, sirens_of
from edge.store import alarms
from edge.store.accounts import Accounts
from edge.store.database import Database
from edge.store.findings import FindingStore
from edge.store.moments import Shape, Source
from edge.supervisor import Supervisor
from rules.engine import Engine
from rules.rulebook import Rule

if TYPE_CHECKING:
    from drivers.mqtt.broker import MqttBroker

_LOG = logging.getLogger(__name__)


def sources(configuration: Configuration) -> list[Source]:
    """The devices with their points, as the store files them; what devices of a model share is made once."""
    models = {id(model.points): model.points for model in configuration.devices.values()}
    shapes = {
        model: tuple(Shape(point, spec.unit, spec.type) for point, spec in points.items())
        for model, points in models.items()
    }
    return [
        Source(device, model.kind, model.space, model.building, shapes[id(model.points)])
        for device, model in configuration.devices.items()
    ]


def arbiters_of(configuration: Configuration, collector: Collector, now: clock.Clock) -> list[Arbiter]:
    """One arbiter for each line whose devices are asked."""
    made = []
    for line in configuration.settings.lines:
        if not isinstance(line, SerialLine | TcpLine):
            continue
        attached = [
            Attached(
                device,
                build_polled(model.settings, model.profile, model.points, line),
                model.settings.every.total_seconds(),
                Rank.EMERGENCY if model.settings.priority == "emergency" else Rank.NORMAL,
            )
            for device, model in configuration.devices.items()
            if model.settings.line == line.id and not model.profile.speaks_first
        ]
        if attached:
            made.append(Arbiter(line, transport_for(line), attached, collector.collect, now))
    return made


def listeners_of(configuration: Configuration, collector: Collector, now: clock.Clock) -> list[Listener]:
    """One listener for each line whose devices speak by themselves."""
    made = []
    for line in configuration.settings.lines:
        if not isinstance(line, SerialLine | TcpLine):
            continue
        speakers = [
            Speaker(
                device,
                build_speaking(model.settings, model.profile, model.points),
                model.settings.every.total_seconds(),
            )
            for device, model in configuration.devices.items()
            if model.settings.line == line.id and model.profile.speaks_first
        ]
        if speakers:
            made.append(Listener(line, transport_for(line), speakers, collector.collect, now))
    return made


def brokers_of(configuration: Configuration, now: clock.Clock) -> list[MqttBroker]:
    """One connection for each MQTT line with devices."""
    made = []
    for line in configuration.settings.lines:
        if not isinstance(line, MqttLine):
            continue
        slots = [
            DeviceSlot(model.settings, model.profile, model.points)
            for model in configuration.devices.values()
            if isinstance(model.settings, MqttDevice)
            and isinstance(model.profile, MqttProfile)
            and model.settings.line == line.id
        ]
        password = resolve_secret(line.password, configuration.path.parent) if line.password else None
        if slots:
            from drivers.mqtt.broker import MqttBroker  # with it paho, which no other line needs

            made.append(MqttBroker(line, slots, password, now, identity=configuration.settings.site.id))
    return made


def place_names(configuration: Configuration) -> dict[str, str]:
    """Spaces, devices and the site by their ids, as people call them."""
    settings = configuration.settings
    places = {space.id: space.name for space in settings.spaces}
    places |= {
        name: f"{places.get(model.space, model.space)} {name}"
        for name, model in configuration.devices.items()
    }
    places[settings.site.id] = settings.site.name
    return places


def notice_writer(configuration: Configuration, ways: Sequence[Route], own: Sequence[Rule]) -> NoticeWriter:
    """Puts alarms into words for the configured desks; `own` are the rules on the gateway itself."""
    settings, places = configuration.settings, place_names(configuration)
    points = {device: model.points for device, model in configuration.devices.items()}
    texts = {
        rule.id: RuleTexts(rule.alarm.title.zh, rule.alarm.guide.zh)
        for rule in (*configuration.rules, *own)
        if rule.alarm is not None
    }
    quiet = {step.to for steps in settings.push.escalation.values() for step in steps}
    zone = ZoneInfo(settings.site.timezone)
    return NoticeWriter(settings.site.name, zone, places, points, texts, ways, quiet)


def escalator_of(
    configuration: Configuration,
    store: alarms.AlarmStore,
    writer: NoticeWriter,
    notifier: Notifier,
    latest: Latest,
    news: Callable[[Millis], Awaitable[str]],
) -> Escalator:
    """Escalation and the daily word, as configured; `news` is what a day had of findings and proposals."""
    settings = configuration.settings
    steps = {
        int(priority): [Step(millis(step.after), step.to) for step in steps]
        for priority, steps in settings.push.escalation.items()
    }
    beat = settings.push.heartbeat

    def summary() -> str:
        devices = {reading.device for reading in latest.get() if reading.quality is Quality.GOOD}
        return f"{len(devices)}/{len(configuration.devices)} 台设备有有效数据"

    word = DailyWord(time.fromisoformat(beat.at), beat.to, summary, news) if beat else None
    zone = ZoneInfo(settings.site.timezone)
    return Escalator(store, writer, steps, word, zone, clock.now, notifier.wake)


def daily_news(configuration: Configuration, kept: FindingStore, engine: Engine, core: Database) -> DailyNews:
    """Findings and proposals of a day, as people call them."""
    findings = FindingDesk(kept, engine, configuration.rules)
    titles = Titles(
        {rule.id: rule.title.zh for rule in configuration.rules},
        place_names(configuration),
        {name: spec.zh for name, spec in configuration.vocabulary.commands.items()},
    )
    return DailyNews(findings.between, core, titles)


@dataclass(frozen=True, slots=True)
class WayBack:
    """What leads from people and alarms back to the field, and who is there to hear."""

    accounts: Accounts
    dispatcher: Dispatcher
    sirens: Sirens
    desk: DeskWatch

    def facts(self) -> Mapping[str, Value]:
        """What the gateway's own rules look at."""
        return {**self.sirens.facts(), **self.desk.facts()}

    def keep(self, supervisor: Supervisor) -> list[asyncio.Task[None]]:
        """Keeps the door and the sirens running."""
        return [
            supervisor.keep("commands", self.dispatcher.run),
            *(supervisor.keep(name, work, longest_s=5.0) for name, work in self.sirens.works().items()),
        ]


async def way_back(
    configuration: Configuration, ways: Mapping[str, Outlet], core: Database, latest: Latest
) -> WayBack:
    """The one door to the field and those who use it; what a former run left open is closed."""
    accounts = Accounts(clock.now)
    dispatcher = Dispatcher(configuration, ways, core, accounts, clock.now, latest.value)
    try:
        await dispatcher.recover()
    except sqlite3.OperationalError as error:  # the disk refuses; commands are refused with it
        _LOG.error("open commands are not closed yet: %s", error)
    known = await alarms.AlarmStore(core).states()
    sirens = sirens_of(configuration, ways, dispatcher, latest, core, known, clock.now)
    zone = ZoneInfo(configuration.settings.site.timezone)
    return WayBack(accounts, dispatcher, sirens, DeskWatch(configuration.settings.desk, zone, clock.now))


def shortest_period(configuration: Configuration) -> Millis | None:
    """The shortest polling period, `None` when nothing is polled."""
    polled = [
        millis(model.settings.every)
        for model in configuration.devices.values()
        if not model.profile.speaks_first
    ]
    return min(polled, default=None)
