"""Planning reads: forbidden stretches, refused blocks that are halved, and what is left alone."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers.contract import Exchange, Poll, Reply
from drivers.errors import NoReply
from drivers.line.settings import SerialLine
from drivers.modbus.blocks import Block, halves, plan
from drivers.modbus.driver import RETRY_ROUNDS, ModbusDriver
from drivers.modbus.profile import ModbusLimits, ModbusPoint, ModbusProfile
from drivers.modbus.settings import ModbusRtuDevice
from drivers.reading import Quality, Reading
from drivers.vocabulary import PointSpec
from tests.support.registers import modbus_slave

LINE = SerialLine(id="bus", url="serial:/dev/x")


def profile(addresses: Mapping[str, int], **limits: object) -> ModbusProfile:
    return ModbusProfile.model_validate(
        {
            "id": "unit", "family": "modbus", "maker": "test", "model": "unit", "kind": "contact",
            "source": "made for this test", "limits": limits,
            "points": {name: {"address": address} for name, address in addresses.items()},
        }
    )  # fmt: skip


class Slave:
    """A unit that refuses reads touching some addresses, or longer than it can; counts what it was asked."""

    def __init__(self, refused: set[int], most: int = 125) -> None:
        self.refused, self.most = refused, most
        self.asked: list[tuple[int, int]] = []
        self.silent = False
        self._answer = modbus_slave(1, self._read)

    def _read(self, address: int, count: int) -> list[int] | None:
        self.asked.append((address, count))
        wanted = range(address, address + count)
        return None if count > self.most or self.refused & set(wanted) else list(wanted)

    def reply(self, exchange: Exchange) -> Reply | None:
        frame = None if self.silent else self._answer(exchange.request)
        if frame is None:
            return None
        found = exchange.deframe(frame)
        assert found.frame is not None
        return Reply(found.frame, 1000)


def drive(poll: Poll, slave: Slave) -> dict[str, Reading]:
    """One round against the slave; points to readings, each point once."""
    try:
        exchange = next(poll)
        while True:
            reply = slave.reply(exchange)
            exchange = poll.throw(NoReply("silent")) if reply is None else poll.send(reply)
    except StopIteration as end:
        readings: list[Reading] = list(end.value)
        assert len({r.point for r in readings}) == len(readings)
        return {r.point: r for r in readings}


def driver_of(of: ModbusProfile) -> ModbusDriver:
    device = ModbusRtuDevice(id="d", space="r", line="bus", profile="unit", protocol="modbus-rtu", address=1)
    specs = {name: PointSpec(unit="1", zh="数", en="number") for name in of.points}
    return ModbusDriver(device, of, specs, LINE)


def test_a_read_never_touches_a_forbidden_address() -> None:
    of = profile({"a": 0, "b": 1, "c": 4, "d": 5}, max_gap=8, forbidden={"holding": [[2, 2]]})
    assert [(b.start, b.count) for b in plan(of.points, of.limits)] == [(0, 2), (4, 2)]
    elsewhere = profile({"a": 0, "b": 1, "c": 4, "d": 5}, max_gap=8, forbidden={"input": [[2, 2]]})
    assert [(b.start, b.count) for b in plan(elsewhere.points, elsewhere.limits)] == [(0, 6)]


def test_a_profile_cannot_want_what_it_forbids() -> None:
    with pytest.raises(ValidationError, match="b: its address is forbidden"):
        profile({"a": 0, "b": 7}, forbidden={"holding": [[5, 9]]})
    with pytest.raises(ValidationError, match="the first address comes first"):
        profile({"a": 0}, forbidden={"holding": [[9, 5]]})


@given(
    addresses=st.sets(st.integers(0, 200), min_size=1, max_size=40),
    most=st.integers(1, 125),
    gap=st.integers(0, 64),
    closed=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 5)), max_size=5),
)
def test_plans_keep_every_limit(
    addresses: set[int], most: int, gap: int, closed: list[tuple[int, int]]
) -> None:
    ranges = [(first, first + more) for first, more in closed]
    shut = {a for first, last in ranges for a in range(first, last + 1)}
    points = {f"p{a}": ModbusPoint(address=a) for a in addresses - shut}
    limits = ModbusLimits(max_registers=most, max_gap=gap, forbidden={"holding": tuple(ranges)})
    blocks = plan(points, limits)
    assert sorted(name for b in blocks for name in b.points) == sorted(points)
    for block in blocks:
        touched = set(range(block.start, block.start + block.count))
        assert block.count <= most and not touched & shut
        assert {points[name].address for name in block.points} <= touched


def test_a_refused_block_is_halved_down_to_the_point_that_does_not_exist() -> None:
    slave = Slave(refused={5})
    driver = driver_of(profile({f"p{n}": n for n in range(8)}))
    readings = drive(driver.poll(0), slave)
    good = {name: r.value for name, r in readings.items() if r.quality is Quality.GOOD}
    assert good == {f"p{n}": float(n) for n in range(8) if n != 5}
    assert (readings["p5"].value, readings["p5"].reason) == (None, "not_supported")
    assert slave.asked == [(0, 8), (0, 4), (4, 4), (4, 2), (4, 1), (5, 1), (6, 2)]


def test_the_split_is_remembered_and_the_missing_point_asked_rarely() -> None:
    slave = Slave(refused={5})
    driver = driver_of(profile({f"p{n}": n for n in range(8)}))
    drive(driver.poll(0), slave)
    slave.asked.clear()
    for _ in range(RETRY_ROUNDS - 1):
        readings = drive(driver.poll(0), slave)
        assert readings["p5"].reason == "not_supported"
    assert set(slave.asked) == {(0, 4), (4, 1), (6, 2)}
    slave.refused.clear()  # a firmware update, or the option was fitted
    assert drive(driver.poll(0), slave)["p5"].value == 5.0
    assert drive(driver.poll(0), slave)["p5"].value == 5.0


def test_a_gap_that_the_device_refuses_costs_one_more_exchange_and_no_point() -> None:
    slave = Slave(refused={2, 3})
    driver = driver_of(profile({"a": 0, "b": 1, "c": 4, "d": 5}, max_gap=4))
    readings = drive(driver.poll(0), slave)
    assert [r.value for r in readings.values()] == [0.0, 1.0, 4.0, 5.0]
    assert slave.asked == [(0, 6), (0, 2), (4, 2)]


def test_silence_while_halving_ends_the_round_for_all_that_is_left() -> None:
    slave = Slave(refused={1})
    driver = driver_of(profile({f"p{n}": n for n in range(4)}))
    poll = driver.poll(0)
    refused = slave.reply(next(poll))
    assert refused is not None
    poll.send(refused)
    slave.silent = True
    with pytest.raises(StopIteration) as end:
        poll.throw(NoReply("silent"))
    assert [r.reason for r in end.value.value] == ["timeout"] * 4
    assert len(end.value.value) == 4


@given(
    addresses=st.sets(st.integers(0, 60), min_size=1, max_size=30),
    refused=st.sets(st.integers(0, 60), max_size=30),
    most=st.integers(1, 20),
    gap=st.integers(0, 10),
)
def test_whatever_a_device_refuses_every_point_that_it_has_is_read(
    addresses: set[int], refused: set[int], most: int, gap: int
) -> None:
    slave = Slave(refused, most)
    driver = driver_of(profile({f"p{a}": a for a in addresses}, max_gap=gap))
    for _ in range(2):
        readings = drive(driver.poll(0), slave)
        for address in addresses:
            reading = readings[f"p{address}"]
            expected = (None, "not_supported") if address in refused else (float(address), "")
            assert (reading.value, reading.reason) == expected
    slave.asked.clear()
    drive(driver.poll(0), slave)
    assert all(slave_read_is_fine(slave, *asked) for asked in slave.asked), "a refusal was not remembered"


def slave_read_is_fine(slave: Slave, address: int, count: int) -> bool:
    return count <= slave.most and not slave.refused & set(range(address, address + count))


def test_bits_of_one_register_cannot_be_halved() -> None:
    points = {f"b{n}": ModbusPoint(address=4, type="bit", bit=n) for n in range(3)}
    assert halves(Block("holding", 4, 1, tuple(points)), points) == ()
