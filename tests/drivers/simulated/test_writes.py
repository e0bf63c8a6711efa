"""Simulated devices take writes, from independent masters and from the gateway's own drivers."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from drivers.errors import NotTaken, NotWritable
from drivers.line.settings import SerialLine
from drivers.mqtt.broker import MqttBroker
from drivers.mqtt.device import DeviceSlot
from drivers.mqtt.profile import MqttProfile
from drivers.mqtt.settings import MqttDevice, MqttLine
from drivers.profile import Profile
from drivers.reading import Reading
from drivers.registry import build_polled
from drivers.simulated.broker import Login, choose
from drivers.simulated.bus import Bus
from drivers.simulated.device import VirtualDevice
from drivers.simulated.mqtt import MqttPublisher
from drivers.simulated.serial import PtyLine
from edge.commissioning.line import open_line
from edge.config.library import Library, read_vocabulary
from edge.config.resources import builtin_configs
from tests.drivers.simulated.test_serial import master


def device(profile_id: str, settings: Any, **values: Any) -> VirtualDevice:
    vocabulary, _ = read_vocabulary(builtin_configs() / "vocabulary.yaml")
    assert vocabulary is not None
    library = Library([builtin_configs() / "profiles"], vocabulary)
    profile = library.profile(profile_id)
    assert isinstance(profile, Profile)
    points = library.points(profile)
    signals = {name: (lambda name=name: values.get(name)) for name in points}
    return VirtualDevice(settings, profile, points, signals)


def rtu(profile: str, address: int) -> Any:
    from drivers.modbus.settings import ModbusRtuDevice

    return ModbusRtuDevice.model_validate(
        {"id": f"{profile}-{address}", "space": "s", "line": "bus", "protocol": "modbus-rtu",
         "profile": profile, "address": address}
    )  # fmt: skip


async def test_an_air_conditioner_and_relays_obey_a_pymodbus_master(tmp_path: Path) -> None:
    relays = device("relay-8", rtu("relay-8", 1), **{f"on_{n}": False for n in range(1, 9)})
    cooler = device("gree-com-bms", rtu("gree-com-bms", 11), on=False, setpoint=26.0)
    bus = PtyLine(Bus([relays, cooler], 9600, seed=1), tmp_path / "bus")
    async with bus, master(bus.path) as client:
        assert not (await client.write_coil(2, True, device_id=1)).isError()
        assert (await client.read_coils(0, count=8, device_id=1)).bits[:8] == [n == 2 for n in range(8)]
        assert not (await client.write_registers(2, [170], device_id=11)).isError()
        assert (await client.read_holding_registers(2, count=1, device_id=11)).registers == [170]
        assert not (await client.write_registers(20, [24], device_id=11)).isError()
        assert (await client.read_holding_registers(20, count=1, device_id=11)).registers == [24]
        assert (await client.write_registers(2, [3], device_id=11)).exception_code == 3
        assert (await client.write_registers(3, [250], device_id=11)).exception_code == 2
        assert (await client.write_register(20, 24, device_id=11)).exception_code == 1
        assert (await client.write_coil(9, True, device_id=1)).exception_code == 2


async def test_the_gateways_own_driver_writes_and_reads_back_on_a_lent_line(tmp_path: Path) -> None:
    cooler = device("gree-com-bms", rtu("gree-com-bms", 11), on=False, setpoint=26.0)
    line = SerialLine(id="bus", url=f"serial:{tmp_path / 'bus'}")
    async with PtyLine(Bus([cooler], 9600, seed=1), tmp_path / "bus"), open_line(line) as arbiter:
        driver: Any = build_polled(cooler.settings, cooler.profile, cooler.points, line)
        assert await arbiter.lend(driver.write("on", True)) is True
        assert await arbiter.lend(driver.write("setpoint", 22.0)) == 22.0
        with pytest.raises(NotWritable, match="within 16 to 30"):
            driver.write("setpoint", 35.0)
        with pytest.raises(NotWritable, match="between two"):
            driver.write("setpoint", 22.5)


SWITCH = MqttProfile.model_validate(
    {"family": "mqtt", "id": "plug", "maker": "t", "model": "t", "kind": "relay", "source": "made up here",
     "points": {
         "on": {"pointer": "/state", "map": {"ON": True, "OFF": False},
                "write": {"suffix": "/set", "payload": '{"state":"{value}"}',
                          "words": {"true": "ON", "false": "OFF"}, "wait": "2s"}},
         "setpoint": {"pointer": "/target", "scale": 0.1,
                      "write": {"suffix": "/set/target", "min": 16, "max": 30, "wait": "1s"}},
     }}
)  # fmt: skip


async def test_an_mqtt_device_is_set_and_its_report_is_the_read_back(tmp_path: Path) -> None:
    login = Login("gateway", "secret-word")
    broker = choose(tmp_path, login)
    await broker.start()
    settings = MqttDevice.model_validate(
        {"id": "plug-1", "space": "s", "line": "broker", "protocol": "mqtt", "profile": "plug",
         "topic": "z/plug 1"}
    )  # fmt: skip
    vocabulary, _ = read_vocabulary(builtin_configs() / "vocabulary.yaml")
    assert vocabulary is not None
    points = {name: vocabulary.points[name] for name in SWITCH.points}
    thing = VirtualDevice(settings, SWITCH, points, {"on": lambda: False, "setpoint": lambda: 26.0})
    publisher = MqttPublisher([thing], 1, ("127.0.0.1", broker.port), login)
    line = MqttLine.model_validate(
        {"id": "broker", "url": f"mqtt://127.0.0.1:{broker.port}", "username": login.user,
         "password": {"secret": "x"}}
    )  # fmt: skip
    gateway = MqttBroker(line, [DeviceSlot(settings, SWITCH, points)], login.password, lambda: 1)
    readings: list[Reading] = []
    async with asyncio.timeout(30):
        tasks = [asyncio.create_task(publisher.run()), asyncio.create_task(gateway.listen(readings.extend))]
        try:
            while not readings:
                await asyncio.sleep(0.02)
            assert await gateway.write("plug-1", "on", True) is True
            assert await gateway.write("plug-1", "on", False) is False
            assert await gateway.write("plug-1", "setpoint", 21.5) == 21.5
            with pytest.raises(NotWritable):
                await gateway.write("plug-1", "setpoint", 50.0)
            publisher._things[0].obey = lambda *_: publisher._things[0].report(1)  # type: ignore[method-assign]
            with pytest.raises(NotTaken) as other:
                await gateway.write("plug-1", "setpoint", 18.0)
            assert other.value.found == 21.5
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            await broker.stop()
