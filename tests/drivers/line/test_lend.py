"""A line lent between two exchanges of its regular traffic, on an emulated wire in simulated time."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Generator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

from drivers.contract import Exchange, Reply
from drivers.errors import LineBusy, LineDown, NoReply
from drivers.line.arbiter import Arbiter, Attached
from drivers.line.loans import MOST_WAITING
from drivers.line.schedule import Rank
from drivers.line.settings import Framing, SerialLine
from drivers.line.transport import SerialTransport
from drivers.modbus.blocks import Block
from drivers.modbus.codec import ask_for, find_rtu, read_request
from drivers.reading import Quality, Reading
from tests.drivers.line.test_arbiter import LINE, attach, counting_slave, times
from tests.support.virtual_time import run_virtually
from tests.support.wire import EmulatedWire

Conversation = Generator[Exchange, Reply, list[int]]


def ask(unit: int, rounds: int = 1, timeout_ms: int = 300) -> Conversation:
    """Reads a unit's first register some times; what it said."""
    block = Block("holding", 0, 1, ())
    request, wanted = read_request(block, unit, tcp=False), ask_for(block, unit)
    found = []
    for _ in range(rounds):
        reply = yield Exchange(request, partial(find_rtu, wanted, request), timeout_ms, 20)
        found.append(int.from_bytes(reply.frame[3:5], "big"))
    return found


@contextlib.asynccontextmanager
async def serving(
    wire: EmulatedWire, devices: Sequence[Attached], readings: list[Reading]
) -> AsyncIterator[Arbiter]:
    loop = asyncio.get_running_loop()
    arbiter = Arbiter(LINE, wire, devices, readings.extend, lambda: round(loop.time() * 1000))
    task = asyncio.create_task(arbiter.run())
    await asyncio.sleep(3.05)
    try:
        yield arbiter
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, LineDown):
            await task


def test_a_command_waits_at_most_one_exchange_on_a_saturated_line_and_the_schedule_goes_on() -> None:
    units = range(1, 21)
    wire = EmulatedWire([counting_slave(unit) for unit in units])
    readings: list[Reading] = []
    longest_s = (8 + 45) * 10 / 9600 + 0.020 + 0.020

    async def main() -> list[float]:
        waits = []
        loop = asyncio.get_running_loop()
        async with serving(wire, [attach(u, registers=20) for u in units], readings) as arbiter:
            for number in range(50):
                await asyncio.sleep(0.137)
                began = loop.time()
                assert await arbiter.lend(ask(1 + number % 20)) == [1 + number % 20]
                waits.append(loop.time() - began)
        return waits

    waits = run_virtually(main())
    own_s = (8 + 7) * 10 / 9600 + 0.020 + 0.020
    assert max(waits) <= longest_s + own_s + 0.001
    assert all(r.quality is Quality.GOOD for r in readings)
    assert all(len(at) >= 5 for at in times(readings).values())


def test_an_idle_line_is_lent_at_once() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        async with serving(EmulatedWire([counting_slave(1)]), [attach(1, every="60s")], []) as arbiter:
            began = loop.time()
            assert await arbiter.lend(ask(1, rounds=3)) == [1, 1, 1]
            return loop.time() - began

    assert run_virtually(main()) < 0.3


def test_a_conversation_is_told_of_silence_and_its_error_reaches_the_borrower() -> None:
    async def main() -> int:
        async with serving(EmulatedWire([counting_slave(1)]), [attach(1)], []) as arbiter:
            sent = len(wire_of(arbiter).sent)
            with pytest.raises(NoReply):
                await arbiter.lend(ask(9))
            asked = [data for _, data in wire_of(arbiter).sent[sent:] if data[0] == 9]
            return len(asked)

    assert run_virtually(main()) == 1, "what is lent is never repeated"


def test_borrowers_of_lower_rank_let_the_emergency_contact_pass() -> None:
    wire = EmulatedWire([counting_slave(1), counting_slave(2)])
    readings: list[Reading] = []

    async def main() -> None:
        panic = attach(1, every="100ms", registers=1, rank=Rank.EMERGENCY)
        async with serving(wire, [panic, attach(2)], readings) as arbiter:
            for unit in range(100, 140):  # a scan of absent units
                with contextlib.suppress(NoReply):
                    await arbiter.lend(ask(unit, timeout_ms=80), rank=Rank.NORMAL)

    run_virtually(main())
    at = [moment for moment in times(readings)["d1"] if moment > 3200]
    assert median(b - a for a, b in pairwise(at)) <= 210
    assert len(times(readings)["d2"]) >= 5


