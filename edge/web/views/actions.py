"""What rules did, hold and may do, as JSON."""

from __future__ import annotations

from drivers.reading import Value
from edge.store.actions import ActionState
from edge.web.views.base import Instant, View
from rules.intent import ActKind


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
