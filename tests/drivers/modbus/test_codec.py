"""Modbus codec: frames of the standard and of public captures, noise, and what never may happen."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse

from drivers.modbus.blocks import Block, plan
from drivers.modbus.codec import (
    Ask,
    ask_for,
    block_decoder,
    encode_value,
    exception_code,
    find_rtu,
    find_tcp,
    read_request,
    with_transaction,
)
from drivers.modbus.profile import ModbusLimits, ModbusPoint, WordOrder

# Renke RS-CO2 manual's example: 55.1 %RH, 27.3 Cel, 1050 ppm
BLOCK = Block("holding", 0, 3, ("humidity", "temperature", "co2"))
REQUEST = bytes.fromhex("01 03 00 00 00 03 05 CB")
SERVER = DecodePDU(is_server=True)


def rtu_reply(registers: list[int], unit: int = 1) -> bytes:
    return FramerRTU(SERVER).buildFrame(ReadHoldingRegistersResponse(registers=registers, dev_id=unit))


def tcp_reply(registers: list[int], transaction: int, unit: int = 1) -> bytes:
    pdu = ReadHoldingRegistersResponse(registers=registers, dev_id=unit, transaction_id=transaction)
    return FramerSocket(SERVER).buildFrame(pdu)


def test_the_request_is_the_standards_frame() -> None:
    assert read_request(BLOCK, 1, tcp=False) == REQUEST
    tcp = with_transaction(read_request(BLOCK, 1, tcp=True), 0x1234)
    assert tcp == bytes.fromhex("12 34 00 00 00 06 01 03 00 00 00 03")


@given(
    registers=st.lists(st.integers(0, 65535), min_size=3, max_size=3),
    before=st.binary(max_size=8),
    behind=st.binary(max_size=8),
    echo=st.booleans(),
)
def test_a_reply_is_found_among_noise(registers: list[int], before: bytes, behind: bytes, echo: bool) -> None:
    ask = ask_for(BLOCK, 1)
    frame = rtu_reply(registers)
    buffer = before + frame + behind
    if echo:
        found = find_rtu(ask, REQUEST, REQUEST + buffer)
        assert found == (None, 8, "echo")
    found = find_rtu(ask, REQUEST, buffer)
    assert found.frame is not None
    if found.frame == frame:  # an earlier run of noise may, very rarely, be a frame of its own
        assert found.end == len(before) + len(frame)


@given(registers=st.lists(st.integers(0, 65535), min_size=3, max_size=3), cut=st.integers(0, 10))
def test_a_reply_in_two_pieces_is_one_frame(registers: list[int], cut: int) -> None:
    ask, frame = ask_for(BLOCK, 1), rtu_reply(registers)
    assert find_rtu(ask, REQUEST, frame[:cut]).frame is None
    assert find_rtu(ask, REQUEST, frame).frame == frame


@given(st.binary(max_size=600))
def test_random_bytes_never_raise(data: bytes) -> None:
    for unit in (0, 1, data[0] if data else 7):
        find_rtu(Ask(unit, 3, 6), REQUEST, data)
        find_tcp(Ask(unit, 3, 6), 1, data)


@given(
    registers=st.lists(st.integers(0, 65535), min_size=3, max_size=3),
    at=st.integers(0, 10),
    bit=st.integers(0, 7),
)
def test_a_flipped_bit_is_never_accepted(registers: list[int], at: int, bit: int) -> None:
    hurt = bytearray(rtu_reply(registers))
    hurt[at] ^= 1 << bit
    assert find_rtu(ask_for(BLOCK, 1), REQUEST, bytes(hurt)).frame is None


def test_a_reply_of_another_unit_is_told_apart() -> None:
    assert find_rtu(ask_for(BLOCK, 1), REQUEST, rtu_reply([1, 2, 3], unit=2)).fault == "wrong_address"


def test_an_exception_reply_is_a_frame_with_a_code() -> None:
    ask = ask_for(BLOCK, 1)
    frame = bytes.fromhex("01 83 02 C0 F1")
    assert find_rtu(ask, REQUEST, b"\0" + frame).frame == frame
    assert exception_code(ask, frame) == 2
    assert exception_code(ask, rtu_reply([1, 2, 3])) is None


def test_a_late_tcp_answer_is_dropped_and_the_awaited_one_found() -> None:
    ask = ask_for(BLOCK, 1)
    buffer = tcp_reply([9, 9, 9], 6) + tcp_reply([1, 2, 3], 7)
    late = find_tcp(ask, 7, buffer)
    assert late.fault == "late"
    found = find_tcp(ask, 7, buffer[late.end :])
    assert found.frame == bytes.fromhex("01 03 06 0001 0002 0003")


@pytest.mark.parametrize(
    "junk", ["000100010006010300", "0001000000FF010300", "0001000000010103", "FFFFFFFFFFFFFFFF"]
)
def test_bytes_that_are_no_mbap_header_are_dropped_whole(junk: str) -> None:
    data = bytes.fromhex(junk)
    assert find_tcp(Ask(1, 3, 6), 1, data) == (None, len(data), "noise")


@given(value=st.integers(0, 2**32 - 1), order=st.sampled_from(["ABCD", "CDAB", "BADC", "DCBA"]))
def test_every_word_order_goes_there_and_back(value: int, order: WordOrder) -> None:
    point = ModbusPoint(address=4, type="u32", order=order)
    frame = b"\x01\x03\x04" + encode_value(point, value) + b"\0\0"
    assert list(block_decoder(Block("holding", 4, 2, ("x",)), [point])(frame)) == [value]


@given(st.floats(width=32, allow_nan=False))
def test_a_float_with_swapped_words_goes_there_and_back(value: float) -> None:
    point = ModbusPoint(address=0, type="f32", order="CDAB")
    assert encode_value(point, value) == struct.pack(">f", value)[2:] + struct.pack(">f", value)[:2]
    frame = b"\x01\x03\x04" + encode_value(point, value) + b"\0\0"
    assert list(block_decoder(Block("holding", 0, 2, ("x",)), [point])(frame)) == [value]


def test_bits_of_coils_and_of_registers_are_read() -> None:
    coils = [ModbusPoint(table="coil", address=n) for n in (0, 3, 9)]
    decode = block_decoder(Block("coil", 0, 10, ("a", "b", "c")), coils)
    assert list(decode(bytes([1, 1, 2, 0b00001000, 0b10]))) == [0, 1, 1]
    bit = ModbusPoint(address=0, type="bit", bit=9)
    assert list(block_decoder(Block("holding", 0, 1, ("x",)), [bit])(b"\x01\x03\x02\x02\x00")) == [1]


def test_reads_are_planned_under_the_devices_limits() -> None:
    points = {f"p{a}": ModbusPoint(address=a, type="u32") for a in (0, 2, 4, 20, 22, 60)}
    assert [(b.start, b.count) for b in plan(points, ModbusLimits(max_registers=4))] == [
        (0, 4), (4, 2), (20, 4), (60, 2),
    ]  # fmt: skip
    assert [(b.start, b.count) for b in plan(points, ModbusLimits(max_registers=125, max_gap=40))] == [
        (0, 62)
    ]


@given(
    addresses=st.lists(st.integers(0, 300), min_size=1, max_size=40, unique=True),
    most=st.integers(4, 125),
    gap=st.integers(0, 20),
)
def test_a_plan_covers_every_point_once_and_keeps_the_limits(
    addresses: list[int], most: int, gap: int
) -> None:
    points = {f"p{a}": ModbusPoint(address=a, type="f32") for a in addresses}
    blocks = plan(points, ModbusLimits(max_registers=most, max_gap=gap))
    assert sorted(name for block in blocks for name in block.points) == sorted(points)
    for block in blocks:
        assert block.count <= most
        for name in block.points:
            assert block.start <= points[name].address <= block.start + block.count - 2
