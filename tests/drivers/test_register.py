"""Counters: whatever the meter does to its face, consumption is neither lost nor invented."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from drivers.register import Change, Register, RegisterLimits, RegisterState, Taken

MINUTE = 60_000
LIMITS = RegisterLimits(rolls_at=1_000_000.0, max_rate=10.0, step=0.01)


def fed(faces: list[float], limits: RegisterLimits = LIMITS, register: Register | None = None) -> list[Taken]:
    register = register or Register(limits)
    start = register.state.at + MINUTE if register.state else 0
    return [register.take(face, start + number * MINUTE) for number, face in enumerate(faces)]


def values(taken: list[Taken]) -> list[float | str]:
    return [t.reason if t.value is None else t.value for t in taken]


def changes(taken: list[Taken]) -> list[Change]:
    return [t.correction.change for t in taken if t.correction]


def test_a_growing_counter_passes_as_it_is() -> None:
    taken = fed([100.0, 100.0, 100.5, 109.0])
    assert values(taken) == [100.0, 100.0, 100.5, 109.0] and not changes(taken)


def test_a_rollover_counts_on() -> None:
    taken = fed([999_998.0, 1.5, 3.0])
    assert values(taken) == [999_998.0, 1_000_001.5, 1_000_003.0]
    correction = taken[1].correction
    assert correction is not None
    assert (correction.change, correction.before, correction.after) == (Change.ROLLOVER, 999_998.0, 1.5)
    assert correction.offset == 1_000_000.0


def test_the_type_width_is_a_rollover_too() -> None:
    taken = fed([4_294_967_290.0, 4.0], RegisterLimits(rolls_at=4_294_967_296.0, max_rate=100.0))
    assert values(taken) == [4_294_967_290.0, 4_294_967_300.0]


def test_a_counter_that_falls_a_little_is_a_bad_reading_and_forgotten() -> None:
    taken = fed([500.0, 499.5, 501.0])
    assert values(taken) == [500.0, "counter_fell", 501.0] and not changes(taken)


def test_a_counter_that_stays_lower_was_set_back_and_counts_on() -> None:
    taken = fed([500.0, 499.5, 499.6, 499.8, 500.3])
    assert values(taken) == [500.0, "counter_fell", "counter_fell", 500.3, 500.8]
    assert changes(taken) == [Change.SET_BACK]


def test_a_meter_that_begins_anew_was_replaced() -> None:
    taken = fed([81_234.0, 0.0, 0.5, 1.0, 2.0])
    assert values(taken) == [81_234.0, "counter_fell", "counter_fell", 81_235.0, 81_236.0]
    assert changes(taken) == [Change.REPLACED]
    assert taken[3].correction == (Change.REPLACED, 3 * MINUTE, 81_234.0, 1.0, 81_234.0)


def test_a_zero_read_once_after_power_up_is_no_new_meter() -> None:
    taken = fed([81_234.0, 0.0, 81_234.5, 0.0, 0.0, 81_235.0])
    assert values(taken) == [81_234.0, "counter_fell", 81_234.5, "counter_fell", "counter_fell", 81_235.0]


def test_a_leap_beyond_what_can_be_consumed_is_a_bad_reading() -> None:
    taken = fed([500.0, 7_000.0, 501.0])
    assert values(taken) == [500.0, "rate", 501.0] and not changes(taken)


def test_a_leap_that_stays_is_corrected_and_never_a_spike() -> None:
    taken = fed([500.0, 7_000.0, 7_001.0, 7_003.0, 7_004.0])
    assert values(taken) == [500.0, "rate", "rate", 503.0, 504.0]
    assert changes(taken) == [Change.SET_FORWARD]


def test_a_leap_does_not_become_plausible_by_waiting() -> None:
    register = Register(LIMITS, RegisterState(500.0, 0, 0.0))
    assert register.take(525.0, MINUTE).reason == "rate"
    assert register.take(525.0, 3 * MINUTE).reason == "rate", "10 a minute would allow 25 by now"
    assert register.take(525.0, 4 * MINUTE).value == 500.0


def test_consumption_over_an_outage_is_believed() -> None:
    register = Register(LIMITS, RegisterState(500.0, 0, 0.0))
    assert register.take(900.0, 60 * MINUTE) == Taken(900.0)


def test_a_new_serial_number_makes_a_new_start_at_once() -> None:
    register = Register(LIMITS, RegisterState(500.0, 0, 20.0))
    register.announce(Change.REPLACED)
    taken = fed([502.0, 503.0], register=register)
    assert values(taken) == [520.0, 521.0]
    assert changes(taken) == [Change.REPLACED]


def test_a_serial_number_read_after_the_counter_still_counts_from_the_first_reading() -> None:
    register = Register(LIMITS, RegisterState(500.0, 0, 0.0))
    assert register.take(3.0, MINUTE).reason == "counter_fell"
    register.announce(Change.REPLACED)
    assert register.take(4.0, 2 * MINUTE).value == 501.0


def test_ratios_that_multiply_the_face_are_no_consumption() -> None:
    register = Register(LIMITS, RegisterState(500.0, 0, 0.0))
    register.announce(Change.RATIO)
    taken = fed([15_000.0, 15_030.0], RegisterLimits(max_rate=40.0), register)
    assert taken[0].value == 500.0 and changes(taken) == [Change.RATIO]


def test_ratios_that_leave_the_face_alone_are_told_and_change_nothing() -> None:
    register = Register(LIMITS, RegisterState(500.0, 0, 0.0))
    register.announce(Change.RATIO)
    taken = fed([501.0, 502.0], register=register)
    assert values(taken) == [501.0, 502.0]
    assert taken[0].correction is not None and taken[0].correction.offset == 0.0


def test_the_next_run_counts_on_where_the_last_one_ended() -> None:
    first = Register(LIMITS)
    assert values(fed([999_999.0, 1.0], register=first)) == [999_999.0, 1_000_001.0]
    second = Register(LIMITS, first.state)
    assert values(fed([2.5], register=second)) == [1_000_002.5]


def test_a_late_reading_of_the_past_teaches_nothing() -> None:
    register = Register(LIMITS, RegisterState(500.0, 60 * MINUTE, 1_000.0))
    assert register.past(480.0) == 1_480.0
    assert register.state == RegisterState(500.0, 60 * MINUTE, 1_000.0)


@pytest.mark.parametrize("faces", [[0.0] * 5, [5.0, 5.0, 5.0]])
def test_a_counter_at_rest_is_fine(faces: list[float]) -> None:
    assert values(fed(faces)) == faces


@dataclass
class Meter:
    """The truth: what was consumed, and what the face shows of it."""

    face: int
    end: int
    consumed: int = 0

    def consume(self, amount: int) -> None:
        self.consumed += amount
        self.face = (self.face + amount) % self.end


END = 100_000
RATE = 100
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("use"), st.integers(0, RATE)),
        st.tuples(st.just("glitch"), st.integers(0, END - 1)),
        st.tuples(st.just("replace"), st.integers(0, END // 3)),
        st.tuples(st.just("serial"), st.integers(0, END - 1)),
        st.tuples(st.just("restart"), st.just(0)),
        st.tuples(st.just("outage"), st.integers(2, 50)),
    ),
    max_size=40,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(start=st.integers(0, END - 1), steps=STEPS)
def test_increments_sum_up_to_what_was_consumed(start: int, steps: list[tuple[str, int]]) -> None:
    """Across rollovers, replacements (told by the serial number or not), single glitches, outages
    and restarts: never a fall, never a spike, and in the end nothing lost and nothing invented."""
    meter, at = Meter(start, END), 0
    limits = RegisterLimits(float(END), float(RATE))
    register = Register(limits)
    seen: list[tuple[int, float]] = []

    def read(face: int) -> Taken:
        nonlocal at
        at += MINUTE
        taken = register.take(float(face), at)
        if taken.value is not None:
            seen.append((at, taken.value))
        return taken

    def settle() -> None:
        """Undisturbed readings: all doubts are over behind them."""
        for _ in range(3):
            read(meter.face)

    read(meter.face)
    for kind, amount in steps:
        if kind == "use":
            meter.consume(amount)
            read(meter.face)
        elif kind == "glitch":
            # what looks like honest growth, or like a rollover, cannot be told from it
            ahead = (amount - meter.face) % END
            assume(ahead > 10 * RATE)
            assert read(amount).value is None
            read(meter.face)
        elif kind == "replace":
            assume(amount < meter.face // 2 and (amount - meter.face) % END > 10 * RATE)
            meter.face = amount
            settle()
        elif kind == "serial":
            meter.face = amount
            register.announce(Change.REPLACED)
            read(meter.face)
        elif kind == "restart":
            register = Register(limits, register.state)
            read(meter.face)
        else:
            at += amount * MINUTE
            meter.consume(amount * RATE)
            read(meter.face)
    settle()
    assert seen[-1][1] - seen[0][1] == meter.consumed
    for (before_at, before), (later_at, later) in pairwise(seen):
        assert 0 <= later - before <= RATE * (later_at - before_at) / MINUTE


@given(faces=st.lists(st.floats(0, 1e9), min_size=1, max_size=60))
def test_whatever_is_read_the_corrected_value_never_falls_nor_leaps(faces: list[float]) -> None:
    good = [(n, t.value) for n, t in enumerate(fed(faces)) if t.value is not None]
    for (before_n, before), (later_n, later) in pairwise(good):
        most = (later_n - before_n) * 10.0 + LIMITS.step
        assert -1e-5 <= later - before <= most + 1e-5