def test_a_borrower_that_goes_away_leaves_nothing_behind() -> None:
    closed = []

    def endless() -> Conversation:
        try:
            return (yield from ask(1, rounds=10_000))
        finally:
            closed.append(True)

    async def main() -> list[int]:
        async with serving(EmulatedWire([counting_slave(1)]), [attach(1)], []) as arbiter:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await arbiter.lend(endless())
            assert closed == [True]
            waiting = asyncio.create_task(arbiter.lend(ask(1, rounds=50)))
            behind = asyncio.create_task(arbiter.lend(ask(1)))
            await asyncio.sleep(0.2)
            behind.cancel()
            waiting.cancel()
            await asyncio.gather(waiting, behind, return_exceptions=True)
            return await arbiter.lend(ask(1))

    assert run_virtually(main()) == [1]


def test_too_many_borrowers_are_sent_away_before_anything_is_sent() -> None:
    async def main() -> None:
        async with serving(EmulatedWire([counting_slave(1)]), [attach(1)], []) as arbiter:
            waiting = [asyncio.create_task(arbiter.lend(ask(1))) for _ in range(MOST_WAITING)]
            await asyncio.sleep(0)
            with pytest.raises(LineBusy):
                await arbiter.lend(ask(1))
            assert await asyncio.gather(*waiting) == [[1]] * MOST_WAITING

    run_virtually(main())


def test_a_line_on_which_nobody_answers_is_not_reopened_under_a_borrowers_hands() -> None:
    slave = counting_slave(1)
    slave.dead = True

    async def main() -> int:
        async with serving(EmulatedWire([slave]), [attach(1)], []) as arbiter:
            for unit in range(2, 200):
                with pytest.raises(NoReply):
                    await arbiter.lend(ask(unit), rank=Rank.NORMAL)
            return arbiter.counters.opened

    assert run_virtually(main()) == 1


def test_a_line_that_is_not_open_or_is_lost_says_so() -> None:
    async def main() -> None:
        wire = EmulatedWire([counting_slave(1)])
        idle = Arbiter(LINE, wire, [], lambda _: None, lambda: 0)
        started = ask(1)
        with pytest.raises(LineDown, match="not open"):
            await idle.lend(started)
        async with serving(wire, [attach(1, every="60s")], []) as arbiter:
            first = asyncio.create_task(arbiter.lend(ask(9, rounds=3)))
            second = asyncio.create_task(arbiter.lend(ask(1)))
            await asyncio.sleep(0.1)
            wire.lose("unplugged")
            results = await asyncio.gather(first, second, return_exceptions=True)
            assert [type(result) for result in results] == [LineDown, LineDown]

    run_virtually(main())


def test_what_passed_over_the_line_is_kept_with_its_time_and_speed() -> None:
    async def main() -> None:
        async with serving(EmulatedWire([counting_slave(1)]), [attach(1, every="60s")], []) as arbiter:
            last = arbiter.traffic.after(0)[-1].number
            await arbiter.lend(ask(1))
            sent, received = arbiter.traffic.after(last)
            assert (sent.way, sent.data[:2], sent.speed) == ("sent", b"\x01\x03", "9600 8N1")
            assert (received.way, received.data[:3]) == ("received", b"\x01\x03\x02")
            assert 0 < received.at - sent.at < 100

    run_virtually(main())


def wire_of(arbiter: Arbiter) -> EmulatedWire:
    wire = arbiter._transport
    assert isinstance(wire, EmulatedWire)
    return wire


async def test_a_speed_that_the_port_does_not_know_costs_its_device_alone(tmp_path: Path) -> None:
    class Particular:
        """A port's settings that know no 600 baud."""

        def reconfigure_port(self, baudrate: int, **_: object) -> None:
            if baudrate == 600:
                raise ValueError("Invalid baud rate: 600")

    port, held = os.openpty()
    try:
        transport = SerialTransport(SerialLine(id="bus", url=f"serial:{os.ttyname(held)}"))
        await transport.open(lambda _: None, lambda _: None)
        serial, transport._transport._serial = transport._transport._serial, Particular()
        with pytest.raises(NoReply) as refused:
            transport.configure(600, Framing.F8N1)
        assert refused.value.reason == "speed"
        transport.configure(9600, Framing.F8N1)
        transport._transport._serial = serial
        transport.close()
    finally:
        os.close(port)
        os.close(held)
