"""A Davis console through its driver: wake-up, plan of packets, rain collector, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from drivers.contract import Exchange
from drivers.davis.driver import DavisDriver
from drivers.davis.profile import DavisProfile
from drivers.davis.settings import DavisDevice
from drivers.errors import DriverError, NoReply
from drivers.line.settings import Framing, SerialLine, TcpLine
from drivers.reading import Reading, Value
from drivers.simulated.console import DavisConsole
from drivers.simulated.device import VirtualDevice
from drivers.vocabulary import PointSpec
from tests.drivers.dlt645.frames_of import drive

SERIAL = SerialLine(id="roof", url="serial:/dev/x", baudrate=9600)
TRUTH: dict[str, Value | None] = {
    "temperature": 21.5, "humidity": 60.0, "wind_speed": 8.94, "wind_gust": 13.41, "rainfall": 12.4,
}  # fmt: skip
FIELD = {
    "temperature": "outside_temperature", "humidity": "outside_humidity", "wind_speed": "wind_speed",
    "wind_gust": "wind_gust_10_min", "rainfall": "rain_year",
}  # fmt: skip


def profile(*points: str, **other: str) -> DavisProfile:
    fields = {**{p: FIELD[p] for p in points}, **other}
    return DavisProfile.model_validate(
        {"id": "p", "maker": "t", "model": "t", "kind": "weather_station", "source": "made for a test",
         "family": "davis", "points": {name: {"field": field} for name, field in fields.items()}}
    )  # fmt: skip


def settings() -> DavisDevice:
    return DavisDevice.model_validate(
        {"id": "ws", "space": "roof", "line": "roof", "protocol": "davis", "profile": "p"}
    )


class Bench:
    """A driver and a simulated console; counts what was asked."""

    def __init__(self, *points: str, line: SerialLine | TcpLine = SERIAL, **console: Any) -> None:
        shape = profile(*points)
        specs = {p: PointSpec(unit="1", zh="点", en="p") for p in points}
        signals = {p: (lambda p=p: TRUTH[p]) for p in points}
        device = VirtualDevice(settings(), shape, specs, signals)
        self.console = DavisConsole(device, shape, **console)
        self.driver = DavisDriver(settings(), shape, specs, line)
        self.asked: list[Exchange] = []
        self.break_in: Callable[[bytes], bytes | DriverError | None] = lambda request: None

    def round(self) -> dict[str, Reading]:
        return {r.point: r for r in drive(self.driver.poll(1000), self._answer)}

    def requests(self) -> list[bytes]:
        return [exchange.request for exchange in self.asked]

    def _answer(self, exchange: Exchange) -> bytes | DriverError:
        self.asked.append(exchange)
        broken = self.break_in(exchange.request)
        if broken is not None:
            return broken
        answered = self.console.answer(exchange.request)
        return answered.frame if answered else NoReply("silence")


def test_a_round_wakes_the_console_and_asks_for_the_collector_once() -> None:
    bench = Bench("temperature", "rainfall")
    first = bench.round()
    assert bench.requests() == [b"\n", b"EEBRD 2B 01\n", b"LOOP 1\n"]
    assert first["temperature"].value == pytest.approx(21.5, abs=0.03)
    assert first["rainfall"].value == pytest.approx(12.4, abs=0.1)
    bench.asked.clear()
    bench.round()
    assert bench.requests() == [b"\n", b"LOOP 1\n"]


@pytest.mark.parametrize("bucket", [0.254, 0.2, 0.1])
def test_rain_is_counted_in_the_collector_s_own_size(bucket: float) -> None:
    assert Bench("rainfall", bucket=bucket).round()["rainfall"].value == pytest.approx(12.4, abs=bucket / 2)


def test_without_rain_the_collector_is_not_asked() -> None:
    bench = Bench("temperature")
    bench.round()
    assert bench.requests() == [b"\n", b"LOOP 1\n"]


def test_loop2_is_asked_only_for_what_loop_lacks() -> None:
    bench = Bench("temperature", "wind_gust")
    readings = bench.round()
    assert bench.requests() == [b"\n", b"LPS 2 1\n"]
    assert readings["wind_gust"].value == pytest.approx(13.41, abs=0.25)
    both = Bench("temperature", "wind_gust", "rainfall")
    both.round()
    assert both.requests() == [b"\n", b"EEBRD 2B 01\n", b"LOOP 1\n", b"LPS 2 1\n"]


def test_an_old_console_lacks_only_the_points_of_loop2_and_is_not_asked_each_time() -> None:
    bench = Bench("temperature", "rainfall", "wind_gust", old=True)
    readings = bench.round()
    assert readings["wind_gust"].reason == "exception:33"
    assert readings["temperature"].value is not None
    assert bench.round()["wind_gust"].reason == "not_supported"
    bench.asked.clear()
    assert bench.round()["wind_gust"].reason == "not_supported"
    assert b"LPS 2 1\n" not in bench.requests()


def test_one_refusal_was_noise_in_the_command_and_the_next_round_asks_again() -> None:
    bench = Bench("temperature")
    bench.break_in = lambda request: b"\x21" if request == b"LOOP 1\n" else None
    for _ in range(3):
        assert bench.round()["temperature"].reason == "exception:33"
    bench.break_in = lambda request: None
    assert bench.round()["temperature"].value is not None


def test_a_console_that_sleeps_is_woken_at_the_third_try() -> None:
    bench = Bench("temperature")
    tries = 0

    def deaf(request: bytes) -> DriverError | None:
        nonlocal tries
        tries += request == b"\n"
        return NoReply("asleep") if tries < 3 else None

    bench.break_in = deaf
    assert bench.round()["temperature"].value is not None
    assert bench.requests() == [b"\n", b"\n", b"\n", b"LOOP 1\n"]
    assert not any(exchange.repeatable for exchange in bench.asked[:3])


def test_a_dead_console_costs_three_wake_ups_and_all_points_say_why() -> None:
    bench = Bench("temperature", "wind_gust")
    bench.break_in = lambda request: NoReply("dead")
    readings = bench.round()
    assert bench.requests() == [b"\n"] * 3
    assert {r.reason for r in readings.values()} == {"timeout"}
    assert all(r.value is None for r in readings.values())


def test_a_console_that_refuses_its_setup_gives_everything_but_rain() -> None:
    bench = Bench("temperature", "rainfall")
    bench.break_in = lambda request: b"\x21" if request.startswith(b"EEBRD") else None
    readings = bench.round()
    assert readings["rainfall"].reason == "not_available"
    assert readings["temperature"].value is not None
    bench.break_in = lambda request: None
    assert bench.round()["rainfall"].value == pytest.approx(12.4, abs=0.1)


def test_a_restarted_console_shows_dashes_everywhere() -> None:
    bench = Bench("temperature", "humidity", "wind_speed")
    bench.console.device.signals.update(dict.fromkeys(TRUTH, lambda: None))  # type: ignore[attr-defined]
    assert {r.reason for r in bench.round().values()} == {"not_available"}


def test_speed_is_the_console_s_own_on_a_serial_line_and_nobody_s_over_tcp() -> None:
    bench = Bench("temperature")
    bench.round()
    assert {(e.baudrate, e.framing) for e in bench.asked} == {(19200, Framing.F8N1)}
    over_tcp = Bench("temperature", line=TcpLine(id="roof", url="tcp://10.0.0.9:22222"))
    over_tcp.round()
    assert {(e.baudrate, e.framing) for e in over_tcp.asked} == {(None, None)}


def test_a_quantity_that_no_packet_has_is_refused() -> None:
    with pytest.raises(ValidationError, match="unknown quantity; known: barometer"):
        profile(temperature="soil")
