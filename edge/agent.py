"""The composition root: builds everything from a configuration, ties it and runs it.

lines -> collector -> bus -+-> recorder  -> store -> uploaders -> district
                           +-> evaluator -> alarms -> notifier -> people
                           +-> latest    -> dashboard
lines <- dispatcher <- dashboard, rules, console
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.line.arbiter import Arbiter
from drivers.line.listener import Listener
from drivers.reading import Value
from drivers.settings import SecretRef, millis
from edge import clock, last_good
from edge.acting import acting_of, actuator_of
from edge.assembly import (
    arbiters_of,
    brokers_of,
    daily_news,
    escalator_of,
    listeners_of,
    notice_writer,
    shortest_period,
    sources,
    way_back,
)
from edge.bus import Overflow, ReadingBus
from edge.channels.route import Route, routes
from edge.commissioning.shelf import library_of
from edge.commissioning.workbench import Workbench
from edge.config.configuration import Configuration, site_info
from edge.config.resources import builtin_configs
from edge.config.secrets import resolve_secret
from edge.desk import AlarmDesk, StoredHistory
from edge.device_clocks import DeviceClocks
from edge.finding_desk import FindingDesk
from edge.hindsight import Hindsight
from edge.northbound import northbound
from edge.notify_socket import NotifySocket
from edge.pipeline.calendar_watch import CalendarWatch
from edge.pipeline.clock_watch import ClockWatch
from edge.pipeline.collector import Collector
from edge.pipeline.evaluator import Evaluator
from edge.pipeline.housekeeping import Housekeeping
from edge.pipeline.learner import learner_of
from edge.pipeline.live import Latest
from edge.pipeline.notifier import Notifier
from edge.pipeline.outlets import outlets
from edge.pipeline.recorder import Recorder
from edge.pipeline.screen import Screening, screen_of
from edge.pipeline.self_watch import Facts, SelfWatch, own_rules, with_gateway
from edge.pipeline.sirens import Sirens
from edge.self_report import OWN_SOURCE, SelfReport, of_devices
from edge.status.gateway import Status
from edge.status.parts import Parts
from edge.store import actions, alarms, commands, findings, readings, registers
from edge.store import sirens as siren_table
from edge.store.accounts import SCHEMA as ACCOUNTS_SCHEMA
from edge.store.accounts import Accounts
from edge.store.archivist import Archivist, Keeping
from edge.store.backup import exclusive
from edge.store.database import Database, Unusable
from edge.store.folder import DataFolder, FileKind
from edge.store.moments import MIGRATIONS
from edge.store.salvage import Order
from edge.supervisor import Supervisor
from edge.synchronised import must_wait, read_clock
from edge.warmup import recall, warm_up
from edge.web.live import LiveHub
from edge.web.server import WebServer
from edge.web.services.gateway import About, Services
from rules.alarm import Transition
from rules.engine import Engine
from rules.rehearsal import LATENESS_MS

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_LOG = logging.getLogger(__name__)

CORE_MIGRATIONS = (
    (*alarms.SCHEMA, *ACCOUNTS_SCHEMA), registers.SCHEMA, commands.SCHEMA, siren_table.SCHEMA, actions.SCHEMA,
    findings.SCHEMA,
)  # fmt: skip
CORE = FileKind("core.db", CORE_MIGRATIONS, Order())
_KEPT_IDS = (
    "SELECT max(coalesce((SELECT min(position) FROM cursors), 0),"
    " coalesce((SELECT max(last_id) FROM batches), 0))"
)
TELEMETRY = FileKind(
    "telemetry.db", MIGRATIONS,
    Order(
        ("moments",),
        {"moments": _KEPT_IDS},
    ),
)  # fmt: skip
QUEUE_READINGS = 50_000
DEMO_HASTE = 60.0
"""The demo's school lives a minute in a second, and so do its counters."""
STATUS_EVERY_S = 2.0
CANCEL_AGAIN_S = 8.0
DAMAGED_PAUSE_S = 0.5
FIELD_FIRST_S = 0.3
"""So long the start belongs to the lines; then what is large and can wait is loaded."""


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
        """Runs until `stop`; what is collected is stored before it returns. It also returns when a data
        file turned out to be damaged or the clock was set: then the next agent finds and mends that."""
        async with self._exit:
            self._exit.enter_context(exclusive(self._data))
            try:
                await self._run(
                    await DataFolder.open(self._data, CORE, TELEMETRY, clock.now, self.stop, self._exit)
                )
            except* Unusable:
                _LOG.error("a data file is damaged: starting anew with another one")
                await asyncio.sleep(DAMAGED_PAUSE_S)  # a disk that spoils every file must not make us spin

    async def _run(self, stores: DataFolder) -> None:
        configuration, now = self._configuration, clock.now
        settings, started_at = configuration.settings, now()
        clock_watch = await self._clock_watch(stores)

        # readings: lines -> collector -> bus -> store -> outbox -> district
        bus = ReadingBus()
        collector = Collector(bus, await self._screening(stores.core))
        store, archivist, loaded = await _reading_store(configuration, stores, clock_watch, self._exit)
        north = northbound(configuration, stores, store.helper, clock_watch, self._exit)
        to_store = bus.subscribe("recorder", limit=QUEUE_READINGS, overflow=Overflow.WAIT)
        recorder = Recorder(
            to_store, store, millis(settings.store.group), now, loaded=loaded, stored=north.wake,
        )  # fmt: skip
        arbiters, brokers = arbiters_of(configuration, collector, now), brokers_of(configuration, now)
        field_lines: list[Arbiter | Listener] = [*arbiters, *listeners_of(configuration, collector, now)]

        # dashboard: bus -> latest -> hub
        latest = Latest(bus.subscribe("latest", limit=QUEUE_READINGS, overflow=Overflow.DROP_OLDEST))
        hub = LiveHub(now, lambda: configuration, latest.get)
        latest.restore(of_devices(await recall(store, brokers)) if loaded else ())

        # alarms: bus -> evaluator -> store -> notifier -> channels
        alarm_store = alarms.AlarmStore(stores.core)
        ways = self._ways()
        self_rules = own_rules(builtin_configs(), configuration.rules)
        notices = notice_writer(configuration, ways, self_rules)
        news: asyncio.Queue[Sequence[str]] = asyncio.Queue(1000)
        notifier = Notifier(alarm_store, ways, now, lambda push: _offer(news, [push.occurrence]))
        back = await way_back(configuration, outlets(arbiters, brokers), stores.core, latest)
        armoury, acting = await acting_of(configuration, stores.core, back.accounts)
        engine = Engine(
            (*configuration.rules, *self_rules), with_gateway(site_info(configuration)),
            configuration.calendar, await alarm_store.states(), lateness_ms=LATENESS_MS, acting=acting,
        )  # fmt: skip
        learner = await learner_of(engine, store, stores.core, configuration, now)
        if loaded:
            await warm_up(store, engine, started_at)
        steady = clock_watch.steady
        actuator = await actuator_of(
            configuration, engine, stores.core, back, armoury, latest.reading, steady
        )
        evaluator = Evaluator(
            bus.subscribe("evaluator", limit=QUEUE_READINGS, overflow=Overflow.WAIT),
            engine, alarm_store, notices, clock_watch.steady, partial(_told, notifier, back.sirens, news),
            notifier.hold, clock_watch.jumped, actuator,
        )  # fmt: skip
        escalator = escalator_of(
            configuration, alarm_store, notices, notifier, latest,
            daily_news(configuration, learner.kept, engine, stores.core).of,
        )  # fmt: skip
        desk = AlarmDesk(alarm_store, evaluator, (*configuration.rules, *self_rules))

        async with asyncio.TaskGroup() as group:
            supervisor = Supervisor(group)
            status = Status(
                Parts(
                    started_at, now, field_lines, brokers, north, supervisor, bus, collector,
                    recorder, store, evaluator, notifier, latest, shortest_period(configuration),
                    archivist, stores, clock_watch,
                    DeviceClocks(latest.reading, settings.site.timezone), back.dispatcher.unwritten,
                    configuration.stands_in_for,
                )
            )  # fmt: skip
            workbench = Workbench(configuration, arbiters, library_of(configuration))
            services = Services(
                about=About(version("campus-edge"), started_at, self._demo),
                clock=now,
                configuration=lambda: configuration,
                database=stores.core,
                accounts=back.accounts,
                latest=latest.get,
                history=StoredHistory(store),
                alarms=desk,
                findings=FindingDesk(learner.kept, engine, configuration.rules),
                commands=back.dispatcher,
                actions=actuator,
                desk=back.desk,
                sirens=back.sirens,
                commissioning=workbench,
                rules=engine,
                lines=status.field.lines,
                device_health=status.field.device,
                sync=status.sync,
                health=status.health.report,
                metrics=status.metrics.families,
                past=Hindsight(configuration.path, self._data),
            )
            server = WebServer(
                partial(_dashboard, services, hub), hub, settings.web, self._data, pause_s=FIELD_FIRST_S
            )
            url = server.bind()

            tasks = [
                supervisor.keep("recorder", recorder.run),
                supervisor.keep("evaluator", evaluator.run),
                supervisor.keep("latest", partial(latest.run, hub.readings)),
                supervisor.keep("notifier", notifier.run),
                supervisor.keep("escalator", escalator.run),
                supervisor.keep("collector", collector.run),
            ]
            fields = [
                *(
                    supervisor.keep(f"line {one.line.id}", one.run, first_s=1.0, longest_s=10.0)
                    for one in field_lines
                ),
                *(
                    supervisor.keep(
                        f"line {b.line.id}", partial(b.listen, collector.collect), first_s=0.5, longest_s=10.0
                    )
                    for b in brokers
                ),
            ]
            outside = [
                *north.keep(supervisor),
                supervisor.keep("web", server.run),
                *back.keep(supervisor),
                supervisor.keep("actions", actuator.run),
                supervisor.keep("channel check", notifier.watch),
                supervisor.keep("commissioning", workbench.run),
                supervisor.keep("alarm news", partial(_alarm_news, news, desk, hub)),
                supervisor.keep("status news", partial(_status_news, status, hub)),
                supervisor.keep("archivist", archivist.run),
                supervisor.keep("baselines", learner.run),
                supervisor.keep("clock", clock_watch.run),
                supervisor.keep(
                    "self watch",
                    SelfWatch(
                        evaluator,
                        partial(
                            _facts,
                            status.health.facts,
                            back.facts,
                            actuator.facts,
                            CalendarWatch(configuration.calendar, settings.site.timezone, now).facts,
                        ),
                        steady,
                    ).run,
                ),
                supervisor.keep("self report", SelfReport(status, to_store.put).run),
                *_keep_house(supervisor, Housekeeping(stores, now)),
            ]
            notify = NotifySocket()
            outside.append(supervisor.keep("watchdog", partial(_watchdog, notify, status)))
            await self._announce(back.accounts, stores.core, url)
            await self._ready(notify)

            await self._stop.wait()
            notify.send("STOPPING=1")
            await back.sirens.rest()
            _LOG.info("stopping: closing lines, storing what was read")
            for wave in (fields, outside, tasks[4:], tasks[:4]):  # upstream first, so that nothing is lost
                await _end(wave)

    async def _clock_watch(self, stores: DataFolder) -> ClockWatch:
        """Knows how this run's clock stands to the last one's; what can be dated anew is."""
        settings = self._configuration.settings.clock
        doubt, hold = must_wait(settings.require_sync), millis(settings.hold)
        watch = ClockWatch(stores.core, stores.telemetry, read_clock, self.stop, doubt=doubt, hold_ms=hold)
        await watch.start()
        return watch

    def _ways(self) -> Sequence[Route]:
        """The channels of all desks; closed with the agent."""
        ways = routes(self._configuration.settings.notify, self._secret)
        for way in ways:
            self._exit.push_async_callback(way.channel.close)
        return ways

    async def _screening(self, core: Database) -> Screening:
        """The screen between lines and bus, as the last run left it."""
        store = registers.RegisterStore(core)
        haste = DEMO_HASTE if self._demo else 1.0
        return Screening(screen_of(self._configuration, await store.load(), haste), store, clock.now)

    async def _announce(self, accounts: Accounts, core: Database, url: str) -> None:
        """Without users, prints the one token that makes the first."""
        try:
            token = await core.run(accounts.ensure_setup_token)
        except sqlite3.OperationalError:  # the disk refuses; the health page says so
            token = None
        if token is not None:
            print(f"First-run token: {token}", flush=True)  # noqa: T201  # the one place a person gets it
        _LOG.info("dashboard on %s", url)

    async def _ready(self, notify: NotifySocket) -> None:
        """Everything runs: systemd hears of it, and a later start may fall back on this configuration."""
        notify.send("READY=1")
        await asyncio.to_thread(last_good.keep, self._configuration, self._data)

    def _secret(self, reference: SecretRef) -> str:
        return resolve_secret(reference, self._configuration.path.parent)


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancels tasks until they are done: Python before 3.12 can lose a cancellation that
    meets the result of an `asyncio.wait_for` (libraries use it)."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)


