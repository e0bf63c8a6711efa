"""The composition root: builds everything from a configuration, ties it and runs it.

lines -> collector -> bus -+-> recorder  -> store -> uploaders -> district
                           +-> evaluator -> alarms -> notifier -> people
                           +-> latest    -> dashboard
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from zoneinfo import ZoneInfo

from cloud_sync.uploader import Uploader
from drivers.line.arbiter import Arbiter, Attached
from drivers.line.schedule import Rank
from drivers.line.settings import SerialLine, TcpLine
from drivers.line.transport import transport_for
from drivers.mqtt.broker import MqttBroker
from drivers.mqtt.device import DeviceSlot
from drivers.mqtt.profile import MqttProfile
from drivers.mqtt.settings import MqttDevice, MqttLine
from drivers.reading import Millis
from drivers.registry import build_polled
from drivers.settings import SecretRef, millis
from edge import clock
from edge.bus import Overflow, ReadingBus
from edge.channels.channel import Channel
from edge.channels.settings import ChannelSettings
from edge.config.configuration import Configuration, site_info
from edge.config.secrets import SecretError, resolve_secret
from edge.desk import AlarmDesk, StoredHistory
from edge.notify_socket import NotifySocket
from edge.pipeline.collector import Collector
from edge.pipeline.evaluator import Evaluator
from edge.pipeline.live import Latest
from edge.pipeline.notices import NoticeWriter, RuleTexts
from edge.pipeline.notifier import Notifier
from edge.pipeline.recorder import Recorder
from edge.stand_in_count import StandInCount, is_stand_in
from edge.status import Parts, Status
from edge.store import alarms, readings
from edge.store.accounts import SCHEMA as ACCOUNTS_SCHEMA
from edge.store.accounts import Accounts
from edge.store.database import Database
from edge.store.moments import MIGRATIONS, Shape, Source
from edge.store.outbox import ReadingOutbox
from edge.supervisor import Supervisor
from edge.web.app import create_app
from edge.web.live import LiveHub
from edge.web.server import WebServer
from edge.web.services import About, Services
from rules.alarm import Transition
from rules.engine import Engine

_LOG = logging.getLogger(__name__)

CORE_MIGRATIONS = ((*alarms.SCHEMA, *ACCOUNTS_SCHEMA),)
QUEUE_READINGS = 50_000
PRUNE_EVERY_S = 3600.0
STATUS_EVERY_S = 2.0
CANCEL_AGAIN_S = 8.0
WARM_MS = 30 * 60 * 1000
"""Stored readings of this long fill the rules' windows at the start."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The two files of a data folder: `core` is small and precious, `telemetry` is bulk."""

    core: Database
    telemetry: Database

    @classmethod
    async def open(cls, data: Path, exit_stack: AsyncExitStack) -> Stores:
        """Opens and migrates both; closed with the stack."""
        await asyncio.to_thread(data.mkdir, parents=True, exist_ok=True, mode=0o700)
        core = Database(data / "core.db", CORE_MIGRATIONS)
        telemetry = Database(data / "telemetry.db", MIGRATIONS)
        for database in (core, telemetry):
            exit_stack.push_async_callback(database.close)
            await database.open()
        return cls(core, telemetry)


