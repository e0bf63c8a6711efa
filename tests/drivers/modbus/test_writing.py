"""Writes: standard frames, what is refused before anything is sent, and a server that takes them."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus import FramerType
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import ModbusTcpServer

from drivers.contract import Exchange, Reply, Writable
from drivers.errors import BadFrame, NoReply, NotTaken, NotWritable, Refused
from drivers.line.arbiter import Arbiter, Attached
from drivers.line.schedule import Rank
from drivers.line.settings import SerialLine, TcpLine
from drivers.line.transport import transport_for
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.profile import ModbusProfile
from drivers.modbus.settings import ModbusRtuDevice, ModbusTcpDevice
from drivers.modbus.writing import order
from drivers.reading import Reading, Value
from drivers.vocabulary import PointSpec

ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")
NUMBER = PointSpec(unit="Cel", min=-1e12, max=1e12, zh="数", en="number")
SWITCH = PointSpec(unit="bool", type="switch", zh="开", en="switch")
POINTS: dict[str, dict[str, Any]] = {
    "coil": {"table": "coil", "address": 3, "write": {"function": 5}},
    "coils": {"table": "coil", "address": 4, "invert": True, "write": {"function": 15}},
    "word": {"address": 0, "type": "u16", "write": {"function": 6, "min": 0, "max": 900}},
    "signed": {"address": 1, "type": "s16", "scale": 0.1, "offset": -40, "write": {"function": 6}},
    "power": {"address": 2, "type": "bit", "bit": 1, "write": {"function": 6, "on": 170, "off": 85}},
    "silent": {"address": 3, "write": {"function": 6, "readback": False}},
    "fixed": {"address": 4},
    **{
        f"{kind}_{name.lower()}": {
            "address": start + 4 * at, "type": kind, "order": name, "write": {"function": 16}
        }
        for start, kind in ((10, "u32"), (30, "s32"), (50, "f32"), (70, "u64"))
        for at, name in enumerate(ORDERS)
    },
}  # fmt: skip
PROFILE = ModbusProfile.model_validate(
    {"family": "modbus", "id": "t", "maker": "t", "model": "t", "kind": "relay", "source": "made up here",
     "points": POINTS}
)  # fmt: skip
SPECS = {name: SWITCH if name in ("coil", "coils", "power") else NUMBER for name in POINTS}
VALUES: dict[str, Value] = {
    "coil": True, "coils": True, "word": 900.0, "signed": -41.5, "power": True, "silent": 7.0,
    **{f"{kind}_{order_.lower()}": value for kind, value in (
        ("u32", 4_000_000_001.0), ("s32", -70_001.0), ("f32", -12.625), ("u64", 5_000_000_002.0)
    ) for order_ in ORDERS},
}  # fmt: skip


def driver(**more: Any) -> ModbusDriver:
    line = SerialLine(id="bus", url="serial:/dev/null")
    device = ModbusRtuDevice.model_validate(
        {
            "id": "d",
            "space": "s",
            "line": "bus",
            "protocol": "modbus-rtu",
            "profile": "t",
            "address": 1,
            **more,
        }
    )
    return ModbusDriver(device, PROFILE, SPECS, line)


def crc(body: bytes) -> bytes:
    value = 0xFFFF
    for byte in body:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0xA001 if value & 1 else 0)
    return body + struct.pack("<H", value)


@pytest.mark.parametrize(
    ("point", "value", "request_", "accepted"),
    [
        # relay 1 on and off as the maker's wiki prints them, with the relay at coil 3 here
        ("coil", True, "01 05 00 03 FF 00 7C 3A", "01 05 00 03 FF 00 7C 3A"),
        ("coil", False, "01 05 00 03 00 00 3D CA", "01 05 00 03 00 00 3D CA"),
        ("coils", True, "01 0F 00 04 00 01 01 00", "01 0F 00 04 00 01"),
        ("word", 3.0, "01 06 00 00 00 03", "01 06 00 00 00 03"),
        ("signed", -41.5, "01 06 00 01 FF F1", "01 06 00 01 FF F1"),
        ("power", True, "01 06 00 02 00 AA", "01 06 00 02 00 AA"),
        ("power", False, "01 06 00 02 00 55", "01 06 00 02 00 55"),
        ("u32_abcd", 66051.0, "01 10 00 0A 00 02 04 00 01 02 03", "01 10 00 0A 00 02"),
        ("u32_cdab", 66051.0, "01 10 00 0E 00 02 04 02 03 00 01", "01 10 00 0E 00 02"),
        ("f32_dcba", 1.0, "01 10 00 3E 00 02 04 00 00 80 3F", "01 10 00 3E 00 02"),
    ],
)
def test_a_write_is_the_standards_frame(point: str, value: Value, request_: str, accepted: str) -> None:
    made = order(point, PROFILE.points[point], value, SPECS[point], 1, "rtu")
    wanted = bytes.fromhex(request_)
    assert made.request == (wanted if wanted[1] == 5 else crc(wanted))
    answer = bytes.fromhex(accepted)
    assert made.accepted == (answer if answer[1] == 5 else crc(answer))


@pytest.mark.parametrize(
    ("point", "value", "reason"),
    [
        ("fixed", 1.0, "not_writable"),
        ("nothing", 1.0, "not_writable"),
        ("coil", 1.0, "wrong_type"),
        ("word", True, "wrong_type"),
        ("word", "3", "wrong_type"),
        ("word", float("nan"), "wrong_type"),
        ("word", 901.0, "out_of_range"),
        ("word", -1.0, "out_of_range"),
        ("word", 2.5, "resolution"),
        ("signed", 5000.0, "out_of_range"),
        ("u32_abcd", -1.0, "out_of_range"),
        ("u64_abcd", 1e13, "out_of_range"),
    ],
)
def test_what_profile_and_vocabulary_forbid_is_refused_before_anything_is_sent(
    point: str, value: Value, reason: str
) -> None:
    with pytest.raises(NotWritable) as refused:
        driver().write(point, value)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "point",
    [
        {"address": 0, "write": {"function": 5}},
        {"table": "coil", "address": 0, "write": {"function": 6}},
        {"table": "input", "address": 0, "write": {"function": 6}},
        {"address": 0, "type": "u32", "write": {"function": 6}},
        {"address": 0, "type": "bit", "bit": 0, "write": {"function": 6}},
        {"address": 0, "write": {"function": 6, "on": 1}},
        {"address": 0, "write": {"function": 6, "on": 1, "off": 1}},
        {"address": 0, "write": {"function": 3}},
    ],
)
def test_a_profile_that_cannot_be_written_so_is_not_accepted(point: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"write|function|Input should be"):
        ModbusProfile.model_validate(
            {**PROFILE.model_dump(exclude={"points", "limits"}), "points": {"it": point}}
        )


def carry_out(write: Any, *replies: bytes | Exception) -> list[Exchange]:
    """Plays the line; the exchanges that were asked for. The generator's end is the caller's."""
    asked = []
    step: Callable[[], Exchange] = write.__next__
    for reply in replies:
        asked.append(step())
        if isinstance(reply, Exception):
            step = lambda error=reply: write.throw(error)  # noqa: E731
        else:
            found = asked[-1].deframe(reply)
            assert found.frame is not None
            step = lambda frame=found.frame: write.send(Reply(frame, 5))  # noqa: E731
    asked.append(step())
    return asked


def test_the_device_may_refuse_stay_silent_or_hold_something_else() -> None:
    with pytest.raises(Refused) as refused:
        carry_out(driver().write("word", 5.0), crc(bytes.fromhex("018603")))
    assert refused.value.reason == "exception:3"
    with pytest.raises(NoReply):
        carry_out(driver().write("word", 5.0), NoReply("silence"))
    accepted = crc(bytes.fromhex("010600000005"))
    held = crc(bytes.fromhex("0103020009"))
    with pytest.raises(NotTaken) as other:
        carry_out(driver().write("word", 5.0), accepted, held, held)
    assert other.value.found == 9.0
    for trouble in (NoReply("silence"), BadFrame("noise", frame=b"x")):
        with pytest.raises(NoReply):
            carry_out(driver().write("word", 5.0), accepted, trouble)
    with pytest.raises(NoReply):
        carry_out(driver().write("word", 5.0), accepted, crc(bytes.fromhex("018302")))


def test_a_device_that_is_slow_to_show_the_value_is_read_twice() -> None:
    accepted = crc(bytes.fromhex("010600000005"))
    with pytest.raises(StopIteration) as done:
        old, new = crc(bytes.fromhex("0103020009")), crc(bytes.fromhex("0103020005"))
        carry_out(driver().write("word", 5.0), accepted, old, new)
    assert done.value.value == 5.0
    with pytest.raises(StopIteration) as done:
        carry_out(driver().write("silent", 5.0), crc(bytes.fromhex("010600030005")))
    assert done.value.value is None, "the profile asks for no read-back"


def test_replies_are_found_among_noise_and_echo_and_not_in_other_units_frames() -> None:
    made = order("u32_abcd", PROFILE.points["u32_abcd"], 1.0, NUMBER, 1, "rtu")
    assert made.deframe(made.request).fault == "echo"
    assert made.deframe(b"\x00\xff" + made.accepted + b"\x00").frame == made.accepted
    other = order("u32_abcd", PROFILE.points["u32_abcd"], 1.0, NUMBER, 2, "rtu")
    assert made.deframe(other.accepted).frame is None
    broken = made.accepted[:-1] + bytes([made.accepted[-1] ^ 1])
    assert made.deframe(broken)[:3] == (None, 0, "crc")
    late = order("u32_abcd", PROFILE.points["u32_abcd"], 1.0, NUMBER, 1, "tcp", 7)
    mine = order("u32_abcd", PROFILE.points["u32_abcd"], 1.0, NUMBER, 1, "tcp", 8)
    assert mine.deframe(late.accepted).frame is None
    assert mine.deframe(late.accepted + mine.accepted).frame == mine.accepted


@given(st.binary(max_size=300))
def test_no_bytes_from_the_line_make_the_search_raise(data: bytes) -> None:
    made = order("word", PROFILE.points["word"], 5.0, NUMBER, 1, "rtu")
    found = made.deframe(data)
    assert found.frame is None or found.frame in data


@contextlib.asynccontextmanager
async def independent_server(framer: FramerType) -> AsyncIterator[int]:
    blocks = {name: ModbusSequentialDataBlock(1, [0] * 200) for name in ("di", "co", "ir", "hr")}
    context = ModbusServerContext(devices={1: ModbusDeviceContext(**blocks)}, single=False)
    server = ModbusTcpServer(context, framer=framer, address=("127.0.0.1", 0))
    assert await server.listen()
    try:
        yield server.transport.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


@pytest.mark.parametrize("framer", [FramerType.SOCKET, FramerType.RTU])
async def test_a_pymodbus_server_takes_every_type_and_order_and_reads_back_the_same(
    framer: FramerType,
) -> None:
    async with independent_server(framer) as port:
        line = TcpLine(id="plc", url=f"tcp://127.0.0.1:{port}")
        kind = ModbusTcpDevice if framer is FramerType.SOCKET else ModbusRtuDevice
        protocol = "modbus-tcp" if framer is FramerType.SOCKET else "modbus-rtu"
        device = kind.model_validate(
            {"id": "d", "space": "s", "line": "plc", "protocol": protocol, "profile": "t", "address": 1}
        )
        made = ModbusDriver(device, PROFILE, SPECS, line)
        assert isinstance(made, Writable)
        readings: list[Reading] = []
        attached = Attached("d", made, 0.2, Rank.NORMAL)
        arbiter = Arbiter(line, transport_for(line), [attached], readings.extend, lambda: 1)
        task = asyncio.create_task(arbiter.run())
        try:
            async with asyncio.timeout(20):
                while not readings:
                    await asyncio.sleep(0.01)
                for point, value in VALUES.items():
                    read_back = await arbiter.lend(made.write(point, value), device="d")
                    assert read_back == (None if point == "silent" else value), point
                readings.clear()
                while len(readings) < len(POINTS):
                    await asyncio.sleep(0.01)
            found = {reading.point: reading.value for reading in readings}
            assert {point: found[point] for point in VALUES} == VALUES
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
