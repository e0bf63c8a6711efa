"""A line whose devices speak first, on an emulated wire, in simulated time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import pytest

from drivers.contract import Overheard
from drivers.errors import LineDown
from drivers.line.counters import Cause, DeviceState
from drivers.line.listener import BUFFER_LIMIT, Listener, Speaker
from drivers.line.settings import Framing, SerialLine
from drivers.line.transport import Lost, Receive
from drivers.reading import Quality, Reading, Value
from tests.support.virtual_time import run_virtually

LINE = SerialLine(id="mast", url="serial:/dev/null", baudrate=4800)


class Wire:
    """A transport that a test talks through."""

    def __init__(self) -> None:
        self.receive: Receive | None = None
        self.lost: Lost | None = None
        self.opened = 0
        self.refuse = False

    async def open(self, receive: Receive, lost: Lost) -> None:
        self.opened += 1
        if self.refuse:
            raise LineDown("mast: no such port")
        self.receive, self.lost = receive, lost

    def configure(self, baudrate: int, framing: Framing) -> None:
        pass

    def write(self, data: bytes) -> None:
        raise AssertionError("nobody asks on this line")

    def close(self) -> None:
        self.receive = self.lost = None

    def say(self, data: bytes) -> None:
        if self.receive is not None:
            self.receive(data)


class Talk:
    """Understands `name=value;` of its own names; `!` is garbage; every other name is another device's."""

    def __init__(self, device: str, *names: str) -> None:
        self.device = device
        self._rest = b""
        self._points = dict.fromkeys(names, "1")

    @property
    def points(self) -> Mapping[str, str]:
        return self._points

    def hear(self, data: bytes, at: int) -> Overheard:
        *words, self._rest = (self._rest + data).split(b";")
        readings, faults = [], []
        for word in words:
            name, _, text = word.decode().partition("=")
            if name == "!":
                faults.append("crc")
            if name in self._points:
                value: Value | None = text == "on" if text in ("on", "off") else float(text) if text else None
                quality, reason = (Quality.GOOD, "") if value is not None else (Quality.BAD, "not_available")
                readings.append(Reading(self.device, name, value, "1", at, at, quality, reason))
        return Overheard(readings, faults)


def listen(
    wire: Wire,
    speakers: Sequence[Speaker],
    seconds: float,
    script: Callable[[asyncio.AbstractEventLoop], None],
) -> tuple[Listener, list[Reading]]:
    """Runs a listener for simulated seconds, reopened a second after each loss, as the supervisor does."""
    published: list[Reading] = []

    async def main() -> Listener:
        loop = asyncio.get_running_loop()
        listener = Listener(LINE, wire, speakers, published.extend, lambda: round(loop.time() * 1000))
        script(loop)
        try:
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        await listener.run()
                    except LineDown:
                        await asyncio.sleep(1)
        except TimeoutError:
            pass
        return listener

    return run_virtually(main()), published


def station(period_s: float = 10.0, *names: str) -> Speaker:
    return Speaker("ws", Talk("ws", *(names or ("wind", "rain"))), period_s)


def every(
    wire: Wire, seconds: float, until: float, data: bytes
) -> Callable[[asyncio.AbstractEventLoop], None]:
    def script(loop: asyncio.AbstractEventLoop) -> None:
        for number in range(int(until / seconds)):
            loop.call_later(seconds * (number + 1), wire.say, data)

    return script


def test_what_is_said_once_a_period_is_published_as_it_comes() -> None:
    wire = Wire()
    listener, readings = listen(wire, [station()], 100, every(wire, 10, 95, b"wind=3.5;rain=1.2;"))
    assert [(r.point, r.value, r.at) for r in readings[:2]] == [("wind", 3.5, 10_000), ("rain", 1.2, 10_000)]
    assert len(readings) == 18
    counters = listener.devices["ws"].counters
    assert counters.state is DeviceState.OK
    assert counters.ok == 9
    assert listener.counters.exchanges == 9


def test_a_device_that_speaks_ten_times_a_period_is_thinned_but_a_change_of_a_switch_is_not() -> None:
    wire = Wire()

    def script(loop: asyncio.AbstractEventLoop) -> None:
        every(wire, 1, 60, b"wind=3.5;")(loop)
        loop.call_later(20.5, wire.say, b"door=on;")
        loop.call_later(20.7, wire.say, b"door=on;")
        loop.call_later(20.9, wire.say, b"door=off;")

    _, readings = listen(wire, [station(10, "wind", "door")], 60, script)
    wind = [r.at for r in readings if r.point == "wind"]
    assert all(5000 <= b - a <= 10_000 for a, b in pairwise(wind))
    door = [(r.value, r.at) for r in readings if r.point == "door" and r.quality is Quality.GOOD]
    assert door == [(True, 20_500), (False, 20_900)]


