"""Why a rule stands as it does, as JSON."""

from __future__ import annotations

from drivers.reading import Quality, Value
from edge.web.views.base import Instant, View
from rules.alarm import Condition
from rules.explanation import DeedState


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