class Agent:
    """One run of the gateway over one configuration and one data folder."""

    def __init__(self, configuration: Configuration, data: Path, *, demo: bool = False) -> None:
        self._configuration = configuration
        self._data = data
        self._demo = demo
        self._stop = asyncio.Event()
        self._exit = AsyncExitStack()

    def stop(self) -> None:
        """Asks for a clean end: lines close, the store is flushed."""
        self._stop.set()

    async def run(self) -> None:
        """Runs until `stop`; what is collected is stored before it returns."""
        async with self._exit:
            await self._run(await Stores.open(self._data, self._exit))

    async def _run(self, stores: Stores) -> None:
        configuration, now = self._configuration, clock.now
        settings = configuration.settings
        started_at = now()
        site_tags = {"district": settings.site.district, "school": settings.site.id}

        # readings: lines -> collector -> bus -> store
        bus = ReadingBus()
        collector = Collector(bus)
        store = readings.ReadingStore(stores.telemetry, _sources(configuration))
        await store.load()
        recorder = Recorder(
            bus.subscribe("recorder", limit=QUEUE_READINGS, overflow=Overflow.WAIT),
            store, millis(settings.store.group), now,
        )  # fmt: skip
        arbiters = _arbiters(configuration, collector, now)
        brokers = _brokers(configuration, now)

        # dashboard: bus -> latest -> hub
        hub = LiveHub(now, lambda: configuration)
        latest = Latest(
            bus.subscribe("latest", limit=QUEUE_READINGS, overflow=Overflow.DROP_OLDEST), hub.readings
        )
        latest.restore(await store.latest())

        # alarms: bus -> evaluator -> store -> notifier -> channels
        alarm_store = alarms.AlarmStore(stores.core)
        channels = self._channels()
        news: asyncio.Queue[Sequence[str]] = asyncio.Queue(1000)

        def told(transitions: Sequence[Transition]) -> None:
            notifier.wake()
            _offer(news, [t.state.occurrence for t in transitions if t.state.occurrence])

        recent = await store.recent(started_at - WARM_MS)
        engine = Engine(
            configuration.rules, site_info(configuration), configuration.calendar, await alarm_store.states()
        )
        engine.warm(recent, started_at)
        evaluator = Evaluator(
            bus.subscribe("evaluator", limit=QUEUE_READINGS, overflow=Overflow.WAIT),
            engine, alarm_store, _notices(configuration, channels), now, told,
        )  # fmt: skip
        notifier = Notifier(alarm_store, channels, now, lambda push: _offer(news, [push.occurrence]))
        desk = AlarmDesk(alarm_store, evaluator, configuration.rules)

        # district: store -> outbox -> uploader
        quarantine = alarms.Quarantine(stores.core)
        outboxes = (
            alarms.AlarmOutbox(stores.core, site_tags),
            ReadingOutbox(stores.telemetry, site_tags, quarantine.park),
        )
        uploaders = self._uploaders(outboxes)

        async with asyncio.TaskGroup() as group:
            supervisor = Supervisor(group)
            status = Status(
                Parts(
                    started_at, now, arbiters, brokers, uploaders, quarantine, supervisor, bus, collector,
                    recorder, store, evaluator, notifier, latest, _shortest_period(configuration),
                    {d.id: StandInCount(d) for d in settings.sync if is_stand_in(d)},
                )
            )  # fmt: skip
            accounts = Accounts(now)
            services = Services(
                about=About(version("campus-edge"), started_at, self._demo),
                clock=now,
                configuration=lambda: configuration,
                database=stores.core,
                accounts=accounts,
                latest=latest.get,
                history=StoredHistory(store),
                alarms=desk,
                rules=engine,
                lines=status.lines,
                device_health=status.device,
                sync=status.sync,
                health=status.health,
                metrics=status.metrics,
            )
            server = WebServer(create_app(services, hub, static_files()), hub, settings.web, self._data)
            url = server.bind()

            tasks = [
                supervisor.keep("recorder", recorder.run),
                supervisor.keep("evaluator", evaluator.run),
                supervisor.keep("latest", latest.run),
                supervisor.keep("notifier", notifier.run),
                supervisor.keep("collector", collector.run),
            ]
            fields = [
                *(supervisor.keep(f"line {a.line.id}", a.run, first_s=1.0, longest_s=10.0) for a in arbiters),
                *(
                    supervisor.keep(
                        f"line {b.line.id}", partial(b.listen, collector.collect), first_s=0.5, longest_s=10.0
                    )
                    for b in brokers
                ),
            ]
            outside = [
                *(supervisor.keep(f"sync {u.destination.id}", u.run) for u in uploaders),
                supervisor.keep("web", server.run),
                supervisor.keep("alarm news", partial(_alarm_news, news, desk, hub)),
                supervisor.keep("status news", partial(_status_news, status, hub)),
                supervisor.keep("retention", partial(self._retention, store)),
            ]
            notify = NotifySocket()
            outside.append(supervisor.keep("watchdog", partial(_watchdog, notify, status)))
            await self._announce(accounts, stores.core, url)
            notify.send("READY=1")

            await self._stop.wait()
            notify.send("STOPPING=1")
            _LOG.info("stopping: closing lines, storing what was read")
            for wave in (fields, outside, tasks[4:], tasks[:4]):  # upstream first, so that nothing is lost
                await _end(wave)

    async def _announce(self, accounts: Accounts, core: Database, url: str) -> None:
        """Without users, prints the one token that makes the first."""
        token = await core.run(accounts.ensure_setup_token)
        if token is not None:
            print(f"First-run token: {token}", flush=True)  # noqa: T201  # the one place a person gets it
        _LOG.info("dashboard on %s", url)

    async def _retention(self, store: readings.ReadingStore) -> None:
        """Deletes in small steps what is older than `keep_raw` and held by every destination."""
        settings = self._configuration.settings
        names = [destination.id for destination in settings.sync]
        while True:
            deleted = await store.prune(clock.now() - millis(settings.store.keep_raw), names)
            await asyncio.sleep(1.0 if deleted else PRUNE_EVERY_S)

    def _secret(self, reference: SecretRef) -> str:
        return resolve_secret(reference, self._configuration.path.parent)

    def _channels(self) -> Sequence[Channel]:
        made = []
        for desk, settings in self._configuration.settings.notify.items():
            for number, one in enumerate(settings):
                channel = self._channel(f"{desk}.{number}.{one.kind}", one)
                self._exit.push_async_callback(channel.close)
                made.append(channel)
        return made

    def _channel(self, name: str, one: ChannelSettings) -> Channel:
        if one.webhook is not None:
            from edge.channels.webhook import WebhookChannel

            secret = self._secret(one.webhook.secret) if one.webhook.secret else None
            return WebhookChannel(name, one.webhook.url, secret, one.priorities)
        from edge.channels.wecom import WecomChannel

        assert one.wecom is not None  # noqa: S101  # ChannelSettings has exactly one kind
        return WecomChannel(name, one.wecom.url, self._secret(one.wecom.key), one.priorities)

    def _uploaders(self, outboxes: Sequence[alarms.AlarmOutbox | ReadingOutbox]) -> list[Uploader]:
        made = []
        for destination in self._configuration.settings.sync:
            from cloud_sync.influx import InfluxWriter

            try:
                writer = InfluxWriter(destination, self._secret(destination.token))
            except ValueError as error:
                raise SecretError(f"sync {destination.id}: {error}") from error
            self._exit.push_async_callback(writer.aclose)
            made.append(Uploader(destination, outboxes, writer, clock.now))
        return made


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancels tasks until they are done: Python before 3.12 can lose a cancellation that
    meets the result of an `asyncio.wait_for` (libraries use it)."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)


