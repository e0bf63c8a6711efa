"""A rule acts: from a sensor's reading over a real gateway process to the wire of another device and back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pymodbus.pdu import ModbusPDU

from drivers.modbus.profile import ModbusProfile
from drivers.modbus.settings import ModbusTcpDevice
from drivers.reading import Value
from drivers.simulated.device import VirtualDevice
from drivers.simulated.faults import Fault
from drivers.simulated.modbus_tcp import ModbusTcpServer
from drivers.simulated.registers import Answered
from drivers.simulated.written import WRITES
from edge.config.library import Library, read_vocabulary
from edge.config.resources import builtin_configs
from tests.support.gateway import Gateway

PROBE = {
    "family": "modbus", "maker": "Probe Works", "model": "P1", "kind": "classroom_env", "source": "this test",
    "points": {"co2": {"address": 0}},
}  # fmt: skip
COOLER = {
    "family": "modbus", "maker": "Probe Works", "model": "C1", "kind": "air_conditioner",
    "source": "this test", "points": {
        "on": {"table": "coil", "address": 0, "write": {"function": 5, "pause": "0s"}},
        "active_power": {"address": 1, "scale": 0.001},
    },
}  # fmt: skip
RULES = {
    "rules": [
        {
            "id": "stale-air",
            "scope": {"each": "room"},
            "when": {"p": "co2", "op": "gt", "val": 1500, "clear": 1350},
            "do": [
                {
                    "cmd": "ac.off", "to": "room", "mode": "auto",
                    "verify": {"p": "active_power", "op": "lt", "val": 0.06, "within": "20s"},
                }
            ],
            "alarm": {
                "prio": 4, "owner": "teacher", "title": "空气", "consequence": "后果", "guide": "处理",
                "respond_within": "15m",
            },
        }
    ]
}  # fmt: skip


class Room:
    """A sensor and an air conditioner on one Modbus TCP line; counts what is written to the latter."""

    def __init__(self, folder: Path) -> None:
        vocabulary, _ = read_vocabulary(builtin_configs() / "vocabulary.yaml")
        assert vocabulary is not None
        library = Library([folder / "profiles"], vocabulary)
        self.co2, self.on, self.writes = 800.0, True, 0
        signals: dict[str, dict[str, Callable[[], Value]]] = {
            "probe": {"co2": lambda: self.co2},
            "cooler": {"on": lambda: self.on, "active_power": lambda: 1.2 if self.on else 0.0},
        }
        devices = []
        for number, name in enumerate(signals, start=1):
            profile = library.profile(name)
            assert isinstance(profile, ModbusProfile), library.faults
            settings = ModbusTcpDevice.model_validate(
                {"id": name, "space": "r1", "line": "plc", "protocol": "modbus-tcp", "profile": name,
                 "address": number}
            )  # fmt: skip
            devices.append(
                VirtualDevice(settings, profile, library.points(profile), signals[name], {"on": self._switch})
            )
        self.server = ModbusTcpServer(devices, seed=1)
        unit = self.server._units[2]
        answer = unit.answer

        def counted(request: ModbusPDU) -> Answered:
            self.writes += request.function_code in WRITES
            return answer(request)

        unit.answer = counted  # type: ignore[method-assign]

    def _switch(self, value: Value) -> None:
        self.on = value is True


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "gateway"


@contextlib.asynccontextmanager
async def school(folder: Path) -> Any:
    """The room and its gateway, which does not run yet."""
    (folder / "made").mkdir(parents=True)
    (folder / "made" / "profiles").mkdir()
    for name, profile in (("probe", PROBE), ("cooler", COOLER)):
        text = json.dumps({"id": name, **profile})
        (folder / "made" / "profiles" / f"{name}.yaml").write_text(text)
    room = Room(folder / "made")
    async with room.server:
        gateway = Gateway(
            folder / "runs",
            {
                "site": {"id": "s", "name": "校", "district": "d", "latitude": 34.5, "longitude": 109.5},
                "spaces": [{"id": "r1", "name": "教室", "kind": "classroom"}],
                "lines": [{"id": "plc", "url": f"tcp://127.0.0.1:{room.server.port}"}],
                "devices": [
                    {"id": "env", "space": "r1", "line": "plc", "protocol": "modbus-tcp", "profile": "probe",
                     "address": 1, "every": "200ms"},
                    {"id": "ac", "space": "r1", "line": "plc", "protocol": "modbus-tcp", "profile": "cooler",
                     "address": 2, "every": "200ms"},
                ],
                "actions": {"shadow": "0s"},
            },
            secrets={}, profiles={"probe": PROBE, "cooler": COOLER}, rules=RULES,
        )  # fmt: skip
        try:
            yield room, gateway
        finally:
            await asyncio.to_thread(gateway.close)


async def until(what: Callable[[], bool], seconds: float = 40.0) -> None:
    """Waits for something in this process, or in the gateway's files."""
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(what):
            await asyncio.sleep(0.02)


