"""What the web side needs of the rest of the gateway, and the shapes it is given.

The composition root fills `Services`; nothing here knows how readings are taken, rules
evaluated or batches sent. Times are epoch milliseconds, durations milliseconds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from drivers.line.traffic import Passed
from drivers.reading import Millis, Quality, Reading, Value
from edge.config.configuration import Configuration
from edge.store.accounts import Accounts
from edge.store.actions import ActionRecord, Arming
from edge.store.commands import CommandRecord, Prepared, Requester
from edge.store.database import Database
from rules.alarm import AlarmState
from rules.baseline import Baseline
from rules.binding import Coverage
from rules.engine import Outage
from rules.explanation import Explanation
from rules.finding import Finding
from rules.intent import Lever
from rules.report import AlarmReport

Aggregate = Literal["mean", "min", "max", "sum", "last", "count"]
DeviceState = Literal["ok", "degraded", "silent", "unknown"]
LineKind = Literal["serial", "tcp", "mqtt"]
Cause = Literal[
    "power_or_wiring",
    "baudrate_or_framing",
    "wrong_address",
    "noise",
    "address_conflict",
    "refused",
    "line_down",
    "clock",
]
"""What most likely keeps a device from answering; a code, so that the dashboard says it in its language."""


@dataclass(frozen=True, slots=True)
class About:
    """What this process is. `demo` is true for the virtual school."""

    version: str
    started_at: Millis
    demo: bool = False


class Sample(NamedTuple):
    """One stored value, or one bucket of an aggregated series, which starts at `at`."""

    at: Millis
    value: Value | None
    quality: Quality = Quality.GOOD


class History(Protocol):
    """The stored series."""

    async def query(
        self,
        device: str,
        point: str,
        since: Millis,
        until: Millis,
        step: Millis | None,
        agg: Aggregate | None,
        limit: int,
    ) -> Sequence[Sample]:
        """At most `limit` samples with since <= at < until, oldest first. `step` and `agg` come
        together or not at all; buckets start at multiples of `step` since the epoch."""
        ...


class UnknownAlarm(Exception):
    """There is no such occurrence."""


class NotAllowed(Exception):
    """The alarm is not in a state that permits this; the message says why."""


@dataclass(frozen=True, slots=True)
class Text:
    """One text in both languages."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One push of an alarm through one channel, and how far it came."""

    channel: str
    state: Literal["pending", "delivered", "failed"]
    at: Millis | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AlarmRecord:
    """One occurrence with what its rule says about it and the pushes it caused."""

    state: AlarmState
    title: Text
    consequence: Text | None = None
    guide: Text | None = None
    owner: str = ""
    respond_within: Millis | None = None
    deliveries: tuple[Delivery, ...] = ()


class Alarms(Protocol):
    """The alarm list and what people may do with it."""

    async def list(
        self, state: str, priority: int | None, scopes: frozenset[str] | None, limit: int, offset: int
    ) -> Sequence[AlarmRecord]:
        """Occurrences, newest first. `state` is `open` (all but normal), `all` or an ISA-18.2
        state name; `scopes`, where given, holds the scope ids wanted."""
        ...

    async def acknowledge(self, occurrence: str, user: str, note: str) -> AlarmRecord:
        """The alarm behind the acknowledgement, which is durable; raises UnknownAlarm, NotAllowed."""
        ...

    async def reset(self, occurrence: str, user: str, note: str) -> AlarmRecord:
        """The alarm behind the reset of its latch, which is durable; raises UnknownAlarm, NotAllowed."""
        ...

    async def shelve(self, occurrence: str, user: str, reason: str, until: Millis) -> AlarmRecord:
        """The alarm put aside until then, which is durable; raises UnknownAlarm, NotAllowed."""
        ...

    async def unshelve(self, occurrence: str, user: str, note: str) -> AlarmRecord:
        """The alarm taken back, which is durable; raises UnknownAlarm, NotAllowed."""
        ...

    async def out_of_service(self, device: str, user: str, order: str, until: Millis) -> None:
        """Somebody works on a device until then, by a work order: what only it is watched for calls
        nobody. Durable; raises NotAllowed."""
        ...

    async def into_service(self, device: str) -> None:
        """The work is done; durable. Raises NotAllowed for a device that is in service."""
        ...

    def outages(self) -> Sequence[Outage]:
        """The devices that are out of service."""
        ...

    async def report(self, since: Millis, until: Millis) -> AlarmReport:
        """How well the alarms raised in [since, until) served the desk."""
        ...