def test_three_silent_periods_make_bad_readings_once_and_speech_ends_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wire = Wire()

    def script(loop: asyncio.AbstractEventLoop) -> None:
        every(wire, 10, 25, b"wind=1;rain=1;")(loop)  # until 20 s
        loop.call_later(100, wire.say, b"wind=2;rain=1;")

    with caplog.at_level(logging.INFO):
        listener, readings = listen(wire, [station()], 105, script)
    bad = [(r.point, r.at, r.reason, r.value) for r in readings if r.quality is Quality.BAD]
    assert bad == [("wind", 50_000, "timeout", None), ("rain", 50_000, "timeout", None)]
    assert [(r.point, r.value) for r in readings[-2:]] == [("wind", 2.0), ("rain", 1.0)]
    told = [record.getMessage() for record in caplog.records if "ws" in record.getMessage()]
    assert told == [
        "mast: ws is silent (timeout); likely cause: power_or_wiring",
        "mast: ws speaks again",
    ]
    assert listener.devices["ws"].counters.state is DeviceState.OK


def test_a_point_that_stops_is_bad_while_the_others_go_on() -> None:
    wire = Wire()

    def script(loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(1, wire.say, b"rain=1;")
        every(wire, 10, 100, b"wind=1;")(loop)

    listener, readings = listen(wire, [station()], 55, script)
    bad = [(r.point, r.at) for r in readings if r.quality is Quality.BAD]
    assert bad == [("rain", 31_000)]
    assert listener.devices["ws"].counters.state is DeviceState.DEGRADED


def test_garbage_alone_says_that_speed_or_parity_are_wrong() -> None:
    wire = Wire()
    listener, readings = listen(wire, [station()], 35, every(wire, 1, 34, b"!=7;"))
    assert {r.reason for r in readings} == {"crc"}
    assert listener.counters.faults["crc"] == 34
    counters = listener.devices["ws"].counters
    assert counters.state is DeviceState.SILENT
    assert counters.cause is Cause.BAUDRATE_OR_FRAMING


def test_two_devices_share_a_line_and_what_one_of_them_understands_is_no_garbage() -> None:
    wire = Wire()
    two = [Speaker("a", Talk("a", "wind"), 10), Speaker("b", Talk("b", "rain"), 10)]
    listener, readings = listen(wire, two, 25, every(wire, 10, 25, b"wind=1;!=;rain=2;"))
    assert {(r.device, r.point) for r in readings} == {("a", "wind"), ("b", "rain")}
    assert listener.counters.faults == {"crc": 2}
    assert listener.devices["b"].counters.errors["crc"] == 2


def test_a_lost_line_makes_every_point_bad_once_and_is_heard_again_after_it_comes_back() -> None:
    wire = Wire()

    def lose() -> None:
        assert wire.lost is not None
        wire.say(b"wind=9;")
        wire.refuse = True
        wire.lost("unplugged")

    def plug() -> None:
        wire.refuse = False

    def script(loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(5, wire.say, b"wind=1;rain=1;")
        loop.call_later(12, lose)
        loop.call_later(40, plug)
        loop.call_later(45, wire.say, b"wind=2;rain=2;")

    listener, readings = listen(wire, [station()], 50, script)
    story = [(r.point, r.value, r.reason) for r in readings]
    assert story == [
        ("wind", 1.0, ""), ("rain", 1.0, ""),
        ("wind", 9.0, ""),  # what came before the loss counts
        ("wind", None, "line_down"), ("rain", None, "line_down"),
        ("wind", 2.0, ""), ("rain", 2.0, ""),
    ]  # fmt: skip
    assert wire.opened > 10
    assert listener.counters.opened == 2
    assert listener.devices["ws"].counters.state is DeviceState.OK


def test_a_line_on_which_nobody_speaks_is_reopened_without_telling_it_again() -> None:
    wire = Wire()
    listener, readings = listen(wire, [station()], 400, lambda loop: None)
    assert wire.opened >= 5
    assert [r.reason for r in readings] == ["timeout", "timeout"]
    assert listener.devices["ws"].counters.cause is Cause.POWER_OR_WIRING


def test_an_empty_value_is_a_bad_reading_and_the_device_still_speaks() -> None:
    wire = Wire()
    listener, readings = listen(wire, [station()], 25, every(wire, 10, 25, b"wind=;rain=1;"))
    assert readings[0].reason == "not_available"
    counters = listener.devices["ws"].counters
    assert counters.state is DeviceState.DEGRADED
    assert counters.errors["not_available"] == 2
    assert counters.ok == 2


def test_bytes_that_nobody_takes_are_bounded_and_the_loss_is_counted() -> None:
    wire = Wire()

    def flood(loop: asyncio.AbstractEventLoop) -> None:
        def many() -> None:
            for _ in range(40):
                wire.say(b"x" * 4096)

        loop.call_later(1, many)

    listener, _ = listen(wire, [station()], 5, flood)
    assert listener.counters.faults["overflow"] > 0
    assert len(listener._buffer) <= BUFFER_LIMIT


def test_utilisation_is_the_time_the_bytes_take_on_the_wire() -> None:
    wire = Wire()
    listener, _ = listen(wire, [station(1.0)], 120, every(wire, 1, 119, b"wind=1;" + b" " * 233))
    assert listener.counters.utilisation == pytest.approx(240 * 10 / 4800, abs=0.1)
