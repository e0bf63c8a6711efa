"""How well a device answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from drivers.reading import Millis

DeviceState = Literal["ok", "degraded", "silent", "unknown"]
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
