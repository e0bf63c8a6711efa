"""Meters' clocks beside ours."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from drivers.bcd import decode_time, encode_time
from drivers.line.counters import DeviceCounters
from drivers.reading import Quality, Reading
from edge.device_clocks import POINT, DeviceClocks, offset_of, words

ZONE = ZoneInfo("Asia/Shanghai")
AT = round(datetime(2026, 11, 3, 16, 0, 30, tzinfo=UTC).timestamp() * 1000)  # 00:00:30 there


@pytest.mark.parametrize(
    ("text", "ahead_s"),
    [
        ("2026-11-04 00:00:30", 0),
        ("2026-11-04T00:02:30", 120),
        ("00:01:00", 30),
        ("23:59:30", -60),  # the other side of midnight
        ("2026-11-03 00:00:30", -86_400),
    ],
)
def test_a_clock_is_compared_in_the_school_s_own_time(text: str, ahead_s: int) -> None:
    assert offset_of(text, AT, ZONE) == ahead_s * 1000


def test_what_is_no_time_is_not_compared() -> None:
    assert offset_of("", AT, ZONE) is None
    assert offset_of("25:00:00", AT, ZONE) is None


def test_a_meter_whose_clock_is_off_is_named_with_its_error() -> None:
    readings = {
        ("m1", POINT): Reading("m1", POINT, "00:03:00", "text", AT, AT),
        ("m2", POINT): Reading("m2", POINT, "00:00:40", "text", AT, AT),
        ("m3", POINT): Reading("m3", POINT, None, "text", AT, AT, Quality.BAD, "timeout"),
    }
    counters = {name: DeviceCounters() for name in ("m1", "m2", "m3", "sensor")}
    clocks = DeviceClocks(lambda device, point: readings.get((device, point)), "Asia/Shanghai")
    off = clocks.off(counters)
    assert off == {"m1": 150_000}
    assert words(off) == "device clocks off by more than 60 s: m1 +150 s"
    assert counters["m2"].clock.offset_ms == 10_000
    assert counters["m3"].clock.offset_ms is None
    assert words({}) == ""


@pytest.mark.parametrize(
    ("size", "text"),
    [(3, "00:00:00"), (3, "20:58:24"), (6, "2026-11-03 21:45:30"), (7, "2026-11-03 21:45:30")],
)
def test_a_meter_tells_its_time_in_three_forms(size: int, text: str) -> None:
    item = encode_time(text, size)
    assert len(item) == size
    assert decode_time(item) == text
