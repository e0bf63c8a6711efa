"""Alarms and the report on them, as JSON."""

from __future__ import annotations

from typing import Literal

from drivers.reading import Value
from edge.web.views.base import Instant, View
from edge.web.views.texts import TextView


class DeliveryView(View):
    """One push of an alarm through one channel."""

    channel: str
    state: Literal["pending", "delivered", "failed"]
    at: Instant | None
    detail: str


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
