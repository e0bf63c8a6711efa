"""Field lines, as JSON."""

from __future__ import annotations

from edge.web.services.lines import LineKind
from edge.web.views.base import Instant, View
from edge.web.views.devices import DeviceHealthView


class LineDeviceView(DeviceHealthView):
    """How well a device on a line answers."""

    device: str


class LineView(View):
    """One field line; `utilisation` is the share of time it was busy, 0 to 1. `exchanges` counts its
    messages or exchanges since the start, `faults` what was wrong on the line itself, by a word:
    on serial and TCP lines such as `noise`, `crc`, `late`, on MQTT lines such as `oversized`,
    `bad_json`, `bad_topic`, `unknown_topic`, `identity`, `duplicate`, `subscription_denied`. More words
    may come."""

    id: str
    url: str
    kind: LineKind
    connected: bool
    since: Instant | None
    utilisation: float
    queue_age_ms: int
    last_error: str
    exchanges: int
    faults: dict[str, int]
    devices: list[LineDeviceView]
