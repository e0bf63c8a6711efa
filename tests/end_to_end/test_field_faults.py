"""Trouble in the field stays where it is: no wrong value, no other line disturbed, no idle running hot."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Container, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from drivers.modbus.profile import ModbusProfile
from drivers.modbus.settings import ModbusTcpDevice
from drivers.simulated.bus import Spoken
from drivers.simulated.device import VirtualDevice
from drivers.simulated.faults import Fault
from drivers.simulated.ledger import Ledger
from drivers.simulated.modbus_tcp import ModbusTcpServer
from tests.end_to_end.numbered_school import PROFILES, NumberedSchool, numbered_school
from tests.support.gateway import Gateway

SPOILT = 3
"""Replies in a row; fewer than make a device silent, which would then only be probed."""
RECOVERS_WITHIN = 3
NOISE = {
    "rtu-1": Fault(wrong_checksum=True, replies=SPOILT),
    "rtu-2": Fault(keep=4, replies=SPOILT),
    "rtu-3": Fault(late_s=0.7, replies=SPOILT),
    "dlt-1": Fault(before=b"\x5a\x00\xff", after=b"\x68\x11", replies=SPOILT),
    "dlt-2": Fault(wrong_checksum=True, echo=True, replies=SPOILT),
}
UNPLUGGED = {
    "rules": [
        {
            "id": "line-lost", "scope": {"each": "device"}, "when": {"p": "*", "agg": "absent", "over": "5s"},
            "for": "0s",
            "alarm": {
                "prio": 3, "owner": "it", "respond_within": "4h", "title": {"zh": "失联", "en": "silent"},
                "consequence": {"zh": "无", "en": "none"}, "guide": {"zh": "无", "en": "none"},
            },
        },
    ]
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_noise_and_a_pulled_adapter_on_one_bus_cost_that_bus_alone_and_no_wrong_value(
    tmp_path: Path,
) -> None:
    async with numbered_school(tmp_path, rules=UNPLUGGED, timeout="500ms") as school:
        await school.begin()
        await asyncio.sleep(2)
        school.bus.faults.update({name: replace(fault) for name, fault in NOISE.items()})
        async with asyncio.timeout(20):
            while any(fault.replies for fault in school.bus.faults.values()):
                await asyncio.sleep(0.1)
        await asyncio.sleep(1.5)  # a group is committed
        noisy = school.gateway.stored(quality=2)

        early = {alarm["id"] for alarm in await school.alarms("line-lost")}  # nobody speaks at first
        school.line.unplug()
        async with asyncio.timeout(20):
            while not await _lost(school, early):
                await asyncio.sleep(0.1)
        school.line.plug()
        before = {name: school.ledger.number(name, "number") for name in NOISE}
        async with asyncio.timeout(60):
            while any(school.ledger.number(name, "number") == before[name] for name in NOISE):
                await asyncio.sleep(0.1)
            while not all((await _lost(school, early)).values()):
                await asyncio.sleep(0.1)
        assert set(await _lost(school, early)) <= set(NOISE), "other lines were not to notice anything"

        await school.quiet()
        await asyncio.sleep(2)
        await school.drained()
        await asyncio.to_thread(school.gateway.stop)
        sent, stored, delivered = school.sent(), school.stored(), await school.delivered()
        for device, numbers in sent.items():
            assert delivered[device] == stored[device], device
            if device not in NOISE:
                assert stored[device] == numbers, device
                continue
            assert set(stored[device]) <= set(numbers), "a value was taken that was never sent"
            lost = [name for (name, _), values in noisy.items() for _ in values if name == device]
            assert len(lost) <= SPOILT + RECOVERS_WITHIN, f"{device} did not come back in time"


async def _lost(school: NumberedSchool, early: Container[str]) -> dict[str, bool]:
    """The devices of which nothing came since then, and whether they are back."""
    return {
        alarm["scope"]: alarm["cleared_at"] is not None
        for alarm in await school.alarms("line-lost")
        if alarm["id"] not in early and alarm["scope"] != "gateway"
    }


class Manner(Enum):
    """How a Modbus TCP device treats who asks."""

    WELL = "as it should"
    MUTE = "it accepts and never answers"
    TRICKLING = "a byte a second"
    ANOTHER = "answers to a question that nobody asked"
    ENDLESS = "says that its reply has 65,535 bytes"


class BadPlc(ModbusTcpServer):
    """A device that can behave in other ways; it counts who connects."""

    def __init__(self, device: VirtualDevice, ledger: Ledger, manner: Manner) -> None:
        super().__init__([device], seed=1, ledger=ledger)
        self.manner = manner
        self.connections = 0
        self.asked = 0
        self.heals = False
        """A new connection is served as it should be."""

    def enter(self, link: Any) -> None:
        self.connections += 1
        if self.heals:
            self.manner = Manner.WELL
        super().enter(link)

    def hear(self, buffer: bytearray) -> list[Spoken]:
        if self.manner is Manner.WELL:
            return super().hear(buffer)
        request = bytes(buffer)
        buffer.clear()
        self.asked += 1
        header, body = request[:2], request[6:7] + bytes((3, 4, 0, 9, 9, 9))
        match self.manner:
            case Manner.TRICKLING:
                frame = header + bytes((0, 0, 0, 7)) + body
                return [Spoken(1.0 * n, frame[n : n + 1], "", {}) for n in range(len(frame))]
            case Manner.ANOTHER:
                other = (int.from_bytes(header) ^ 0x5555).to_bytes(2)
                return [Spoken(0.005, other + bytes((0, 0, 0, 7)) + body, "", {})]
            case Manner.ENDLESS:
                return [Spoken(0.005, header + bytes((0, 0, 255, 255)) + body * 100, "", {})]
        return []


def _cpu_s(pid: int) -> float:
    """Seconds that a process has computed so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.timeout(120)
