"""libmodbus on both ends: its server read and written by our driver, its client on our simulators."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Sequence

from drivers.line.arbiter import Arbiter, Attached
from drivers.line.schedule import Rank
from drivers.line.settings import TcpLine
from drivers.line.transport import transport_for
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.profile import ModbusProfile
from drivers.modbus.settings import ModbusTcpDevice
from drivers.reading import Quality, Reading
from drivers.simulated.modbus_tcp import ModbusTcpServer
from drivers.vocabulary import PointSpec
from edge.clock import now
from tests.drivers.simulated.devices import unit
from tests.support.libmodbus import LibmodbusServer

NUMBER = PointSpec(unit="Cel", min=-1e9, max=1e9, zh="数", en="number")
SWITCH = PointSpec(unit="bool", type="switch", zh="开", en="switch")
PROFILE = ModbusProfile.model_validate(
    {
        "family": "modbus", "id": "t", "maker": "t", "model": "t", "kind": "relay", "source": "made up here",
        "points": {
            "humidity": {"address": 0, "scale": 0.1},
            "temperature": {"address": 1, "type": "s16", "scale": 0.1},
            "volume": {"address": 2, "type": "u32", "order": "CDAB"},
            "co2": {"table": "input", "address": 5},
            "setpoint": {"address": 20, "scale": 0.5, "write": {"function": 6}},
            "on": {"table": "coil", "address": 7, "write": {"function": 5}},
        },
    }
)  # fmt: skip


async def test_our_driver_reads_and_writes_a_libmodbus_server() -> None:
    registers = [551, 0xFFF6, 0x86A0, 0x0001]  # 55.1 %, -1.0 Cel, 100,000 with its words swapped
    with LibmodbusServer(registers, inputs=[0, 0, 0, 0, 0, 1050]) as server:
        line = TcpLine(id="plc", url=f"tcp://127.0.0.1:{server.port}")
        settings = ModbusTcpDevice.model_validate(
            {"id": "d", "space": "s", "line": "plc", "protocol": "modbus-tcp", "profile": "t", "address": 1}
        )
        specs = {name: SWITCH if name == "on" else NUMBER for name in PROFILE.points}
        driver = ModbusDriver(settings, PROFILE, specs, line)
        rounds: asyncio.Queue[Sequence[Reading]] = asyncio.Queue()
        arbiter = Arbiter(
            line, transport_for(line), [Attached("d", driver, 3600.0, Rank.NORMAL)], rounds.put_nowait, now
        )
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            serving = group.create_task(arbiter.run())
            first = await rounds.get()
            assert await arbiter.lend(driver.write("setpoint", 21.5)) == 21.5
            assert await arbiter.lend(driver.write("on", True)) is True
            serving.cancel()
        assert all(r.quality is Quality.GOOD for r in first), first
        assert {r.point: r.value for r in first} == {
            "humidity": 55.1, "temperature": -1.0, "volume": 100_000.0, "co2": 1050.0, "setpoint": 0.0,
            "on": False,
        }  # fmt: skip
        assert server.registers[20] == 43
        assert server.bits[7] == 1


async def test_mbpoll_reads_our_simulated_device() -> None:
    async with ModbusTcpServer([unit(1, co2=lambda: 420.0)], seed=1) as server:
        done = await asyncio.to_thread(
            subprocess.run,
            ["mbpoll", "-m", "tcp", "-p", str(server.port), "-a", "1", "-0", "-r", "4", "-c", "1", "-1",
             "-t", "4", "127.0.0.1"],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[4]: \t420" in done.stdout
