"""The arbiter on an emulated wire, in simulated time."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median

import pytest

from drivers.errors import LineDown
from drivers.line.arbiter import Arbiter, Attached
from drivers.line.counters import Cause, DeviceState
from drivers.line.schedule import Rank
from drivers.line.settings import SerialLine
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.profile import ModbusProfile
from drivers.modbus.settings import ModbusRtuDevice
from drivers.reading import Quality, Reading
from drivers.vocabulary import PointSpec
from tests.support.registers import modbus_slave
from tests.support.virtual_time import run_virtually
from tests.support.wire import EmulatedWire, WireDevice

LINE = SerialLine(id="bus", url="serial:/dev/null")
SPEC = PointSpec(unit="1", min=0, max=65535, zh="数", en="number")


def attach(unit: int, every: str = "1s", registers: int = 3, rank: Rank = Rank.NORMAL) -> Attached:
    points = {f"r{n}": {"address": n} for n in range(registers)}
    profile = ModbusProfile.model_validate(
        {"family": "modbus", "id": "t", "maker": "t", "model": "t", "kind": "contact",
         "source": "made up here", "points": points}
    )  # fmt: skip
    settings = ModbusRtuDevice.model_validate(
        {"id": f"d{unit}", "space": "s", "line": "bus", "protocol": "modbus-rtu", "profile": "t",
         "address": unit, "every": every}
    )  # fmt: skip
    driver = ModbusDriver(settings, profile, dict.fromkeys(points, SPEC), LINE)
    return Attached(settings.id, driver, settings.every.total_seconds(), rank)


def counting_slave(unit: int) -> WireDevice:
    """Its registers hold the unit and the number of reads so far."""
    reads = 0

    def read(address: int, count: int) -> list[int]:
        nonlocal reads
        reads += 1
        return [unit, reads & 0xFFFF, unit ^ 0x55AA, *range(count)][:count]

    return WireDevice(modbus_slave(unit, read))


def serve(
    wire: EmulatedWire,
    devices: Sequence[Attached],
    seconds: float,
    meanwhile: Callable[[], None] | None = None,
) -> tuple[Arbiter, list[Reading]]:
    """Runs an arbiter for simulated seconds; what it read."""
    readings: list[Reading] = []

    async def main() -> Arbiter:
        loop = asyncio.get_running_loop()
        arbiter = Arbiter(LINE, wire, devices, readings.extend, lambda: round(loop.time() * 1000))
        if meanwhile is not None:
            loop.call_later(seconds / 2, meanwhile)
        try:
            async with asyncio.timeout(seconds):
                await arbiter.run()
        except TimeoutError:
            pass
        return arbiter

    return run_virtually(main()), readings


def times(readings: Sequence[Reading], point: str = "r0") -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for reading in readings:
        if reading.point == point:
            found[reading.device].append(reading.at)
    return found


def test_nine_live_devices_keep_their_period_beside_a_dead_one(caplog: pytest.LogCaptureFixture) -> None:
    slaves = [counting_slave(unit) for unit in range(1, 11)]
    slaves[4].dead = True
    with caplog.at_level(logging.WARNING):
        arbiter, readings = serve(EmulatedWire(slaves), [attach(u) for u in range(1, 11)], 120)
    for device, at in times([r for r in readings if r.quality is Quality.GOOD]).items():
        gaps = [b - a for a, b in pairwise(at[2:])]
        assert abs(median(gaps) - 1000) <= 50, device
        assert len(at) >= 115, device
    dead = arbiter.devices["d5"].counters
    assert dead.state is DeviceState.SILENT
    assert dead.cause is Cause.POWER_OR_WIRING
    bad = [r for r in readings if r.device == "d5"]
    assert {r.reason for r in bad} == {"timeout"}
    assert all(r.value is None for r in bad)
    told = [record for record in caplog.records if "d5" in record.getMessage()]
    assert len(told) == 1
    assert "power_or_wiring" in told[0].getMessage()


def test_a_device_that_comes_back_is_found_by_a_probe_and_keeps_its_period_again() -> None:
    slave = counting_slave(1)
    slave.dead = True

    def repair() -> None:
        slave.dead = False

    arbiter, readings = serve(
        EmulatedWire([slave, counting_slave(2)]), [attach(1), attach(2)], 200, meanwhile=repair
    )
    assert arbiter.devices["d1"].counters.state is DeviceState.OK
    good = times([r for r in readings if r.quality is Quality.GOOD])["d1"]
    assert good[0] >= 100_000
    assert len(good) >= 30


def test_a_failed_read_is_a_bad_reading_and_the_old_value_gets_no_new_time() -> None:
    slave = counting_slave(1)

    def die() -> None:
        slave.dead = True

    wire = EmulatedWire([slave, counting_slave(2)])
    _, readings = serve(wire, [attach(1), attach(2)], 20, meanwhile=die)
    after = [r for r in readings if r.device == "d1" and r.at > 10_600]
    assert after
    assert all(r.quality is Quality.BAD and r.value is None for r in after)


def test_noise_echo_and_lost_bytes_never_become_a_wrong_value() -> None:
    chance = random.Random(7)

    def spoil(reply: bytes) -> bytes:
        data = bytearray(reply)
        match chance.randrange(8):
            case 0:
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            case 1:
                del data[chance.randrange(len(data))]
            case 2:
                data.insert(chance.randrange(len(data)), chance.randrange(256))
            case 3:
                data = bytearray(chance.randbytes(chance.randrange(1, 6))) + data
            case 4:
                data += chance.randbytes(chance.randrange(1, 6))
        return bytes(data)

    units = range(1, 6)
    wire = EmulatedWire([counting_slave(u) for u in units], spoil=spoil, echo=True)
    arbiter, readings = serve(wire, [attach(u) for u in units], 600)
    good = [r for r in readings if r.quality is Quality.GOOD]
    assert len(good) > 5000  # of 9,000 asked for; three replies in eight are hurt
    assert all(r.value == int(r.device[1:]) for r in good if r.point == "r0")
    assert all(r.value == int(r.device[1:]) ^ 0x55AA for r in good if r.point == "r2")
    assert {r.reason for r in readings if r.quality is Quality.BAD} <= {"crc", "noise", "echo", "timeout"}
    assert sum(sum(d.counters.errors.values()) for d in arbiter.devices.values()) > 0


def test_devices_of_another_speed_share_the_line() -> None:
    slow = counting_slave(7)
    slow.baudrate = 2400
    device = attach(7)
    driver = device.driver
    assert isinstance(driver, ModbusDriver)
    driver._baudrate = 2400
    _, readings = serve(EmulatedWire([slow, counting_slave(1)]), [device, attach(1)], 30)
    good = times([r for r in readings if r.quality is Quality.GOOD])
    assert len(good["d7"]) >= 28
    assert len(good["d1"]) >= 28


def test_an_emergency_contact_waits_at_most_one_exchange_on_a_saturated_line() -> None:
    units = range(2, 22)
    wire = EmulatedWire([counting_slave(u) for u in (1, *units)])
    panic = attach(1, every="100ms", registers=1, rank=Rank.EMERGENCY)
    arbiter, readings = serve(wire, [panic, *(attach(u, registers=20) for u in units)], 60)
    at = times(readings)["d1"]
    gaps = sorted(b - a for a, b in pairwise(at))
    assert gaps[int(len(gaps) * 0.99)] <= 250
    assert arbiter.counters.utilisation > 0.95


def test_a_saturated_line_is_used_to_the_limit_of_its_arithmetic() -> None:
    units = range(1, 21)
    wire = EmulatedWire([counting_slave(u) for u in units])
    _, readings = serve(wire, [attach(u, every="1s", registers=20) for u in units], 300)
    exchange_s = (8 + 45) * 10 / 9600 + 0.020 + 0.020  # request, reply, turn-round, our gap
    rounds = len([r for r in readings if r.point == "r0"])
    assert rounds >= 0.97 * 300 / exchange_s


def test_a_lost_line_makes_every_point_bad_and_is_raised() -> None:
    wire = EmulatedWire([counting_slave(1)])
    readings: list[Reading] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        arbiter = Arbiter(LINE, wire, [attach(1)], readings.extend, lambda: round(loop.time() * 1000))
        loop.call_later(5.5, wire.lose, "unplugged")
        await arbiter.run()

    with pytest.raises(LineDown, match="unplugged"):
        run_virtually(main())
    last = [r for r in readings if r.at >= 5500]
    assert [(r.point, r.reason, r.value) for r in last] == [(f"r{n}", "line_down", None) for n in range(3)]


def test_an_exception_reply_is_counted_and_leaves_the_device_alive() -> None:
    wire = EmulatedWire([WireDevice(modbus_slave(1, lambda _a, _c: None))])
    arbiter, readings = serve(wire, [attach(1)], 10)
    counters = arbiter.devices["d1"].counters
    assert {r.reason for r in readings} == {"not_supported"}
    assert counters.state is DeviceState.DEGRADED
    assert counters.cause is Cause.REFUSED