async def test_modbus_tcp_devices_that_hang_babble_and_lie_cost_neither_others_nor_the_processor(
    tmp_path: Path,
) -> None:
    ledger = Ledger()
    plcs = {manner.name.lower(): _plc(manner.name.lower(), ledger) for manner in Manner}
    async with AsyncExitStack() as stack:
        for plc in plcs.values():
            await stack.enter_async_context(plc)
        gateway = _gateway(tmp_path, plcs)
        stack.callback(gateway.close)
        await asyncio.to_thread(gateway.start)
        await _each_sends(ledger, plcs)

        for manner in Manner:
            plcs[manner.name.lower()].manner = manner
        well, began, used = ledger.number("well", "number"), time.monotonic(), _cpu_s(gateway.pid)
        await asyncio.sleep(4)
        share = (_cpu_s(gateway.pid) - used) / (time.monotonic() - began)
        assert share < 0.2, f"{share:.0%} of a core for five devices"
        assert ledger.number("well", "number") - well > 8, "a line of its own is not held up"
        for name, plc in plcs.items():
            if name != "well":
                assert plc.asked < 40, f"{name}: asked {plc.asked} times in four seconds"
                device = await asyncio.to_thread(gateway.get, f"/devices/{name}")
                assert device["health"]["state"] != "ok", name

        await asyncio.to_thread(gateway.stop)
        for (name, _), values in gateway.stored().items():
            sent = [value for value in ledger.sent[name, "number"] if isinstance(value, float)]
            assert set(values) <= set(sent), f"{name}: a value was taken that was never sent"


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_half_open_connection_is_given_up_and_opened_anew(tmp_path: Path) -> None:
    ledger = Ledger()
    async with AsyncExitStack() as stack:
        plc = _plc("mute", ledger)
        await stack.enter_async_context(plc)
        gateway = _gateway(tmp_path, {"mute": plc})
        stack.callback(gateway.close)
        await asyncio.to_thread(gateway.start)
        await _each_sends(ledger, {"mute": plc})
        plc.manner, plc.heals = Manner.MUTE, True
        await _each_sends(ledger, {"mute": plc})
        assert plc.connections == 2
        await asyncio.to_thread(gateway.stop)


def _device(name: str) -> dict[str, Any]:
    return {
        "id": name, "line": name, "protocol": "modbus-tcp", "profile": "numbered-modbus", "address": 1,
        "space": "room", "every": "200ms", "timeout": "300ms",
    }  # fmt: skip


def _plc(name: str, ledger: Ledger) -> BadPlc:
    """A device that still behaves; its values are numbered."""
    profile = ModbusProfile.model_validate({"id": "numbered-modbus", **PROFILES["numbered-modbus"]})
    signals = {"number": ledger.numbered(name, "number")}
    settings = ModbusTcpDevice.model_validate(_device(name))
    return BadPlc(VirtualDevice(settings, profile, dict(profile.adds), signals), ledger, Manner.WELL)


def _gateway(folder: Path, plcs: Mapping[str, BadPlc]) -> Gateway:
    """A gateway over one line for each running device."""
    config = {
        "site": {"id": "test", "name": "试验学校", "district": "d", "latitude": 34.5, "longitude": 109.5},
        "spaces": [{"id": "room", "name": "一〇一", "kind": "classroom"}],
        "lines": [{"id": name, "url": f"tcp://127.0.0.1:{plc.port}"} for name, plc in plcs.items()],
        "devices": [_device(name) for name in plcs],
        "store": {"group": "1s"},
    }  # fmt: skip
    return Gateway(folder / "gateway", config, secrets={}, profiles=PROFILES)


async def _each_sends(ledger: Ledger, names: Iterable[str]) -> None:
    """Every device is read once more."""
    before = {name: ledger.number(name, "number") for name in names}
    async with asyncio.timeout(60):
        while any(ledger.number(name, "number") == number for name, number in before.items()):
            await asyncio.sleep(0.1)