class Commands(Protocol):
    """The one door to the field; `edge.pipeline.dispatcher.Dispatcher` is one."""

    async def prepare(self, device: str, point: str, value: Value, reason: str, who: Requester) -> Prepared:
        """Checks a command and gives the token that carries it out; raises CommandRefused."""
        ...

    async def confirm(
        self,
        token: str,
        who: Requester,
        device: str | None = None,
        point: str | None = None,
        value: Value | None = None,
    ) -> CommandRecord:
        """The command as it ended; raises CommandRefused, and then nothing was sent."""
        ...

    async def newest(self, limit: int, before: int | None) -> Sequence[CommandRecord]:
        """At most `limit` commands, newest first, with ids below `before`."""
        ...

    def unit(self, device: str, point: str) -> str:
        """A point's unit, empty for one that is not there any more."""
        ...


class NoSuchLine(Exception):
    """No open line has this name; a line without devices is not opened by the gateway."""


class LineTaken(Exception):
    """The line is lent to somebody else already."""


@dataclass(frozen=True, slots=True)
class ScanWish:
    """What a scan is narrowed to; empty means: the usual ones. `speeds` are such as `2400 8E1`."""

    protocols: tuple[str, ...] = ()
    addresses: tuple[int, ...] = ()
    speeds: tuple[str, ...] = ()
    patience: float = 1.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A device that a scan has seen. `profiles` fit it, best first; `known` is the configured
    device with this address."""

    protocol: str
    address: str
    speed: str
    frame: bytes
    conflict: bool
    profiles: tuple[str, ...]
    known: str


@dataclass(frozen=True, slots=True)
class ScanStatus:
    """How far a scan of a line has come; `yaml` is what it found, to paste."""

    line: str
    state: Literal["running", "done", "failed", "stopped"]
    asked: int
    total: int
    now: str
    seen: tuple[Seen, ...]
    yaml: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ReadOnce:
    """One round of reading a device on demand, and the bytes that passed."""

    readings: Sequence[Reading]
    traffic: Sequence[Passed]
    trouble: str = ""


class Commissioning(Protocol):
    """An installer's work on lines that the gateway lends."""

    def scan(self, line: str, wish: ScanWish) -> ScanStatus:
        """Starts a scan; raises NoSuchLine, LineTaken, and ValueError for a wish without sense."""
        ...

    def scanned(self, line: str) -> ScanStatus | None:
        """The last scan of a line, `None` before the first; raises NoSuchLine."""
        ...

    def stop(self, line: str) -> None:
        """Ends a running scan; raises NoSuchLine."""
        ...

    def traffic(self, line: str, after: int) -> Sequence[Passed]:
        """The bytes that passed behind that number; raises NoSuchLine."""
        ...

    async def read(self, device: str) -> ReadOnce:
        """Reads a device between two exchanges of its line; raises KeyError, NoSuchLine."""
        ...


class Actions(Protocol):
    """What rules do; `edge.pipeline.actuator.Actuator` is one."""

    async def newest(self, limit: int, before: int | None, *, waiting: bool) -> Sequence[ActionRecord]:
        """Decisions, newest first, with ids below `before`; with `waiting` those that have not ended."""
        ...

    async def confirm(self, number: int, who: Requester) -> ActionRecord:
        """Lets a proposal out; raises NoProposal."""
        ...

    async def reject(self, number: int, who: Requester, note: str) -> ActionRecord:
        """Says no to a proposal; raises NoProposal."""
        ...

    def levers(self) -> Sequence[Lever]:
        """The points that rules or leases hold now."""
        ...

    def armings(self) -> Sequence[tuple[Arming, Millis]]:
        """How the rules of mode auto stand, and when each may be armed."""
        ...

    @property
    def acts_at_once(self) -> bool:
        """Whether rules of mode auto need no arming."""
        ...

    async def arm(self, rule: str, who: Requester, reason: str) -> Arming:
        """Asks for a rule to act by itself, or agrees; raises NotArmed."""
        ...

    async def disarm(self, rule: str, who: Requester, reason: str) -> Arming:
        """Takes a rule the right to act; raises NotArmed."""
        ...


@dataclass(frozen=True, slots=True)
class FindingRecord:
    """One finding with its rule's title."""

    finding: Finding
    title: Text


class Findings(Protocol):
    """What rules found without calling anybody, and what they hold for usual."""

    async def list(
        self, since: Millis, until: Millis, scopes: frozenset[str] | None, limit: int, offset: int
    ) -> Sequence[FindingRecord]:
        """Those that went on in [since, until), newest first; `scopes`, where given, are the ids wanted."""
        ...

    def baselines(self) -> Sequence[Baseline]:
        """What is in force."""
        ...