def _keep_house(supervisor: Supervisor, keeping: Housekeeping) -> list[asyncio.Task[None]]:
    return [
        supervisor.keep("salvage", keeping.salvage),
        supervisor.keep("file check", keeping.check),
        supervisor.keep("ballast", keeping.ballast),
        supervisor.keep("log folding", keeping.fold),
        supervisor.keep("nightly copy", keeping.backup),
    ]


def _dashboard(services: Services, hub: LiveHub) -> ASGIApp:
    """The web application; loading it takes longer than all else."""
    from edge.web.app import create_app

    return create_app(services, hub, static_files())


def static_files() -> Path | None:
    """The built dashboard, `None` where it was left out of the installation."""
    folder = Path(__file__).parent / "web" / "static"
    return folder if (folder / "index.html").is_file() else None


def _offer(news: asyncio.Queue[Sequence[str]], occurrences: Sequence[str]) -> None:
    if occurrences and not news.full():  # the dashboard re-reads alarms when it comes back
        news.put_nowait(occurrences)


def _told(
    notifier: Notifier, sirens: Sirens, news: asyncio.Queue[Sequence[str]], transitions: Sequence[Transition]
) -> None:
    """Alarms that changed and are durable: people, sirens and dashboards hear of them."""
    notifier.wake()
    sirens.learn(transitions)
    _offer(news, [t.state.occurrence for t in transitions if t.state.occurrence])


