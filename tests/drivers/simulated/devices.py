"""Small devices with known values for the simulators' tests."""

from __future__ import annotations

from typing import Any

from drivers.dlt645.profile import Dlt645Profile
from drivers.dlt645.settings import Dlt645Device
from drivers.modbus.profile import ModbusProfile
from drivers.modbus.settings import ModbusRtuDevice, ModbusTcpDevice
from drivers.mqtt.profile import MqttProfile
from drivers.mqtt.settings import MqttDevice
from drivers.simulated.device import Signal, VirtualDevice
from drivers.vocabulary import PointSpec

SOURCE = "a profile made for this test"


def spec(unit: str = "1", **more: Any) -> PointSpec:
    return PointSpec(unit=unit, zh="点", en="point", **more)


ENV = ModbusProfile.model_validate(
    {
        "id": "env",
        "maker": "test",
        "model": "env",
        "kind": "classroom_env",
        "source": SOURCE,
        "family": "modbus",
        "limits": {"max_registers": 20, "max_gap": 2},
        "points": {
            "humidity": {"address": 0, "scale": 0.1},
            "temperature": {"address": 1, "scale": 0.1, "type": "s16"},
            "co2": {"address": 4, "scale": 1},
            "illuminance": {"address": 10, "type": "u32", "order": "CDAB"},
            "noise": {"table": "input", "address": 0, "type": "f32", "order": "DCBA"},
            "pressed": {"table": "discrete", "address": 3, "invert": True},
            "open": {"table": "discrete", "address": 4},
            "fault": {"address": 12, "type": "bit", "bit": 5},
            "alarm": {"address": 12, "type": "bit", "bit": 0},
        },
    }
)
ENV_SPECS = {
    "humidity": spec("%"),
    "temperature": spec("Cel"),
    "co2": spec("[ppm]"),
    "illuminance": spec("lx"),
    "noise": spec("dB(A)"),
    "pressed": spec("bool", type="switch"),
    "open": spec("bool", type="switch"),
    "fault": spec("bool", type="switch"),
    "alarm": spec("bool", type="switch"),
}
ENV_VALUES: dict[str, Signal] = {
    "humidity": lambda: 61.24,
    "temperature": lambda: -3.1,
    "co2": lambda: 1507.4,
    "illuminance": lambda: 100_000.0,
    "noise": lambda: 52.25,
    "pressed": lambda: True,
    "open": lambda: True,
    "fault": lambda: True,
    "alarm": lambda: True,
}
METER = Dlt645Profile.model_validate(
    {
        "id": "meter",
        "maker": "test",
        "model": "meter",
        "kind": "electricity_meter",
        "source": SOURCE,
        "family": "dlt645",
        "points": {
            "energy_import": {"di": "00010000", "bytes": 4, "decimals": 2},
            "voltage_l1": {"di": "02010100", "bytes": 2, "decimals": 1, "block": 0},
            "voltage_l3": {"di": "02010300", "bytes": 2, "decimals": 1, "block": 2},
            "active_power": {"di": "02030000", "bytes": 3, "decimals": 4, "signed": True, "block": 0},
        },
    }
)
METER_SPECS = {name: spec("1") for name in METER.points}
METER_VALUES: dict[str, Signal] = {
    "energy_import": lambda: 12345.678,
    "voltage_l1": lambda: 228.44,
    "voltage_l3": lambda: 226.0,
    "active_power": lambda: -3.25,
}
ADDRESS = "202211304417"


def environment(address: int, name: str = "", **signals: Signal) -> VirtualDevice:
    settings = ModbusRtuDevice(
        id=name or f"env-{address}",
        space="r1",
        line="bus",
        profile="env",
        protocol="modbus-rtu",
        address=address,
        baudrate=9600,
    )
    return VirtualDevice(settings, ENV, ENV_SPECS, {**ENV_VALUES, **signals})


def unit(address: int, **signals: Signal) -> VirtualDevice:
    settings = ModbusTcpDevice(
        id=f"unit-{address}", space="r1", line="plc", profile="env", protocol="modbus-tcp", address=address
    )
    return VirtualDevice(settings, ENV, ENV_SPECS, {**ENV_VALUES, **signals})


def meter(address: str = ADDRESS, framing: str = "8E1", **signals: Signal) -> VirtualDevice:
    settings = Dlt645Device.model_validate(
        {
            "id": f"em-{address[-2:]}",
            "space": "b1",
            "line": "bus",
            "profile": "meter",
            "protocol": "dlt645",
            "address": address,
            "framing": framing,
        }
    )
    return VirtualDevice(settings, METER, METER_SPECS, {**METER_VALUES, **signals})


THING = MqttProfile.model_validate(
    {
        "id": "thing",
        "maker": "test",
        "model": "thing",
        "kind": "classroom_env",
        "source": SOURCE,
        "family": "mqtt",
        "time": "/last_seen",
        "availability": "/availability",
        "points": {
            "temperature": {"pointer": "/temperature"},
            "active_power": {"pointer": "/ENERGY/Power/1", "scale": 0.001},
            "open": {"pointer": "/contact", "map": {"true": False, "false": True}},
            "pressed": {"pointer": "/action", "map": {"emergency": True}, "event": True},
            "noise": {"suffix": "/noise"},
        },
    }
)
THING_SPECS = {
    "temperature": spec("Cel"),
    "active_power": spec("kW", decimals=3),
    "open": spec("bool", type="switch"),
    "pressed": spec("bool", type="switch"),
    "noise": spec("dB(A)"),
}


def thing(topic: str = "zigbee2mqtt/room 1", every: str = "60s", **signals: Signal) -> VirtualDevice:
    settings = MqttDevice.model_validate(
        {
            "id": "thing-1",
            "space": "r1",
            "line": "broker",
            "profile": "thing",
            "protocol": "mqtt",
            "topic": topic,
            "every": every,
        }
    )
    values: dict[str, Signal] = {
        "temperature": lambda: 24.3271,
        "active_power": lambda: 1.25,
        "open": lambda: True,
        "pressed": lambda: False,
        "noise": lambda: 51.0,
    }
    return VirtualDevice(settings, THING, THING_SPECS, {**values, **signals})