def static_files() -> Path | None:
    """The built dashboard, `None` where it was left out of the installation."""
    folder = Path(__file__).parent / "web" / "static"
    return folder if (folder / "index.html").is_file() else None


def _offer(news: asyncio.Queue[Sequence[str]], occurrences: Sequence[str]) -> None:
    if occurrences and not news.full():  # the dashboard re-reads alarms when it comes back
        news.put_nowait(occurrences)


async def _alarm_news(news: asyncio.Queue[Sequence[str]], desk: AlarmDesk, hub: LiveHub) -> None:
    """Tells open dashboards of alarms that changed."""
    while True:
        for record in await desk.by_ids(await news.get()):
            hub.alarm(record)


async def _status_news(status: Status, hub: LiveHub) -> None:
    """Tells open dashboards how lines and destinations fare, while anybody looks."""
    while True:
        await asyncio.sleep(STATUS_EVERY_S)
        if hub.clients:
            for line in status.lines():
                hub.line(line)
            for destination in await status.sync():
                hub.sync(destination)


async def _watchdog(notify: NotifySocket, status: Status) -> None:
    """Feeds systemd's watchdog while readings move; a stuck gateway is restarted by it."""
    if notify.watchdog_s is None:
        return
    while True:
        if status.data_moves():
            notify.send("WATCHDOG=1")
        await asyncio.sleep(notify.watchdog_s / 3)


def _sources(configuration: Configuration) -> list[Source]:
    return [
        Source(
            device, model.kind, model.space, model.building,
            tuple(Shape(point, spec.unit, spec.type) for point, spec in model.points.items()),
        )
        for device, model in configuration.devices.items()
    ]  # fmt: skip


def _arbiters(configuration: Configuration, collector: Collector, now: clock.Clock) -> list[Arbiter]:
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
            if model.settings.line == line.id
        ]
        if attached:
            made.append(Arbiter(line, transport_for(line), attached, collector.collect, now))
    return made


def _brokers(configuration: Configuration, now: clock.Clock) -> list[MqttBroker]:
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
            made.append(MqttBroker(line, slots, password, now, identity=configuration.settings.site.id))
    return made


def _notices(configuration: Configuration, channels: Sequence[Channel]) -> NoticeWriter:
    settings = configuration.settings
    places = {space.id: space.name for space in settings.spaces}
    places |= {
        name: f"{places.get(model.space, model.space)} {name}"
        for name, model in configuration.devices.items()
    }
    places[settings.site.id] = settings.site.name
    points = {
        (device, point): spec
        for device, model in configuration.devices.items()
        for point, spec in model.points.items()
    }
    texts = {rule.id: RuleTexts(rule.alarm.title.zh, rule.alarm.guide.zh) for rule in configuration.rules}
    return NoticeWriter(settings.site.name, ZoneInfo(settings.site.timezone), places, points, texts, channels)


def _shortest_period(configuration: Configuration) -> Millis | None:
    polled = [
        millis(model.settings.every)
        for model in configuration.devices.values()
        if not isinstance(model.settings, MqttDevice)
    ]
    return min(polled, default=None)