class NoFindings:
    """None, where nothing looks for any."""

    async def list(
        self, since: Millis, until: Millis, scopes: frozenset[str] | None, limit: int, offset: int
    ) -> Sequence[FindingRecord]:
        """See the protocol."""
        return ()

    def baselines(self) -> Sequence[Baseline]:
        """See the protocol."""
        return ()


class RuleBook(Protocol):
    """The rules as bound to this school; `rules.engine.Engine` is one."""

    def coverage(self) -> Sequence[Coverage]:
        """Where each rule is in force, and where it cannot be and why."""
        ...

    def explain(self, rule: str, scope: str) -> Explanation:
        """Why one instance stands as it does; KeyError when there is none."""
        ...


class NoHindsight(Exception):
    """The past could not be played; the message says why."""


class Past(Protocol):
    """How rules stood; `edge.hindsight.Hindsight` is one."""

    async def explain(self, rule: str, scope: str, at: Millis) -> bytes:
        """The explanation of one instance as it stood, as JSON. Raises KeyError and NoHindsight."""
        ...


@dataclass(frozen=True, slots=True)
class DeviceHealth:
    """How well one device answers. `errors` counts by reading reason; latencies in ms. `clock_offset_ms`:
    how far its own clock is ahead of ours, where it has one; `clock_replaced`: times it told that were
    not believed."""

    device: str
    state: DeviceState = "unknown"
    last_good: Millis | None = None
    ok: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    cause: Cause | None = None
    clock_offset_ms: Millis | None = None
    clock_replaced: int = 0


@dataclass(frozen=True, slots=True)
class LineStatus:
    """One field line. `utilisation` is the share of time it was busy, 0 to 1; `since` is when
    `connected` last changed; `queue_age` how long the oldest due exchange has waited."""

    id: str
    url: str
    kind: LineKind
    connected: bool
    since: Millis | None = None
    utilisation: float = 0.0
    queue_age: Millis = 0
    last_error: str = ""
    devices: tuple[DeviceHealth, ...] = ()


class Quarantined(NamedTuple):
    """One entry that a destination refused for good: its line protocol, HTTP status and reason."""

    at: Millis
    line: str
    status: int
    reason: str


class Compared(NamedTuple):
    """What a comparison of the last days with the destination came to. `missing` values were lacking
    there, `resent` entries went again, `still` fields differ, `surplus` fields hold more there;
    `spots` single points were read back, `spots_wrong` of them were not as sent. `reason` says why
    nothing, or not all, was compared."""

    at: Millis
    same: bool
    days: int
    values: int
    missing: int
    resent: int
    still: int
    surplus: int
    spots: int
    spots_wrong: int
    reason: str


@dataclass(frozen=True, slots=True)
class SyncStatus:
    """One destination. `received` is what a stand-in holds, `None` for a real district;
    `quarantine` shows the newest of the `quarantined` entries. Of hourly figures `hours_pending`
    hours wait, `None` where none are sent."""

    id: str
    url: str
    stand_in: bool = False
    pending: int = 0
    oldest_pending: Millis | None = None
    last_success: Millis | None = None
    rate_per_s: float = 0.0
    sent: int = 0
    quarantined: int = 0
    quarantine: tuple[Quarantined, ...] = ()
    blocked: bool = False
    reason: str = ""
    received: int | None = None
    hours_pending: int | None = None
    hours_trouble: str = ""
    compared: Compared | None = None


HealthWord = Literal["ok", "degraded", "failed"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be well, and what it found."""

    name: str
    status: HealthWord
    detail: str = ""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """The gateway's state; `ok` means that data moved recently."""

    status: HealthWord
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class Metric:
    """One Prometheus family: samples are pairs of labels and value."""

    name: str
    help: str
    type: Literal["counter", "gauge"]
    samples: tuple[tuple[Mapping[str, str], float], ...]


class Desk(Protocol):
    """Whether somebody could hear an alarm; `edge.pipeline.desk_watch.DeskWatch` is one."""

    def heard(self, audible: bool) -> None:
        """An alarm page says whether it would be heard now."""
        ...

    def mute(self) -> bool:
        """True when somebody is to be there and no page can be heard."""
        ...


class Siren(Protocol):
    """How one siren stands; `fault` is empty when it can be relied on."""

    @property
    def name(self) -> str: ...

    @property
    def sounding(self) -> bool: ...

    @property
    def fault(self) -> str: ...


class Sirens(Protocol):
    """The sirens on relays; `edge.pipeline.sirens.Sirens` is one."""

    async def silence(self) -> int:
        """Mutes them until another alarm comes; of how many alarms."""
        ...

    def states(self) -> Sequence[Siren]:
        """How each stands."""
        ...


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
