"""Simulated Modbus TCP devices, asked by pymodbus's own client."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException

from drivers.simulated.faults import Fault
from drivers.simulated.ledger import Ledger
from drivers.simulated.modbus_tcp import ModbusTcpServer
from tests.drivers.simulated.devices import unit


@contextlib.asynccontextmanager
async def master(port: int) -> AsyncIterator[AsyncModbusTcpClient]:
    client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=0.4, retries=0, reconnect_delay=0)
    assert await client.connect()
    try:
        yield client
    finally:
        client.close()


async def test_several_units_stand_behind_one_address() -> None:
    devices = [unit(1), unit(2, co2=lambda: 420.0)]
    async with ModbusTcpServer(devices, seed=1) as server, master(server.port) as client:
        assert (await client.read_holding_registers(4, count=1, device_id=1)).registers == [1507]
        assert (await client.read_holding_registers(4, count=1, device_id=2)).registers == [420]
        assert (await client.read_discrete_inputs(3, count=2, device_id=1)).bits[:2] == [False, True]


async def test_a_unit_that_is_not_there_gets_the_gateways_exception() -> None:
    async with ModbusTcpServer([unit(1)], seed=1) as server, master(server.port) as client:
        assert (await client.read_holding_registers(4, count=1, device_id=9)).exception_code == 0x0B


async def test_a_dead_unit_stays_silent_and_numbers_stand_still() -> None:
    ledger = Ledger()
    device = unit(1, co2=ledger.numbered("unit-1", "co2"))
    async with ModbusTcpServer([device], seed=1, ledger=ledger) as server, master(server.port) as client:
        assert (await client.read_holding_registers(4, count=1, device_id=1)).registers == [1]
        server.faults["unit-1"] = Fault(dead=True)
        with pytest.raises(ModbusIOException):
            await client.read_holding_registers(4, count=1, device_id=1)
        server.faults.clear()
    async with server, master(server.port) as client:
        assert (await client.read_holding_registers(4, count=1, device_id=1)).registers == [2]
    assert ledger.sent["unit-1", "co2"] == [1.0, 2.0]


async def test_bytes_that_are_no_modbus_cost_the_connection_only() -> None:
    async with ModbusTcpServer([unit(1)], seed=1) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 2) == b""
        writer.close()
        async with master(server.port) as client:
            assert (await client.read_holding_registers(4, count=1, device_id=1)).registers == [1507]


async def test_requests_that_come_cut_or_together_are_all_answered() -> None:
    request = bytes.fromhex("0001 0000 0006 01 03 0004 0001")
    async with ModbusTcpServer([unit(1)], seed=1) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        stream = request + b"\x00\x02" + request[2:]
        for byte in stream[:15]:
            writer.write(bytes([byte]))
            await writer.drain()
        writer.write(stream[15:])
        replies = await asyncio.wait_for(reader.readexactly(22), 2)
        assert sorted([replies[:2], replies[11:13]]) == [b"\x00\x01", b"\x00\x02"]
        writer.close()
