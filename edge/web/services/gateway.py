"""What the web side needs of the rest of the gateway, in one hand.

The composition root fills `Services`; nothing here knows how readings are taken, rules
evaluated or batches sent. Times are epoch milliseconds, durations milliseconds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from drivers.reading import Millis, Reading
from edge.config.configuration import Configuration
from edge.store.accounts import Accounts
from edge.store.database import Database
from edge.web.services.actions import Actions
from edge.web.services.alarms import Alarms
from edge.web.services.commands import Commands
from edge.web.services.commissioning import Commissioning
from edge.web.services.desk import Desk, Sirens
from edge.web.services.devices import DeviceHealth
from edge.web.services.findings import Findings, NoFindings
from edge.web.services.health import HealthReport
from edge.web.services.history import History
from edge.web.services.lines import LineStatus
from edge.web.services.metrics import Metric
from edge.web.services.rules import Past, RuleBook
from edge.web.services.sync import SyncStatus


@dataclass(frozen=True, slots=True)
class About:
    """What this process is. `demo` is true for the virtual school."""

    version: str
    started_at: Millis
    demo: bool = False


@dataclass(frozen=True, slots=True)
class Services:
    """Everything the web side may ask of the gateway. `configuration` answers with the one in
    force, which a reload replaces; `latest` gives the newest reading of each point."""

    about: About
    clock: Callable[[], Millis]
    configuration: Callable[[], Configuration]
    database: Database
    accounts: Accounts
    latest: Callable[[], Iterable[Reading]]
    history: History
    alarms: Alarms
    commands: Commands
    actions: Actions
    desk: Desk
    sirens: Sirens
    commissioning: Commissioning
    rules: RuleBook
    lines: Callable[[], Sequence[LineStatus]]
    device_health: Callable[[str], DeviceHealth]
    sync: Callable[[], Awaitable[Sequence[SyncStatus]]]
    health: Callable[[], HealthReport]
    metrics: Callable[[], Sequence[Metric]]
    past: Past | None = None
    findings: Findings = field(default_factory=NoFindings)
