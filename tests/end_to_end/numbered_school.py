"""A small school whose every value is a sequence number: four protocols, real servers.

Two DL/T 645 meters and three Modbus RTU sensors share one line at two baud rates, three
units sit behind Modbus TCP, four sensors speak MQTT. What was sent is in `ledger`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.dlt645.profile import Dlt645Profile
from drivers.dlt645.settings import Dlt645Device
from drivers.modbus.profile import ModbusProfile
from drivers.modbus.settings import ModbusRtuDevice, ModbusTcpDevice
from drivers.mqtt.profile import MqttProfile
from drivers.mqtt.settings import MqttDevice
from drivers.profile import Profile
from drivers.settings import DeviceSettings
from drivers.simulated.bus import Bus
from drivers.simulated.device import VirtualDevice
from drivers.simulated.ledger import Ledger
from drivers.simulated.modbus_tcp import ModbusTcpServer
from drivers.simulated.mqtt import MqttPublisher
from drivers.simulated.serial import PtyLine
from tests.support.gateway import Gateway
from tests.support.influx import InfluxServer
from tests.support.mosquitto import Mosquitto

MEASUREMENT = "contact"
_HEAD = {"maker": "test", "model": "numbered", "kind": MEASUREMENT, "source": "made for the ledger test"}
_WORDS = {"number": {"unit": "1", "zh": "序号", "en": "number", "decimals": 0}}
PROFILES: Mapping[str, Mapping[str, Any]] = {
    "numbered-modbus": {
        **_HEAD, "adds": _WORDS, "family": "modbus",
        "points": {"number": {"address": 0, "type": "u32"}},
    },
    "numbered-dlt645": {
        **_HEAD, "adds": _WORDS, "family": "dlt645",
        "points": {"number": {"di": "00010000", "bytes": 4, "decimals": 0}},
    },
    "numbered-mqtt": {
        **_HEAD, "adds": _WORDS, "family": "mqtt",
        "points": {"number": {"pointer": "/number"}},
    },
}  # fmt: skip


def _devices(timeout: str) -> list[dict[str, Any]]:
    common = {"space": "room", "every": "200ms"}
    rtu = [
        {
            "id": f"rtu-{n}",
            "line": "bus",
            "protocol": "modbus-rtu",
            "profile": "numbered-modbus",
            "address": n,
        }
        for n in (1, 2, 3)
    ]
    meters = [
        {"id": f"dlt-{n}", "line": "bus", "protocol": "dlt645", "profile": "numbered-dlt645",
         "address": f"20221130441{n}", "baudrate": 2400, "framing": "8N1", "timeout": timeout}
        for n in (1, 2)
    ]  # fmt: skip
    tcp = [
        {
            "id": f"tcp-{n}",
            "line": "plc",
            "protocol": "modbus-tcp",
            "profile": "numbered-modbus",
            "address": n,
        }
        for n in (1, 2, 3)
    ]
    mqtt = [
        {
            "id": f"mqtt-{n}",
            "line": "broker",
            "protocol": "mqtt",
            "profile": "numbered-mqtt",
            "topic": f"s/{n}",
        }
        for n in (1, 2, 3, 4)
    ]
    return [{**common, **device} for device in (*rtu, *meters, *tcp, *mqtt)]


_SETTINGS: Mapping[str, type[DeviceSettings]] = {
    "modbus-rtu": ModbusRtuDevice, "modbus-tcp": ModbusTcpDevice, "dlt645": Dlt645Device, "mqtt": MqttDevice,
}  # fmt: skip
_FAMILIES: Mapping[str, type[Profile]] = {
    "numbered-modbus": ModbusProfile, "numbered-dlt645": Dlt645Profile, "numbered-mqtt": MqttProfile,
}  # fmt: skip


@dataclass
class NumberedSchool:
    """The running parts; `gateway` is not started yet."""

    gateway: Gateway
    influx: InfluxServer
    broker: Mosquitto
    ledger: Ledger
    bus: Bus
    line: PtyLine
    plc: ModbusTcpServer
    publisher: MqttPublisher

    async def begin(self) -> None:
        """Starts the gateway; the MQTT devices speak once it has subscribed for the first time."""
        await asyncio.to_thread(self.gateway.begin)
        self.publisher.producing = True

    async def quiet(self) -> None:
        """The devices stop producing; what is under way arrives."""
        self.publisher.producing = False
        self.bus.silent = True
        await self.plc.stop()
        async with asyncio.timeout(30):
            while self.publisher.waiting:
                await asyncio.sleep(0.1)
        await asyncio.sleep(1.0)

    def sent(self) -> dict[str, list[float]]:
        """Device -> the numbers it sent."""
        return {
            device: [float(v) for v in values if v is not None and not isinstance(v, str)]
            for (device, _), values in self.ledger.sent.items()
        }

    def stored(self) -> dict[str, list[float]]:
        """Device -> the good numbers stored."""
        return {device: values for (device, _), values in self.gateway.stored().items()}

    async def delivered(self) -> dict[str, list[float]]:
        """Device -> the numbers that the server holds, by time."""
        found: dict[str, list[float]] = {}
        for row in await self.influx.rows(MEASUREMENT):
            found.setdefault(row["device"], []).append(row["number"])
        return found

    async def alarms(self, rule: str) -> list[dict[str, Any]]:
        """All alarms of a rule, ended ones too."""
        found = (await asyncio.to_thread(self.gateway.get, "/alarms", state="all"))["items"]
        return [alarm for alarm in found if alarm["rule"] == rule]

    async def drained(self, within_s: float = 60.0) -> None:
        """Waits until nothing is pending."""
        async with asyncio.timeout(within_s):
            while True:
                (destination,) = (await asyncio.to_thread(self.gateway.get, "/sync"))["items"]
                if destination["pending"] == 0:
                    return
                await asyncio.sleep(0.2)


@asynccontextmanager
async def numbered_school(
    folder: Path,
    *,
    rules: Mapping[str, Any] | None = None,
    notify: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
    district_host: str = "127.0.0.1",
    timeout: str = "5s",
    devices: Sequence[Mapping[str, Any]] = (),
    profiles: Mapping[str, Mapping[str, Any]] | None = None,
) -> AsyncIterator[NumberedSchool]:
    """Everything but the gateway runs; its configuration is written, with the district at a host.

    `devices`, of `profiles` of their own, stand in the configuration too, and the caller plays them.
    The devices answer out of the test's own process: the gateway's `timeout` is long, so that a busy
    machine does not make it ask twice and drop a late reply which the ledger counts as sent.
    """
    described = _devices(timeout)
    ledger = Ledger()
    played: dict[str, list[VirtualDevice]] = {"bus": [], "plc": [], "broker": []}
    for description in described:
        settings = _SETTINGS[description["protocol"]].model_validate(description)
        name = description["profile"]
        profile = _FAMILIES[name].model_validate({"id": name, **PROFILES[name]})
        signals = {"number": ledger.numbered(settings.id, "number")}
        played[settings.line].append(VirtualDevice(settings, profile, dict(profile.adds), signals))
    (folder / "mosquitto").mkdir(parents=True, exist_ok=True)
    with Mosquitto(folder / "mosquitto", users={"gateway": "g-secret", "devices": "d-secret"}) as broker:
        bus = Bus(played["bus"], 9600, seed=1)
        plc = ModbusTcpServer(played["plc"], seed=1, ledger=ledger)
        publisher = MqttPublisher(
            played["broker"], 1, ("127.0.0.1", broker.port), ("devices", "d-secret"), ledger
        )
        publisher.producing = False
        async with InfluxServer(folder) as influx, PtyLine(bus, folder / "bus", ledger) as line, plc:
            config = {
                "site": {"id": "test", "name": "试验学校", "district": "linwei", "latitude": 34.5,
                         "longitude": 109.5},
                "spaces": [{"id": "b1", "name": "教学楼", "kind": "building"},
                           {"id": "room", "name": "一〇一", "kind": "classroom", "in": "b1"}],
                "lines": [
                    {"id": "bus", "url": f"serial:{line.path}", "gap": "5ms",
                     "timeout": timeout},
                    {"id": "plc", "url": f"tcp://127.0.0.1:{plc.port}", "timeout": timeout},
                    {"id": "broker", "url": broker.url, "username": "gateway",
                     "password": {"secret": "mqtt"}},
                ],
                "devices": [*described, *devices],
                "store": {"group": "1s"},
                "sync": [
                    {"id": "district", "url": influx.url.replace("127.0.0.1", district_host),
                     "org": influx.org, "bucket": influx.bucket,
                     "token": {"secret": "influx"}, "interval": "500ms", "retry_max": "2s", "drain": 1.0}
                ],
                **({"notify": notify} if notify else {}),
                **(extra or {}),
            }  # fmt: skip
            gateway = Gateway(
                folder / "gateway", config, secrets={"mqtt": "g-secret", "influx": influx.token},
                profiles={**PROFILES, **(profiles or {})}, rules=rules,
            )  # fmt: skip
            async with asyncio.TaskGroup() as group:
                publishing = group.create_task(publisher.run())
                try:
                    yield NumberedSchool(gateway, influx, broker, ledger, bus, line, plc, publisher)
                finally:
                    gateway.close()
                    publishing.cancel()