def states(gateway: Gateway) -> list[str]:
    """The decisions' states, oldest first, as they stand on disk."""
    with closing(sqlite3.connect(f"file:{gateway.data / 'core.db'}?mode=ro", uri=True)) as connection:
        return [row[0] for row in connection.execute("SELECT state FROM action ORDER BY id")]


async def known(gateway: Gateway) -> None:
    """Waits until the air conditioner answers."""
    await until(lambda: gateway.get("/devices/ac")["health"]["state"] == "ok")


async def test_a_reading_moves_another_device_and_the_end_of_the_alarm_moves_it_back(folder: Path) -> None:
    async with school(folder) as (room, gateway):
        await asyncio.to_thread(gateway.begin)
        await known(gateway)
        room.co2 = 1800.0
        await until(lambda: states(gateway) == ["effective"])
        assert (room.on, room.writes) == (False, 1)
        (action,) = (await asyncio.to_thread(gateway.get, "/actions"))["items"]
        assert (action["rule"], action["device"], action["value"]) == ("stale-air", "ac", False)
        (lever,) = (await asyncio.to_thread(gateway.get, "/actions/levers"))["items"]
        assert (lever["rules"], lever["found"]) == (["stale-air"], True)
        told = await asyncio.to_thread(gateway.get, "/rules/stale-air/explain", scope="r1")
        assert [(deed["state"], deed["cmd"]) for deed in told["deeds"]] == [("holds", "ac.off")]
        room.co2 = 900.0
        await until(lambda: states(gateway) == ["effective", "confirmed"])
        assert (room.on, room.writes) == (True, 2)
        command = ["rules", "actions", "-c", str(gateway.config), "--data", str(gateway.data)]
        listed = await asyncio.to_thread(gateway.cli, *command)
        assert "effective" in listed
        assert "ac.off back" in listed
        await asyncio.to_thread(gateway.stop)


@pytest.mark.slow
async def test_a_kill_while_it_is_on_the_wire_sends_no_second_time_and_undoes_once(folder: Path) -> None:
    async with school(folder) as (room, gateway):
        await asyncio.to_thread(gateway.begin)
        await known(gateway)
        room.server.faults["cooler"] = Fault(dead=True)  # it obeys, but its answers are lost
        room.co2 = 1800.0
        await until(lambda: room.writes == 1)
        await asyncio.to_thread(gateway.kill)
        room.server.faults.clear()
        await asyncio.to_thread(gateway.begin)
        await known(gateway)
        await until(lambda: states(gateway) == ["unknown"])
        await asyncio.sleep(1.0)
        assert room.writes == 1
        await asyncio.to_thread(gateway.kill)
        room.co2 = 900.0  # over while the gateway is down
        await asyncio.to_thread(gateway.begin)
        await until(lambda: states(gateway) == ["unknown", "confirmed"])
        await asyncio.to_thread(gateway.kill)
        await asyncio.to_thread(gateway.begin)
        await known(gateway)
        await asyncio.sleep(1.0)
        assert (room.on, room.writes) == (True, 2)
        await asyncio.to_thread(gateway.stop)


@pytest.mark.slow
@pytest.mark.parametrize("pause_s", [0.0, 0.003, 0.01, 0.03])
async def test_a_kill_right_after_the_decision_sends_at_most_once(folder: Path, pause_s: float) -> None:
    async with school(folder) as (room, gateway):
        await asyncio.to_thread(gateway.begin)
        await known(gateway)
        room.co2 = 1800.0
        async with asyncio.timeout(40):
            while not states(gateway):
                await asyncio.sleep(0)
        await asyncio.sleep(pause_s)
        await asyncio.to_thread(gateway.kill)
        await asyncio.to_thread(gateway.begin)
        await known(gateway)
        await until(lambda: states(gateway) in (["effective"], ["unknown"], ["confirmed"]))
        assert room.writes <= 1
        assert room.on or room.writes == 1
        await asyncio.to_thread(gateway.stop)
