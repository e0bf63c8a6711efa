"""The JSON that the API answers with, as pydantic models; OpenAPI is made from them.

Times are RFC 3339 in UTC with milliseconds, lists are `{items, next}`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from drivers.reading import Millis, Origin, Quality, Value
from edge.clock import rfc3339
from edge.store.accounts import Role
from edge.store.actions import ActionState
from edge.store.commands import CommandState
from edge.web.services import Cause, DeviceState, HealthWord, LineKind
from rules.alarm import Condition
from rules.explanation import DeedState
from rules.intent import ActKind

T = TypeVar("T")


@lru_cache(maxsize=4096)
def instant(at: Millis) -> str:
    """RFC 3339 text of an instant; cached, because the readings of one tick share theirs."""
    return rfc3339(at) or ""


Instant = Annotated[
    Millis,
    PlainSerializer(instant, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class View(BaseModel):
    """One JSON object of the API, made from the attributes of what the gateway holds."""

    model_config = ConfigDict(frozen=True, from_attributes=True, populate_by_name=True)


class Page(View, Generic[T]):
    """A list; `next` is the `cursor` of the following page, null on the last."""

    items: list[T]
    next: str | None = None


class ProblemView(View):
    """An error (RFC 9457). `code` is stable; further members depend on it."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: str
    detail: str


class CheckView(View):
    """One thing that must be well."""

    name: str
    status: HealthWord
    detail: str


class HealthView(View):
    """The gateway's state; `ok` means that data moved recently."""

    status: HealthWord
    version: str
    uptime_s: int
    checks: list[CheckView]


class SetupView(View):
    """Whether the first account is still to be made, and whether the asker is signed in."""

    needed: bool
    signed_in: bool = False


class SessionView(View):
    """Who is signed in; `expires_at` is when the session ends if no request comes, null for tokens."""

    user: str
    role: Role
    expires_at: Instant | None


class SiteView(View):
    """The school and the gateway in it."""

    id: str
    name: str
    district: str
    timezone: str
    version: str
    started_at: Instant
    now: Instant
    demo: bool


class SpaceView(View):
    """One place; `in` is the space that holds it."""

    id: str
    name: str
    kind: str
    kind_zh: str
    kind_en: str
    parent: Annotated[str | None, Field(alias="in")]
    area_m2: float | None
    seats: int | None


class WriteView(View):
    """Within what a point may be written, and the least role that may."""

    min: float | None
    max: float | None
    role: Role


class PointView(View):
    """One datum of a device; `unit` is UCUM, `equivalent` marks what is derived and not measured.
    `write` is null where it is read-only."""

    name: str
    zh: str
    en: str
    unit: str
    type: Literal["number", "switch", "text"]
    decimals: int
    min: float | None
    max: float | None
    equivalent: bool
    write: WriteView | None


class DeviceHealthView(View):
    """How well a device answers; `errors` counts by reading reason. Its own clock is `clock_offset_ms`
    ahead of the gateway's (null where it has none)."""

    state: DeviceState
    last_good: Instant | None
    ok: int
    errors: dict[str, int]
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    cause: Cause | None
    clock_offset_ms: int | None
    clock_replaced: int


class DeviceView(View):
    """One device with its points and its health."""

    id: str
    space: str
    line: str
    protocol: str
    profile: str
    kind: str
    kind_zh: str
    kind_en: str
    maker: str
    model: str
    every_s: float
    priority: str
    points: list[PointView]
    health: DeviceHealthView


class ReadingView(View):
    """The latest reading of one point. A good one that was not renewed in time is `stale`."""

    device: str
    point: str
    value: Value | None
    unit: str
    at: Instant
    received_at: Instant
    quality: Quality
    reason: str
    origin: Origin


class SampleView(View):
    """One stored value, or one bucket of an aggregated series, which starts at `at`."""

    device: str
    point: str
    at: Instant
    value: Value | None
    unit: str
    quality: Quality


class DeliveryView(View):
    """One push of an alarm through one channel."""

    channel: str
    state: Literal["pending", "delivered", "failed"]
    at: Instant | None
    detail: str


class TextView(View):
    """One text in both languages."""

    zh: str
    en: str


