"""One RS-485 line at 9600 8N1 on an emulated wire, in simulated time, beside the arithmetic of the wire.

The wire (tests/support/wire.py) takes the time of each byte and of the device's turn-round;
this gateway's own arbiter and driver talk over it, all else is left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import pairwise

from drivers.line.arbiter import Arbiter, Attached
from drivers.line.schedule import Rank
from drivers.line.settings import Framing, SerialLine
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.profile import ModbusProfile
from drivers.modbus.settings import ModbusRtuDevice
from drivers.reading import Quality, Reading
from drivers.vocabulary import PointSpec
from tests.bench.field import REGISTERS
from tests.bench.figures import percentile, wire_limit
from tests.bench.ours import CampusEdge
from tests.bench.stage import Pace, Sample, Stage
from tests.support.registers import modbus_slave
from tests.support.virtual_time import run_virtually
from tests.support.wire import EmulatedWire, WireDevice

DEVICES = 20
DEAD = 5
TURN_ROUND_S = 0.020
REQUEST, REPLY = 8, 5 + 2 * REGISTERS
GAPS_MS = (20, 4)
"""The line's `gap` at its default, and what 3.5 characters need (Modbus over serial line 1.02, 2.5.1.1)."""
LIMIT = "arithmetic of the wire"
_SPEC = PointSpec(unit="1", min=0, max=65535, zh="数", en="number")


CPU_S = 0.0045
"""Seconds that one simulated second takes, for estimates."""


def lasts(pace: Pace) -> float:
    """Seconds that the load takes, about."""
    return len(GAPS_MS) * pace.line_s * CPU_S


def limit(gap_ms: int) -> float:
    """Exchanges a second: bytes both ways, the device's turn-round, and the quiet before each request."""
    return wire_limit(9600, Framing.F8N1.bits, REQUEST, REPLY, TURN_ROUND_S + gap_ms / 1000)


def run(stage: Stage, name: str, dead: int) -> Iterator[Sample]:
    """All devices want to be read each second, more than the line can carry; `dead` of them are silent."""
    seconds = stage.pace.line_s
    stage.say(f"{name}: {seconds:.0f} simulated seconds")
    for gap_ms in GAPS_MS:
        variant = f"{name}, gap {gap_ms} ms"
        yield _one(variant, dead, gap_ms, seconds)
        yield Sample(variant, LIMIT, {"exchanges_per_s": limit(gap_ms), "of_limit": 1.0})


def _one(name: str, dead: int, gap_ms: int, seconds: float) -> Sample:
    line = SerialLine(id="bus", url="serial:/dev/null", gap=timedelta(milliseconds=gap_ms))
    slaves = [
        WireDevice(modbus_slave(unit, lambda _, count: list(range(count))), turn_round_s=TURN_ROUND_S)
        for unit in range(1, DEVICES + 1)
    ]
    for slave in slaves[::-1][:dead]:
        slave.dead = True
    attached = [_attach(line, unit) for unit in range(1, DEVICES + 1)]
    readings = _serve(line, EmulatedWire(slaves), attached, seconds)
    times: dict[str, list[float]] = {}
    for reading in readings:
        if reading.point == "r0" and reading.quality is Quality.GOOD:
            times.setdefault(reading.device, []).append(reading.at / 1000)
    rate = sum(map(len, times.values())) / seconds
    gaps = [b - a for one in times.values() for a, b in pairwise(one)]
    figures = {
        "exchanges_per_s": rate,
        "of_limit": rate / limit(gap_ms),
        "gap_p50_s": percentile(gaps, 0.5),
        "gap_p99_s": percentile(gaps, 0.99),
    }
    return Sample(name, CampusEdge.name, figures, {"gap_s": gaps})


def _attach(line: SerialLine, unit: int) -> Attached:
    points = {f"r{n}": {"address": n} for n in range(REGISTERS)}
    profile = ModbusProfile.model_validate(
        {
            "family": "modbus",
            "id": "b",
            "maker": "b",
            "model": "b",
            "kind": "contact",
            "source": "made for the bench",
            "points": points,
        }
    )
    settings = ModbusRtuDevice.model_validate(
        {
            "id": f"d{unit}",
            "space": "s",
            "line": "bus",
            "protocol": "modbus-rtu",
            "profile": "b",
            "address": unit,
            "every": "1s",
        }
    )
    driver = ModbusDriver(settings, profile, dict.fromkeys(points, _SPEC), line)
    return Attached(settings.id, driver, settings.every.total_seconds(), Rank.NORMAL)


def _serve(
    line: SerialLine, wire: EmulatedWire, devices: Sequence[Attached], seconds: float
) -> list[Reading]:
    readings: list[Reading] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        arbiter = Arbiter(line, wire, devices, readings.extend, lambda: round(loop.time() * 1000))
        try:
            async with asyncio.timeout(seconds):
                await arbiter.run()
        except TimeoutError:
            pass

    run_virtually(main())
    return readings
