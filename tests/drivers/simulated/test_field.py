"""A simulated field, read by the gateway's own drivers: what the devices measure is what arrives."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from drivers.dlt645.driver import Dlt645Driver
from drivers.line.arbiter import Arbiter, Attached
from drivers.line.schedule import Rank
from drivers.line.settings import FieldLine, SerialLine, TcpLine
from drivers.line.transport import transport_for
from drivers.modbus.driver import ModbusDriver
from drivers.reading import Quality, Reading
from drivers.simulated.device import VirtualDevice
from drivers.simulated.field import Field
from tests.drivers.simulated.devices import ENV_SPECS, METER_SPECS, environment, meter, unit
from tests.support.ports import free_port


def attach(device: VirtualDevice, line: FieldLine) -> Attached:
    settings: Any = device.settings
    driver = Dlt645Driver if settings.protocol == "dlt645" else ModbusDriver
    return Attached(settings.id, driver(settings, device.profile, device.points, line), 0.3, Rank.NORMAL)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def gateway(line: FieldLine, devices: Sequence[VirtualDevice]) -> AsyncIterator[list[Reading]]:
    readings: list[Reading] = []
    attached = [attach(device, line) for device in devices]
    arbiter = Arbiter(line, transport_for(line), attached, readings.extend, lambda: 1_760_000_000_000)
    task = asyncio.create_task(arbiter.run())
    try:
        yield readings
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def good(readings: list[Reading], wanted: set[tuple[str, str]]) -> dict[tuple[str, str], Any]:
    async with asyncio.timeout(8):
        while True:
            found = {(r.device, r.point): r.value for r in readings if r.quality is Quality.GOOD}
            if wanted <= found.keys():
                return found
            await asyncio.sleep(0.05)


def points(*devices: VirtualDevice) -> set[tuple[str, str]]:
    return {(device.settings.id, point) for device in devices for point in device.points}


EXPECTED_ENVIRONMENT = {
    "humidity": 61.2,
    "temperature": -3.1,
    "co2": 1507.0,
    "illuminance": 100_000.0,
    "noise": 52.25,
    "pressed": True,
    "open": True,
    "fault": True,
    "alarm": True,
}
EXPECTED_METER = {"energy_import": 12345.68, "voltage_l1": 228.4, "voltage_l3": 226.0, "active_power": -3.25}


async def test_modbus_and_dlt645_share_one_pty_at_their_own_speeds(tmp_path: Path) -> None:
    line = SerialLine(id="bus", url=f"serial:{tmp_path / 'bus'}", baudrate=9600)
    devices = [environment(1), meter(framing="8N1"), environment(2)]
    async with Field([line], devices, seed=1), gateway(line, devices) as readings:
        found = await good(readings, points(*devices))
    assert {name: found["env-2", name] for name in ENV_SPECS} == EXPECTED_ENVIRONMENT
    assert {name: found["em-17", name] for name in METER_SPECS} == EXPECTED_METER


async def test_a_transparent_serial_server_and_a_modbus_tcp_device_are_told_apart() -> None:
    transparent = TcpLine(id="bus", url=f"tcp://127.0.0.1:{free_port()}")
    plc = TcpLine(id="plc", url=f"tcp://127.0.0.1:{free_port()}")
    behind, unit_1 = [environment(1), meter()], [unit(1)]
    async with Field([transparent, plc], [*behind, *unit_1], seed=1):
        async with gateway(transparent, behind) as readings:
            assert (await good(readings, points(*behind)))["em-17", "voltage_l1"] == 228.4
        async with gateway(plc, unit_1) as readings:
            found = await good(readings, points(*unit_1))
            assert {name: found["unit-1", name] for name in ENV_SPECS} == EXPECTED_ENVIRONMENT


async def test_a_field_that_falls_silent_says_nothing_more(tmp_path: Path) -> None:
    line = SerialLine(id="bus", url=f"serial:{tmp_path / 'bus'}", timeout="200ms")
    devices = [environment(1)]
    async with Field([line], devices, seed=1) as field, gateway(line, devices) as readings:
        await good(readings, points(*devices))
        field.fall_silent()
        async with asyncio.timeout(8):
            while not any(reading.quality is Quality.BAD for reading in readings):
                await asyncio.sleep(0.05)
        readings.clear()
        await asyncio.sleep(1.5)
        assert readings
        assert all(reading.quality is Quality.BAD for reading in readings)