class AlarmView(View):
    """One occurrence of an alarm; `state` is its ISA-18.2 name, `id` the occurrence."""

    id: str
    rule: str
    scope: str
    scope_name: str
    condition: str
    state: str
    priority: int
    acked: bool
    acked_by: str
    acked_at: Instant | None
    note: str
    latched: bool
    stale: bool
    suppressed_by: str
    shelved_until: Instant | None
    shelved_by: str
    shelved_reason: str
    oos_until: Instant | None
    oos_by: str
    oos_order: str
    chattering: bool
    first_out: bool
    raised_at: Instant | None
    cleared_at: Instant | None
    device: str
    point: str
    value: Value | None
    unit: str
    title: TextView
    consequence: TextView | None
    guide: TextView | None
    owner: str
    respond_within_s: float | None
    deliveries: list[DeliveryView]


class LoadView(View):
    """One rule on one scope and its share of all alarms, 0 to 1."""

    rule: str
    scope: str
    occurrences: int
    share: float


class AlarmReportView(View):
    """How well the alarms served the desk; `bins` is how many stretches of ten minutes had so many."""

    since: Instant
    until: Instant
    occurrences: int
    suppressed: int
    shelved: int
    per_hour: float
    urgent_per_day: float
    bins: dict[int, int]
    busiest: int
    flood_share: float
    by_priority: dict[int, int]
    top: list[LoadView]
    chattering: int
    standing_over_a_day: int
    unacknowledged: int


class UnboundView(View):
    """A scope where a rule cannot be in force, and the roles it lacks there."""

    scope: str
    missing: list[str]


class RuleView(View):
    """One rule and where it is in force; `cannot_act` are scopes where some of its actions reach nothing."""

    id: str
    title: TextView
    priority: int
    bound: list[str]
    unbound: list[UnboundView]
    cannot_act: list[UnboundView]


class FindingView(View):
    """What was wasted or odd. `amount` (in `unit`) may be `spread` more or less; null where it cannot be
    told: then `conclusive` is false where the baseline is weak, and `weak` says why."""

    COPIED: ClassVar[tuple[str, ...]] = (
        "id", "rule", "scope", "kind", "began_at", "ended_at", "amount", "spread", "unit", "device", "point",
        "message", "basis", "weak",
    )  # fmt: skip

    id: str
    rule: str
    scope: str
    kind: str
    title: TextView
    began_at: Instant
    ended_at: Instant | None
    amount: float | None
    spread: float | None
    unit: str
    device: str
    point: str
    message: str
    basis: str
    weak: str
    conclusive: bool
    suspects: list[SuspectView]


class SuspectView(View):
    """A sub-meter and its use beyond its own usual, in the finding's unit."""

    device: str
    excess: float


class BaselineView(View):
    """What is usual for a counter, the dates that it stands on and the fit; `weak` says why nothing may be
    concluded."""

    device: str
    point: str
    name: str
    unit: str
    since: Instant
    first: str
    last: str
    days: int
    spread: float
    cv: float | None
    nmbe: float | None
    excluded: list[str]
    weak: str
    words: str


class LeafView(View):
    """One comparison of a rule as it stands; `truth` is null while unknown."""

    role: str
    points: list[str]
    agg: str
    over_ms: int | None
    op: str
    val: Value | list[Value] | None
    clear: Value | list[Value] | None
    unit: str
    value: Value | None
    truth: bool | None
    quality: Quality
    at: Instant | None
    reference: str = ""


class BranchView(View):
    """`all`, `any`, `not` or `n_of` over others."""

    kind: str
    n: int
    truth: bool | None
    parts: list[BranchView | LeafView]


class DeedView(View):
    """One action of a rule at one point: `holds`, `behind` a stronger one, `waits` until `due`, `blocked`,
    `proposed`, `leaves` at `due`; with `shadow` nothing of it is sent."""

    state: DeedState
    cmd: str
    device: str
    point: str
    value: Value | None
    prio: int | None
    due: Instant | None
    shadow: bool
    detail: str


class ExplanationView(View):
    """Why a rule instance stands as it does, and what it waits for."""

    rule: str
    scope: str
    at: Instant
    condition: Condition
    since: Instant
    active: bool
    stale: bool
    truth: bool | None
    awaiting: str
    in_ms: int | None
    sentence: str
    deeds: list[DeedView]
    tree: BranchView | LeafView


class LineDeviceView(DeviceHealthView):
    """How well a device on a line answers."""

    device: str


class LineView(View):
    """One field line; `utilisation` is the share of time it was busy, 0 to 1."""

    id: str
    url: str
    kind: LineKind
    connected: bool
    since: Instant | None
    utilisation: float
    queue_age_ms: int
    last_error: str
    devices: list[LineDeviceView]


