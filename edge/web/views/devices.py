"""Devices, their points and their health, as JSON."""

from __future__ import annotations

from typing import Literal

from edge.store.accounts import Role
from edge.web.services.devices import Cause, DeviceState
from edge.web.views.base import Instant, View


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
