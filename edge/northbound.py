"""The district's side of the composition: outboxes, uploaders, hourly figures and nightly comparisons."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from cloud_sync.outbox import Entry, Outbox
from cloud_sync.reader import Reader, reader
from cloud_sync.reconcile import Reconciler
from cloud_sync.registry import Way, way
from cloud_sync.settings import AnyDestination, InfluxDestination
from cloud_sync.uploader import Uploader
from cloud_sync.writer import Writer
from drivers.reading import Millis
from drivers.settings import SecretRef
from edge import clock
from edge.config.configuration import Configuration
from edge.config.secrets import SecretError, resolve_secret
from edge.pipeline.clock_watch import ClockWatch, HeldOutbox, marked
from edge.reconciliation import Nightly, streams
from edge.stand_in_count import StandInCount
from edge.store import alarm_outbox, cursors, hourly
from edge.store.alarm_outbox import AlarmOutbox
from edge.store.alarms import Quarantine
from edge.store.evidence import AlarmEvidence, HourlyEvidence, StoreEvidence
from edge.store.folder import DataFolder
from edge.store.helper import Helper
from edge.store.hourly import HourlyOutbox
from edge.store.outbox import ReadingOutbox
from edge.supervisor import Supervisor

FIRST_HOURLY: Millis = 10 * 60_000
"""A start is busy enough without the figures of hours that are over."""


@dataclass(frozen=True, slots=True)
class Northbound:
    """One uploader for each destination; by destination id, who sends its hourly figures and who
    compares it at night."""

    uploaders: Sequence[Uploader]
    hourly: Mapping[str, Uploader]
    nightly: Mapping[str, Nightly]
    quarantine: Quarantine
    stand_ins: Mapping[str, StandInCount]

    def wake(self) -> None:
        """Readings were stored: they may leave."""
        for uploader in self.uploaders:
            uploader.wake()

    def keep(self, supervisor: Supervisor) -> list[asyncio.Task[None]]:
        """The tasks of it."""
        return [
            *(supervisor.keep(f"sync {one.destination.id}", one.run) for one in self.uploaders),
            *(supervisor.keep(f"sync {one.destination.id}", one.run) for one in self.hourly.values()),
            *(supervisor.keep(f"compare {name}", one.run) for name, one in self.nightly.items()),
        ]


def northbound(
    configuration: Configuration, stores: DataFolder, helper: Helper, clock_watch: ClockWatch,
    exit_stack: AsyncExitStack,
) -> Northbound:  # fmt: skip
    """All of it; connections are closed with the exit stack. Raises SecretError."""
    made = _Maker(configuration, stores, helper, clock_watch, exit_stack)
    destinations = configuration.settings.sync
    return Northbound(
        [made.uploader(one, made.outboxes) for one in destinations],
        {
            one.id: made.uploader(of_hours, [made.hourly])
            for one in destinations
            if isinstance(one, InfluxDestination) and (of_hours := one.hourly) is not None
        },
        {one.id: made.nightly(one) for one in destinations if isinstance(one, InfluxDestination)},
        made.quarantine,
        {one.id: StandInCount(one) for one in destinations if one.stand_in},
    )


class _Maker:
    """Makes the parts of one configuration."""

    def __init__(
        self, configuration: Configuration, stores: DataFolder, helper: Helper, clock_watch: ClockWatch,
        exit_stack: AsyncExitStack,
    ) -> None:  # fmt: skip
        self._configuration = configuration
        self._stores = stores
        # its work takes seconds, for which nobody waits: dashboards and backlog keep their own
        self._helper = Helper(stores.telemetry.path.parent, idle_s=5.0)
        exit_stack.push_async_callback(self._helper.close)
        self._clock_watch = clock_watch
        self._exit = exit_stack
        site = configuration.settings.site
        self._tags = {"district": site.district, "school": site.id}
        self.quarantine = Quarantine(stores.core)
        self.outboxes: Sequence[Outbox] = (
            HeldOutbox(
                AlarmOutbox(stores.core, self._tags),
                clock_watch.first_held_transition, clock_watch.transition_doubts,
            ),
            HeldOutbox(
                ReadingOutbox(stores.telemetry, self._tags, self.quarantine.park, helper),
                clock_watch.first_held_moment, clock_watch.moment_doubts,
            ),
        )  # fmt: skip
        self.hourly = HourlyOutbox(
            stores.telemetry, self._tags, self.quarantine.park, self._helper, clock.now,
            clock_watch.first_held_moment, clock.now() + FIRST_HOURLY,
        )  # fmt: skip

    def uploader(self, destination: AnyDestination, outboxes: Sequence[Outbox]) -> Uploader:
        """One destination's."""
        line_of, connection = self._way(destination)
        return Uploader(destination, outboxes, connection, clock.now, line_of=line_of)

    def nightly(self, destination: InfluxDestination) -> Nightly:
        """One destination's comparison."""
        site = self._configuration.settings.site
        reconciler = None
        if destination.read_token is not None:
            reconciler = Reconciler(site.id, streams(destination, self, self._ends), clock.now)
        return Nightly(destination.id, site.id, ZoneInfo(site.timezone), reconciler, clock.now)

    def _ends(self, destination: InfluxDestination) -> tuple[Reader, Writer]:
        assert destination.read_token is not None  # noqa: S101  asked before
        asking = reader(destination, self._secret(destination.read_token))
        self._exit.push_async_callback(asking.aclose)
        return asking, self._way(destination).connection

    def readings(self, destination: str) -> StoreEvidence:
        """See `edge.reconciliation.Sent`."""
        return StoreEvidence(
            self._helper,
            self._tags,
            lambda: self._stores.telemetry.read(lambda c: cursors.held(c, destination)),
            lambda: self.quarantine.entries("readings", destination),
            lambda entry: marked(entry, self._clock_watch.moment_doubts()),
        )

    def hours(self, destination: str) -> HourlyEvidence:
        """See `edge.reconciliation.Sent`."""
        return HourlyEvidence(
            self._helper,
            self._tags,
            lambda: self._stores.telemetry.read(lambda c: hourly.position(c, destination)),
            lambda: self.quarantine.entries("hourly", destination),
        )

    def alarms(self, destination: str) -> AlarmEvidence:
        """See `edge.reconciliation.Sent`."""

        async def sent(since: Millis, until: Millis) -> Sequence[Entry]:
            found = await self._stores.core.read(
                lambda c: alarm_outbox.sent_between(c, destination, self._tags, since, until)
            )
            return [marked(entry, self._clock_watch.transition_doubts()) for entry in found]

        return AlarmEvidence(sent)

    def _way(self, destination: AnyDestination) -> Way:
        try:
            found = way(destination, self._secret)
        except ValueError as error:
            raise SecretError(f"sync {destination.id}: {error}") from error
        self._exit.push_async_callback(found.connection.aclose)
        return found

    @property
    def _secret(self) -> Callable[[SecretRef], str]:
        folder = self._configuration.path.parent
        return lambda reference: resolve_secret(reference, folder)