class QuarantinedView(View):
    """One entry that a destination refused for good."""

    at: Instant
    line: str
    status: int
    reason: str


class ComparedView(View):
    """What the nightly comparison with the destination came to; `reason` says why nothing was compared."""

    at: Instant
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


class SyncView(View):
    """One destination; `received` is what a stand-in holds, null for a real district. `hours_pending`
    is null where no hourly figures are sent."""

    id: str
    url: str
    stand_in: bool
    pending: int
    oldest_pending: Instant | None
    last_success: Instant | None
    rate_per_s: float
    sent: int
    quarantined: int
    quarantine: list[QuarantinedView]
    blocked: bool
    reason: str
    received: int | None
    hours_pending: int | None
    hours_trouble: str
    compared: ComparedView | None


class PreparedView(View):
    """A command that waits for its confirmation: `token` carries it out until `expires_at`.
    `before` is the point's value as last read."""

    id: int
    token: str
    device: str
    point: str
    value: Value
    unit: str
    before: Value | None
    expires_at: Instant


class CommandView(View):
    """One command and how it ended. `found` is what the device read back, null where it was
    not asked; `detail` says why the state is what it is."""

    id: int
    device: str
    point: str
    value: Value
    unit: str
    reason: str
    who: str
    state: CommandState
    detail: str
    found: Value | None
    created_at: Instant
    expires_at: Instant
    updated_at: Instant


class ActionView(View):
    """One decision of a rule and how it stands; `restores` is true where the point goes back, `person` is
    who let it out or said no, `command` the number of the command that carried it out."""

    id: int
    kind: ActKind
    state: ActionState
    rule: str
    scope: str
    occurrence: str
    cmd: str
    device: str
    point: str
    value: Value
    unit: str
    prio: int
    restores: bool
    at: Instant
    expires_at: Instant | None
    detail: str
    person: str
    command: int | None
    updated_at: Instant


class LeverView(View):
    """A point that rules or a person hold now. `wanted` is what the strongest of `rules` wants, `found` what
    was there before; with `shadow` nothing of it is sent."""

    device: str
    point: str
    shadow: bool
    wanted: Value | None
    found: Value | None
    prio: int | None
    rules: list[str]
    held_until: Instant | None
    lease_until: Instant | None
    lease_by: str


class ArmingView(View):
    """How a rule of mode auto stands: in shadow until `ripe_at`, then asked for, then armed."""

    rule: str
    armed: bool
    shadow_since: Instant
    ripe_at: Instant
    asked_by: str
    asked_at: Instant | None
    armed_by: str
    armed_at: Instant | None
    reason: str


Hex = Annotated[bytes, PlainSerializer(lambda data: data.hex(" "), return_type=str)]


class PassedView(View):
    """Bytes that passed over a line in one piece, in hex; `speed` is empty where the line has none."""

    number: int
    at: Instant
    way: Literal["sent", "received"]
    data: Hex
    speed: str


class SeenView(View):
    """A device that a scan has seen; `profiles` fit it, best first, `known` is the configured
    device with this address. `conflict`: several answer to this address."""

    protocol: str
    address: str
    speed: str
    frame: Hex
    conflict: bool
    profiles: tuple[str, ...]
    known: str


class ScanView(View):
    """A scan of a line; `yaml` is what it found that the configuration lacks, to paste."""

    line: str
    state: Literal["running", "done", "failed", "stopped"]
    asked: int
    total: int
    now: str
    seen: list[SeenView]
    yaml: str
    detail: str


class ReadOnceView(View):
    """One round of reading a device on demand; `trouble` says why there are no readings."""

    device: str
    readings: list[ReadingView]
    traffic: list[PassedView]
    trouble: str


class OutageView(View):
    """A device that somebody works on: by which order, who said so, until when."""

    device: str
    order: str
    by: str
    until: Instant


class DeskView(View):
    """What a desk wants to know: `mute` when nobody could hear an alarm in staffed hours, `sounding`
    when a siren is to sound now."""

    mute: bool
    sounding: bool


class SirenView(View):
    """One siren: whether it is to sound now; `fault` says why it cannot be relied on."""

    name: str
    sounding: bool
    fault: str


class SilencedView(View):
    """Of how many alarms the sirens were silenced."""

    alarms: int
