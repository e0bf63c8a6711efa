"""Simulated RS-485 lines on pseudo-terminals, asked by independent masters."""

from __future__ import annotations

import asyncio
import contextlib
import os
import termios
import tty
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from dlt645 import MeterClientService
from pymodbus.client import AsyncModbusSerialClient
from pymodbus.exceptions import ModbusIOException
from pymodbus.framer import FramerRTU

from drivers.simulated.bus import Bus
from drivers.simulated.device import VirtualDevice
from drivers.simulated.faults import Fault
from drivers.simulated.ledger import Ledger
from drivers.simulated.modbus_tcp import SerialServer
from drivers.simulated.serial import PtyLine
from tests.drivers.simulated.devices import ADDRESS, environment, meter


def line(tmp_path: Path, *devices: VirtualDevice, ledger: Ledger | None = None) -> PtyLine:
    return PtyLine(Bus(devices, 9600, seed=1), tmp_path / "bus-a", ledger)


@contextlib.asynccontextmanager
async def master(
    path: Path, baudrate: int = 9600, retries: int = 0
) -> AsyncIterator[AsyncModbusSerialClient]:
    client = AsyncModbusSerialClient(str(path), baudrate=baudrate, timeout=0.4, retries=retries)
    assert await client.connect()
    try:
        yield client
    finally:
        client.close()


def ask(path: Path, request: bytes, baudrate: int = termios.B9600, wait_s: float = 0.2) -> bytes:
    """Sends raw bytes on the port and gives all that comes within a time."""
    port = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        tty.setraw(port)
        attributes = termios.tcgetattr(port)
        attributes[4] = attributes[5] = baudrate
        termios.tcsetattr(port, termios.TCSANOW, attributes)
        os.write(port, request)
        import time

        time.sleep(wait_s)
        try:
            return os.read(port, 4096)
        except BlockingIOError:
            return b""
    finally:
        os.close(port)


def rtu(*body: int) -> bytes:
    return bytes(body) + FramerRTU.compute_CRC(bytes(body)).to_bytes(2, "big")


async def test_a_pymodbus_master_reads_registers_as_the_profile_scales_them(tmp_path: Path) -> None:
    async with line(tmp_path, environment(1), environment(7)) as bus, master(bus.path) as client:
        for address in (1, 7):
            reply = await client.read_holding_registers(0, count=2, device_id=address)
            assert reply.registers == [612, 0x10000 - 31]
        lux = await client.read_holding_registers(10, count=3, device_id=1)
        assert lux.registers == [100_000 & 0xFFFF, 100_000 >> 16, 0b100001]
        noise = await client.read_input_registers(0, count=2, device_id=1)
        assert client.convert_from_registers(
            [int.from_bytes(w.to_bytes(2, "big")[::-1]) for w in reversed(noise.registers)],
            client.DATATYPE.FLOAT32,
        ) == pytest.approx(52.25)
        bits = await client.read_discrete_inputs(3, count=2, device_id=1)
        assert bits.bits[:2] == [False, True], "the first contact is inverted"


async def test_gaps_that_the_profile_allows_read_as_zero_and_all_else_is_refused(tmp_path: Path) -> None:
    async with line(tmp_path, environment(1)) as bus, master(bus.path) as client:
        assert (await client.read_holding_registers(0, count=5, device_id=1)).registers[2:] == [0, 0, 1507]
        assert (await client.read_holding_registers(4, count=3, device_id=1)).exception_code == 2
        assert (await client.read_holding_registers(0, count=21, device_id=1)).exception_code == 3
        assert (await client.read_coils(0, count=1, device_id=1)).exception_code == 1
        assert (await client.write_register(0, 5, device_id=1)).exception_code == 1


async def test_a_dlt645_master_reads_the_meter_beside_the_modbus_devices(tmp_path: Path) -> None:
    async with line(tmp_path, environment(1), meter()) as bus:

        def read() -> list[object]:
            client = MeterClientService.new_rtu_client(str(bus.path), 2400, 8, 1, "N", 0.5)
            assert client.set_address(bytes.fromhex(ADDRESS)[::-1].hex()), "it takes the order of the wire"
            assert client.connect()
            try:
                items = [client.read_00(0x00010000), client.read_02(0x02010100), client.read_02(0x02030000)]
                return [item.value if item else None for item in items]
            finally:
                client.disconnect()

        energy, voltage, power = await asyncio.to_thread(read)
        assert energy == pytest.approx(12345.68)
        assert voltage == pytest.approx(228.4)
        assert power == pytest.approx(-3.25)
        async with master(bus.path) as client:
            reply = await client.read_holding_registers(4, count=1, device_id=1)
            assert reply.registers == [1507]


async def test_a_block_holds_its_items_in_order_and_ff_where_the_meter_has_none(tmp_path: Path) -> None:
    request = bytes.fromhex("fefefefe 68 174430112220 68 11 04 33323435")
    request += bytes((sum(request[4:]) & 0xFF, 0x16))
    async with line(tmp_path, meter()) as bus:
        reply = await asyncio.to_thread(ask, bus.path, request, termios.B2400)
    frame = reply.lstrip(b"\xfe")
    data = bytes((byte - 0x33) & 0xFF for byte in frame[10:-2])
    assert frame[8] == 0x91
    assert data[4:] == bytes.fromhex("8422 ffff 6022")


