"""Lines and devices, from the counters that stand where they are counted."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from drivers.line.arbiter import Arbiter
from drivers.line.counters import DeviceCounters, LineCounters
from drivers.line.settings import TcpLine
from drivers.reading import Reading
from edge.commissioning.line import open_line
from edge.device_clocks import POINT, DeviceClocks
from edge.status.field import FieldStatus, device_health, line_status
from tests.edge.commissioning.rehearsal import device, on_wire
from tests.support.wire import EmulatedWire

AT = 1_772_000_000_000


@pytest.fixture
async def arbiter() -> AsyncIterator[Arbiter]:
    """A serial server's line that nothing was read over yet."""
    sensor = device("renke-rs-ws-n01", "modbus-rtu", 2)
    line = TcpLine(id="plc", url="tcp://192.168.3.9:8899")
    async with open_line(line, transport=EmulatedWire(on_wire([sensor], 9600, "8N1"))) as opened:
        yield opened


def field_of(*arbiters: Arbiter, newest: Reading | None = None) -> FieldStatus:
    clocks = DeviceClocks(lambda _, point: newest if point == POINT else None, "Asia/Shanghai")
    return FieldStatus(arbiters, (), clocks)


async def test_every_line_of_the_gateway_is_told_of_with_its_devices(arbiter: Arbiter) -> None:
    (line,) = field_of(arbiter).lines()
    assert (line.id, line.url, line.kind) == ("plc", "tcp://192.168.3.9:8899", "tcp")
    assert [one.device for one in line.devices] == list(arbiter.devices)
    assert list(field_of(arbiter).counters()) == list(arbiter.devices)


async def test_a_device_that_no_line_has_is_unknown(arbiter: Arbiter) -> None:
    with pytest.raises(KeyError):
        field_of(arbiter).device("nowhere")


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("serial:///dev/ttyUSB0", "serial"),
        ("tcp://plc:502", "tcp"),
        ("mqtt://b", "mqtt"),
        ("mqtts://b", "mqtt"),
    ],
)
def test_the_kind_of_a_line_is_told_by_its_url(url: str, kind: str) -> None:
    assert line_status("bus", url, LineCounters(), {}).kind == kind


def test_a_line_is_connected_since_its_counters_say_so() -> None:
    counters = LineCounters(
        connected_since=AT, utilisation=0.123456, oldest_due_ms=12.6, last_error="line_down"
    )
    line = line_status("bus", "tcp://plc:502", counters, {"a": DeviceCounters(), "b": DeviceCounters()})
    assert (line.connected, line.since, line.utilisation, line.queue_age) == (True, AT, 0.1235, 13)
    assert (line.last_error, [one.device for one in line.devices]) == ("line_down", ["a", "b"])
    assert not line_status("bus", "tcp://plc:502", LineCounters(), {}).connected


def test_a_silent_device_is_told_with_its_likely_cause() -> None:
    counters = DeviceCounters()
    counters.succeeded(AT, partly=False)
    for _ in range(3):
        counters.errors["timeout"] += 1
        counters.failed("timeout")
    for latency in (10.0, 20.0, 30.0):
        counters.latencies_ms.append(latency)
    health = device_health("meter", counters)
    assert (health.state, health.cause, health.last_good) == ("silent", "power_or_wiring", AT)
    assert (health.ok, health.errors) == (1, {"timeout": 3})
    assert (health.latency_p50_ms, health.latency_p95_ms) == (20.0, 30.0)


def test_a_device_never_heard_of_has_no_latency_and_no_clock() -> None:
    health = device_health("meter", DeviceCounters())
    assert (health.state, health.cause, health.last_good) == ("unknown", None, None)
    assert (health.latency_p50_ms, health.clock_offset_ms, health.clock_replaced) == (None, None, 0)
