"""Modbus ASCII: frames of the standard, what a wire does to them, and independent peers on both ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.client import AsyncModbusSerialClient
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.framer import FramerAscii, FramerType
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.exceptionresponse import ExceptionResponse
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse
from pymodbus.server import ModbusTcpServer

from drivers.contract import Found
from drivers.line.arbiter import Arbiter, Attached
from drivers.line.schedule import Rank
from drivers.line.settings import Framing, SerialLine, TcpLine
from drivers.line.transport import transport_for
from drivers.modbus.blocks import Block
from drivers.modbus.codec import ascii_request, ask_for, block_decoder, exception_code, find_ascii
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.profile import ModbusPoint, ModbusProfile
from drivers.modbus.settings import ModbusAsciiDevice
from drivers.reading import Quality, Reading
from drivers.simulated.bus import Bus
from drivers.simulated.device import VirtualDevice
from drivers.simulated.serial import PtyLine
from drivers.vocabulary import PointSpec
from tests.drivers.simulated.devices import ENV, ENV_SPECS, ENV_VALUES, environment

BLOCK = Block("holding", 0x6B, 3, ("a", "b", "c"))
ASK = ask_for(BLOCK, 0x11)
REQUEST = ascii_request(BLOCK, 0x11)
_SERVER = FramerAscii(DecodePDU(is_server=True))


def reply_of(registers: list[int], unit: int = 0x11) -> bytes:
    return _SERVER.buildFrame(ReadHoldingRegistersResponse(registers=registers, dev_id=unit))


GOOD = reply_of([0xAE41, 0x5652, 0x4340])
FRAME = bytes.fromhex("11 03 06 AE41 5652 4340")


def test_the_request_and_the_reply_are_those_of_the_standard() -> None:
    # the example of many manuals: function 03 of unit 17, registers 40108 to 40110
    assert REQUEST == b":1103006B00037E\r\n"
    assert GOOD == b":110306AE4156524340CC\r\n"
    assert find_ascii(ASK, REQUEST, GOOD) == Found(FRAME, len(GOOD))


def test_digits_may_be_small() -> None:
    assert find_ascii(ASK, REQUEST, b":110306ae4156524340cc\r\n").frame == FRAME


BEFORE = {
    "nothing": (b"", ""),
    "noise": (b"\x00\xff1F", "noise"),
    "the echo of the request": (REQUEST, "echo"),
    "another unit": (reply_of([1, 2, 3], 5), "wrong_address"),
    "a reply of another length": (reply_of([1, 2]), "bad_reply"),
    "a wrong checksum": (b":110306AE4156524340CB\r\n", "crc"),
    "a letter that is no digit": (b":110306AE4156524340CG\r\n", "crc"),
    "an odd number of digits": (b":110306AE4156524340CC1\r\n", "crc"),
    "white space inside": (b":1103 06AE4156524340CC\r\n", "crc"),
    "a frame cut off by the next": (GOOD[:9], "crc"),
    "an empty frame": (b":\r\n", "crc"),
}


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("after", [b"", b":", GOOD, b"\r\n"])
def test_the_reply_is_found_behind(before: str, after: bytes) -> None:
    junk, _ = BEFORE[before]
    assert find_ascii(ASK, REQUEST, junk + GOOD + after) == Found(FRAME, len(junk) + len(GOOD))


@pytest.mark.parametrize("before", [name for name in BEFORE if name != "a frame cut off by the next"])
def test_what_is_not_the_reply_is_dropped_and_named(before: str) -> None:
    junk, fault = BEFORE[before]
    assert find_ascii(ASK, REQUEST, junk) == Found(None, len(junk), fault)


@pytest.mark.parametrize("before", BEFORE)
def test_every_split_gives_the_same_frame_and_drops_nothing_of_it(before: str) -> None:
    stream = BEFORE[before][0] + GOOD
    for cut in range(len(stream)):
        first = find_ascii(ASK, REQUEST, stream[:cut])
        assert first.frame is None
        assert find_ascii(ASK, REQUEST, stream[first.end :]).frame == FRAME


def test_an_exception_reply_is_one() -> None:
    raw = _SERVER.buildFrame(ExceptionResponse(3, 2, device_id=0x11))
    frame = find_ascii(ASK, REQUEST, raw).frame
    assert frame is not None
    assert exception_code(ASK, frame) == 2
    assert exception_code(ASK, FRAME) is None


@given(registers=st.lists(st.integers(0, 65535), min_size=1, max_size=125), unit=st.integers(1, 247))
def test_registers_survive_the_round_trip(registers: list[int], unit: int) -> None:
    block = Block("holding", 0, len(registers), ())
    points = [ModbusPoint(address=n) for n in range(len(registers))]
    frame = find_ascii(ask_for(block, unit), ascii_request(block, unit), reply_of(registers, unit)).frame
    assert frame is not None
    assert list(block_decoder(block, points)(frame + b"\0\0")) == registers
    assert list(block_decoder(block, points)(frame)) == registers


@given(
    raw=st.lists(st.sampled_from(list(b":\r\n0123456789AFag \xff")), max_size=600), cut=st.integers(0, 600)
)
def test_random_bytes_never_raise_and_a_reply_behind_them_is_found(raw: list[int], cut: int) -> None:
    stream = bytes(raw) + b"\r\n" + GOOD
    first = find_ascii(ASK, REQUEST, stream[:cut])
    assert 0 <= first.end <= cut
    if first.frame is None:
        assert find_ascii(ASK, REQUEST, stream[first.end :]).frame == FRAME


@given(st.binary(max_size=700))
def test_no_bytes_make_the_search_raise_and_the_rest_is_bounded(data: bytes) -> None:
    found = find_ascii(ASK, REQUEST, data)
    assert len(data) - found.end <= 513


@settings(max_examples=300)
@given(data=st.data())
def test_a_flipped_bit_never_gives_another_value(data: st.DataObject) -> None:
    broken = bytearray(GOOD)
    broken[data.draw(st.integers(0, len(GOOD) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert find_ascii(ASK, REQUEST, bytes(broken)).frame in (None, FRAME)  # "a" is "A" with one bit more


@given(data=st.data())
def test_a_missing_or_an_added_byte_never_gives_another_value(data: st.DataObject) -> None:
    broken = bytearray(GOOD)
    where = data.draw(st.integers(0, len(GOOD) - 1))
    if data.draw(st.booleans()):
        del broken[where]
    else:
        broken.insert(where, data.draw(st.integers(0, 255)))
    assert find_ascii(ASK, REQUEST, bytes(broken)).frame in (None, FRAME)


class Counted(bytes):
    """Counts the bytes that searches run over."""

    looked = 0

    def find(self, *arguments: Any) -> int:
        where = super().find(*arguments)
        start = arguments[1] if len(arguments) > 1 else 0
        Counted.looked += (where if where >= 0 else len(self)) - start
        return where


@pytest.mark.parametrize("unit", [b":", b":1", b"\r\n", b":\r\n", b":1103\r\n:"])
def test_the_work_for_hostile_bytes_grows_with_their_number_only(unit: bytes) -> None:
    looked = []
    for size in (4_000, 16_000):
        Counted.looked = 0
        find_ascii(ASK, REQUEST, Counted(unit * (size // len(unit))))
        looked.append(Counted.looked)
    assert looked[1] <= 5 * looked[0] + 1_000


# --- peers ---

PROFILE = ModbusProfile.model_validate(
    {
        "id": "t", "maker": "t", "model": "t", "kind": "contact", "source": "made up here",
        "family": "modbus",
        "points": {
            "word": {"address": 0},
            "low": {"address": 1, "type": "s16", "scale": 0.1},
            "coil": {"table": "coil", "address": 4},
            "contact": {"table": "discrete", "address": 2},
            "setpoint": {"address": 10, "write": {"function": 6}},
            "refused": {"address": 500},
        },
    }
)  # fmt: skip
SWITCHES = ("coil", "contact")
SPECS = {
    name: PointSpec(unit="1", zh="数", en="n", type="switch" if name in SWITCHES else "number")
    for name in PROFILE.points
}


def ascii_device(line: str = "plc", **more: Any) -> ModbusAsciiDevice:
    return ModbusAsciiDevice.model_validate(
        {"id": "d", "space": "s", "line": line, "protocol": "modbus-ascii", "profile": "t",
         "address": 17, **more}
    )  # fmt: skip


def test_an_exchange_carries_the_devices_own_rate_and_framing() -> None:
    line = SerialLine(id="bus", url="serial:/dev/x")
    driver = ModbusDriver(ascii_device(baudrate=4800, framing="7E1"), PROFILE, SPECS, line)
    exchange = next(driver.poll(0))
    assert exchange.request.startswith(b":11")
    assert (exchange.baudrate, exchange.framing) == (4800, Framing.F7E1)


@contextlib.asynccontextmanager
async def pymodbus_server() -> AsyncIterator[int]:
    def block(*values: int) -> ModbusSequentialDataBlock:
        return ModbusSequentialDataBlock(1, [*values, *[0] * 20])

    unit = ModbusDeviceContext(
        hr=block(1507, 0x10000 - 31), ir=block(0), co=block(0, 0, 0, 0, 1), di=block(0, 0, 1)
    )
    context = ModbusServerContext(devices={17: unit}, single=False)
    server = ModbusTcpServer(context, framer=FramerType.ASCII, address=("127.0.0.1", 0))
    assert await server.listen()
    try:
        yield server.transport.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


async def rounds_of(line: SerialLine | TcpLine, driver: ModbusDriver, points: int) -> dict[str, Reading]:
    """What one round over the real line reads."""
    readings: list[Reading] = []
    arbiter = Arbiter(
        line, transport_for(line), [Attached("d", driver, 0.2, Rank.NORMAL)], readings.extend, lambda: 1
    )
    task = asyncio.create_task(arbiter.run())
    try:
        async with asyncio.timeout(20):
            while len(readings) < points:
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return {reading.point: reading for reading in readings[:points]}


async def test_a_pymodbus_ascii_server_is_read_through_a_tcp_line() -> None:
    async with pymodbus_server() as port:
        line = TcpLine(id="plc", url=f"tcp://127.0.0.1:{port}")
        found = await rounds_of(line, ModbusDriver(ascii_device(), PROFILE, SPECS, line), len(PROFILE.points))
    assert {name: found[name].value for name in ("word", "low", "coil", "contact")} == {
        "word": 1507.0,
        "low": -3.1,
        "coil": True,
        "contact": True,
    }
    assert found["refused"].quality is Quality.BAD


async def test_a_register_is_written_and_read_back_through_a_pymodbus_ascii_server() -> None:
    async with pymodbus_server() as port:
        line = TcpLine(id="plc", url=f"tcp://127.0.0.1:{port}")
        driver = ModbusDriver(ascii_device(), PROFILE, SPECS, line)
        arbiter = Arbiter(line, transport_for(line), [], lambda _: None, lambda: 1)
        task = asyncio.create_task(arbiter.run())
        try:
            async with asyncio.timeout(20):
                await arbiter.opened.wait()
                assert await arbiter.lend(driver.write("setpoint", 1234.0), device="d") == 1234.0
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def simulated(tmp_path: Path) -> PtyLine:
    settings = ascii_device("bus", baudrate=9600)
    device = VirtualDevice(settings, ENV, ENV_SPECS, ENV_VALUES)
    return PtyLine(Bus([device, environment(17)], 9600, seed=1), tmp_path / "bus-a")


async def test_a_pymodbus_ascii_master_reads_our_simulated_device_beside_an_rtu_one(tmp_path: Path) -> None:
    async with simulated(tmp_path) as bus:
        for framer in (FramerType.ASCII, FramerType.RTU):
            client = AsyncModbusSerialClient(
                str(bus.path), framer=framer, baudrate=9600, timeout=1.0, retries=0
            )
            assert await client.connect()
            try:
                reply = await client.read_holding_registers(0, count=2, device_id=17)
                assert reply.registers == [612, 0x10000 - 31], framer
                refused = await client.read_coils(0, count=1, device_id=17)
                assert refused.exception_code == 1, framer
            finally:
                client.close()


async def test_our_driver_reads_the_simulated_device_through_a_serial_line(tmp_path: Path) -> None:
    async with simulated(tmp_path) as bus:
        line = SerialLine(id="bus", url=f"serial:{bus.path}", baudrate=9600)
        driver = ModbusDriver(ascii_device("bus"), ENV, ENV_SPECS, line)
        found = await rounds_of(line, driver, len(ENV.points))
    assert {name: reading.value for name, reading in found.items()} == {
        "humidity": 61.2, "temperature": -3.1, "co2": 1507.0, "illuminance": 100_000.0, "noise": 52.25,
        "pressed": True, "open": True, "fault": True, "alarm": True,
    }  # fmt: skip