async def test_an_identifier_that_the_meter_lacks_is_refused_with_its_error_word(tmp_path: Path) -> None:
    request = bytes.fromhex("68 174430112220 68 11 04 33333535")
    request += bytes((sum(request) & 0xFF, 0x16))
    async with line(tmp_path, meter()) as bus:
        reply = await asyncio.to_thread(ask, bus.path, request, termios.B2400)
    frame = reply.lstrip(b"\xfe")
    assert (frame[8], frame[9], frame[10]) == (0xD1, 1, 0x02 + 0x33)


async def test_devices_are_deaf_to_another_speed(tmp_path: Path) -> None:
    async with line(tmp_path, environment(1)) as bus:
        request = rtu(1, 3, 0, 0, 0, 2)
        assert await asyncio.to_thread(ask, bus.path, request, termios.B2400) == b""
        assert await asyncio.to_thread(ask, bus.path, request, termios.B9600) == rtu(
            1, 3, 4, 2, 100, 255, 225
        )


async def test_a_request_behind_noise_is_heard_when_the_line_was_quiet_between(tmp_path: Path) -> None:
    async with line(tmp_path, environment(1)) as bus:
        await asyncio.to_thread(ask, bus.path, bytes(range(0, 200, 7)))
        reply = await asyncio.to_thread(ask, bus.path, b"\x00\xfe" + rtu(1, 3, 0, 0, 0, 2))
        assert reply == rtu(1, 3, 4, 2, 100, 255, 225)


async def test_one_dead_device_leaves_the_others_alone(tmp_path: Path) -> None:
    async with line(tmp_path, environment(1), environment(2)) as bus, master(bus.path) as client:
        bus.bus.faults["env-2"] = Fault(dead=True)
        with pytest.raises(ModbusIOException):
            await client.read_holding_registers(0, count=2, device_id=2)
        assert (await client.read_holding_registers(0, count=2, device_id=1)).registers[0] == 612
        del bus.bus.faults["env-2"]
        assert (await client.read_holding_registers(0, count=2, device_id=2)).registers[0] == 612


async def test_faults_spoil_replies_as_a_bad_line_does(tmp_path: Path) -> None:
    request, sound = rtu(1, 3, 0, 0, 0, 2), rtu(1, 3, 4, 2, 100, 255, 225)
    async with line(tmp_path, environment(1)) as bus:

        async def under(fault: Fault) -> bytes:
            bus.bus.faults["env-1"] = fault
            return await asyncio.to_thread(ask, bus.path, request)

        assert await under(Fault(before=b"\x00", after=b"\xff\x55")) == b"\x00" + sound + b"\xff\x55"
        assert await under(Fault(keep=5)) == sound[:5]
        assert await under(Fault(echo=True)) == request + sound
        wrong = await under(Fault(wrong_checksum=True))
        assert wrong != sound and wrong[:-2] == sound[:-2]
        assert await under(Fault(late_s=5.0)) == b""
        assert await under(Fault(dead=True, replies=0)) == sound, "the fault is over"


async def test_a_silent_line_answers_nothing_until_it_is_mended(tmp_path: Path) -> None:
    async with line(tmp_path, environment(1)) as bus:
        bus.bus.silent = True
        assert await asyncio.to_thread(ask, bus.path, rtu(1, 3, 0, 0, 0, 2)) == b""
        bus.bus.silent = False
        assert await asyncio.to_thread(ask, bus.path, rtu(1, 3, 0, 0, 0, 2)) != b""


async def test_the_path_stays_the_same_over_an_unplugged_adapter(tmp_path: Path) -> None:
    async with line(tmp_path, environment(1)) as bus:
        first = bus.path.resolve()
        bus.unplug()
        assert not bus.path.exists()
        bus.plug()
        assert bus.path.exists()
        reply = await asyncio.to_thread(ask, bus.path, rtu(1, 3, 0, 0, 0, 2))
        assert reply == rtu(1, 3, 4, 2, 100, 255, 225), f"was {first}"


async def test_numbered_samples_grow_by_one_with_each_sound_reply(tmp_path: Path) -> None:
    ledger = Ledger()
    device = environment(1, co2=ledger.numbered("env-1", "co2"))
    async with line(tmp_path, device, ledger=ledger) as bus, master(bus.path) as client:
        seen = []
        for round_ in range(6):
            bus.bus.faults.clear()
            if round_ == 3:
                bus.bus.faults["env-1"] = Fault(wrong_checksum=True)
                with pytest.raises(ModbusIOException):
                    await client.read_holding_registers(4, count=1, device_id=1)
                continue
            seen.append((await client.read_holding_registers(4, count=1, device_id=1)).registers[0])
    assert seen == [1, 2, 3, 4, 5]
    assert ledger.sent["env-1", "co2"] == [1.0, 2.0, 3.0, 4.0, 5.0]


async def test_a_transparent_serial_server_carries_the_same_line(tmp_path: Path) -> None:
    async with SerialServer(Bus([environment(1), meter()], 9600, seed=1)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(rtu(1, 3, 0, 0, 0, 2))
        assert await asyncio.wait_for(reader.readexactly(9), 2) == rtu(1, 3, 4, 2, 100, 255, 225)
        writer.close()
