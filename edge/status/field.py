"""How field lines and the devices on them fare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from drivers.line.arbiter import Arbiter
from drivers.line.counters import DeviceCounters, LineCounters, percentile
from drivers.line.listener import Listener
from edge.device_clocks import DeviceClocks
from edge.web.services.devices import DeviceHealth
from edge.web.services.lines import LineStatus

if TYPE_CHECKING:
    from drivers.mqtt.broker import MqttBroker


class FieldStatus:
    """Answers for lines and devices, from the counters that stand where they are counted."""

    def __init__(
        self, arbiters: Sequence[Arbiter | Listener], brokers: Sequence[MqttBroker], clocks: DeviceClocks
    ) -> None:
        self._arbiters = arbiters
        self._brokers = brokers
        self._clocks = clocks

    def counters(self) -> Mapping[str, DeviceCounters]:
        """Every device's counters."""
        found = {d.id: d.counters for arbiter in self._arbiters for d in arbiter.devices.values()}
        for broker in self._brokers:
            found.update(broker.devices)
        return found

    def device(self, device: str) -> DeviceHealth:
        """One device's health; KeyError when there is none."""
        counters = self.counters()[device]
        self._clocks.note({device: counters})
        return device_health(device, counters)

    def lines(self) -> Sequence[LineStatus]:
        """Every line with its devices."""
        found = []
        for arbiter in self._arbiters:
            devices = {d.id: d.counters for d in arbiter.devices.values()}
            found.append(line_status(arbiter.line.id, arbiter.line.url, arbiter.counters, devices))
        for broker in self._brokers:
            found.append(line_status(broker.line.id, broker.line.url, broker.counters, broker.devices))
        return found


def device_health(device: str, counters: DeviceCounters) -> DeviceHealth:
    """One device's counters as the dashboard shows them."""
    latencies = counters.latencies_ms
    return DeviceHealth(
        device=device,
        state=counters.state.value,
        last_good=counters.last_good,
        ok=counters.ok,
        errors=dict(counters.errors),
        latency_p50_ms=percentile(latencies, 0.5),
        latency_p95_ms=percentile(latencies, 0.95),
        cause=counters.cause.value if counters.cause else None,
        clock_offset_ms=counters.clock.offset_ms,
        clock_replaced=counters.clock.replaced,
    )


def line_status(
    name: str, url: str, counters: LineCounters, devices: Mapping[str, DeviceCounters]
) -> LineStatus:
    """One line's counters as the dashboard shows them; its kind is told by the URL's scheme."""
    scheme = urlsplit(url).scheme
    return LineStatus(
        id=name,
        url=url,
        kind="mqtt" if scheme.startswith("mqtt") else "tcp" if scheme == "tcp" else "serial",
        connected=counters.connected_since is not None,
        since=counters.connected_since,
        utilisation=round(counters.utilisation, 4),
        queue_age=round(counters.oldest_due_ms),
        last_error=counters.last_error,
        devices=tuple(device_health(device, c) for device, c in devices.items()),
        exchanges=counters.exchanges,
        faults=dict(counters.faults),
    )