def _facts(*sources: Facts) -> Mapping[str, Value]:
    """What the gateway's own rules look at."""
    return {point: value for source in sources for point, value in source().items()}


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
            for line in status.field.lines():
                hub.line(line)
            for destination in await status.sync():
                hub.sync(destination)


async def _watchdog(notify: NotifySocket, status: Status) -> None:
    """Feeds systemd's watchdog while readings move; a stuck gateway is restarted by it."""
    if notify.watchdog_s is None:
        return
    while True:
        if status.health.data_moves():
            notify.send("WATCHDOG=1")
        await asyncio.sleep(notify.watchdog_s / 3)


async def _reading_store(
    configuration: Configuration, stores: DataFolder, clock_watch: ClockWatch, exit_stack: AsyncExitStack
) -> tuple[readings.ReadingStore, Archivist, bool]:
    """The store and who keeps it small. While a salvage brings old rows back nothing is sealed:
    their ids are lower than those of new rows; nor while rows may be dated anew."""
    settings = configuration.settings
    store = readings.ReadingStore(stores.telemetry, [*sources(configuration), OWN_SOURCE])
    exit_stack.push_async_callback(store.close)
    loaded = await _loaded(store)
    archivist = Archivist(
        stores.telemetry,
        Keeping(millis(settings.store.keep_raw), settings.store.max_bytes),
        [destination.id for destination in settings.sync],
        clock.now,
        lambda: clock_watch.holding or not all(salvage.progress.done for salvage, _ in stores.salvages),
    )
    return store, archivist, loaded


async def _loaded(store: readings.ReadingStore) -> bool:
    """Loads the store where the disk lets it; the recorder does it later else."""
    try:
        await store.load()
    except sqlite3.OperationalError as error:
        _LOG.error("readings cannot be stored: %s", error)
        return False
    return True
