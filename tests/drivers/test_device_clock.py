"""Devices' own clocks: a buffer is not an error, an error is not a buffer."""

from __future__ import annotations

from drivers.device_clock import OFF_MS, DeviceClock
from drivers.line.counters import Cause, DeviceCounters
from drivers.reading import Millis

NOW = 1_790_000_000_000
HOUR = 3_600_000
LATE = 300_000


class Device:
    """A device that tells its time; `last` is what was made of the message before."""

    def __init__(self) -> None:
        self.clock = DeviceClock()
        self.last: Millis = 0

    def says(self, told: Millis | None, now: Millis) -> Millis | None:
        believed = self.clock.judge(told, now, self.last, LATE)
        self.last = max(now, self.last + 1) if believed is None else believed
        return believed


def test_a_right_clock_is_believed_and_known_to_be_right() -> None:
    device = Device()
    for n in range(10):
        now = NOW + n * 30_000
        assert device.says(now - 200 - 30 * (n % 3), now) == now - 200 - 30 * (n % 3)
    assert device.clock.offset_ms == -200
    assert not device.clock.off
    assert device.clock.replaced == 0


def test_a_buffer_that_is_emptied_is_believed_and_says_nothing_of_the_clock() -> None:
    device = Device()
    for n in range(300):
        now = NOW + n * 50  # five hours of minutes within 15 seconds
        assert device.says(NOW - 5 * HOUR + n * 60_000, now) is not None
    assert device.clock.offset_ms is None
    for n in range(5):
        device.says(NOW + 60_000 * (n + 1), NOW + 60_000 * (n + 1))
    assert device.clock.offset_ms == 0


def test_a_clock_that_lags_for_good_is_found_out_and_no_longer_makes_everything_old() -> None:
    device = Device()
    made = [device.says(NOW + n * 30_000 - HOUR, NOW + n * 30_000) for n in range(10)]
    assert made[0] == NOW - HOUR, "one late message is a buffer"
    assert made[2:] == [None] * 8
    assert (device.clock.offset_ms, device.clock.off) == (-HOUR, True)
    assert device.clock.replaced == 8


def test_times_beyond_what_a_buffer_explains_are_replaced_and_counted() -> None:
    device = Device()
    for told in (NOW + 6 * 60_000, NOW - 8 * 24 * HOUR, 0, None):
        assert device.says(told, NOW) is None
    assert device.clock.replaced == 4
    assert device.says(NOW - 1000, NOW + 1) is None, "time does not go back"


def test_a_clock_that_is_ahead_within_the_limit_is_believed_but_named() -> None:
    device = Device()
    for n in range(5):
        assert device.says(NOW + n * 30_000 + 2 * OFF_MS, NOW + n * 30_000) is not None
    assert device.clock.offset_ms == 2 * OFF_MS
    assert device.clock.off


def test_a_drifting_clock_is_followed_and_a_set_one_is_well_again() -> None:
    device = Device()
    for n in range(600):
        now = NOW + n * 30_000
        device.says(now - n * 150, now)  # half a per cent slow
    assert device.clock.offset_ms is not None
    assert device.clock.offset_ms < -OFF_MS
    for n in range(600, 605):
        device.says(NOW + n * 30_000, NOW + n * 30_000)
    assert device.clock.offset_ms == 0


def test_a_wrong_clock_is_the_cause_that_is_named_when_nothing_worse_is() -> None:
    counters = DeviceCounters()
    counters.succeeded(NOW, partly=False)
    assert counters.cause is None
    counters.clock.compared(-2 * OFF_MS)
    assert counters.cause is Cause.CLOCK
    for _ in range(3):
        counters.failed("timeout")
    assert counters.cause is Cause.POWER_OR_WIRING
