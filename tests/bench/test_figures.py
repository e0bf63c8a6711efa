"""The benchmark's own arithmetic."""

from __future__ import annotations

import pytest

from tests.bench.figures import grid, long_gaps, passage, percentile, ratio, slope, spread, wire_limit
from tests.bench.loads.drain import drain_rate
from tests.bench.results import curves, gather
from tests.bench.stage import Sample


def test_percentiles_lie_between_the_neighbours() -> None:
    assert percentile([], 0.5) is None
    assert percentile([3.0], 0.99) == 3.0
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.5
    assert percentile(list(range(101)), 0.99) == pytest.approx(99.0)


def test_a_left_out_period_shows_in_gaps_and_in_the_share_missed() -> None:
    steady = (1, [0.0, 1.0, 2.0, 3.0, 4.0])
    limping = (1, [0.0, 1.0, 3.0, 4.0])
    kept = grid({"a": steady, "b": limping}, 1.0, 5.0)
    assert kept.reads == 9
    assert kept.gap_p50 == 1.0
    assert kept.gap_p99 is not None
    assert kept.gap_p99 > 1.9
    assert kept.missed == pytest.approx(0.1)
    assert long_gaps({"a": steady, "b": limping}, 1.0) == pytest.approx(1 / 8)


def test_readings_are_followed_by_their_number_and_the_first_arrival_counts() -> None:
    reads = {"d0": (7, [10.0, 11.0, 12.0, 13.0])}
    came = passage(reads, [("d0", 7, 10.25), ("d0", 7, 10.5), ("d0", 9, 12.5), ("d1", 8, 11.0)], until=12.5)
    assert came.latencies == (0.25, 0.5)
    assert (came.lost, came.expected) == (1, 3), "the read at 13.0 may still be under way"


def test_read_numbers_go_on_after_a_register_is_full() -> None:
    reads = {"d0": (65_535, [1.0, 2.0])}
    came = passage(reads, [("d0", 65_535, 1.5), ("d0", 0, 2.5)], until=9.0)
    assert came.latencies == (0.5, 0.5)
    assert came.lost == 0


def test_a_spread_is_the_median_with_its_ends_and_ratios_need_both_sides() -> None:
    ours, theirs = spread([2.0, None, 4.0, 3.0]), spread([9.0])
    assert ours is not None
    assert (ours.median, ours.low, ours.high, ours.runs) == (3.0, 2.0, 4.0, 3)
    assert ratio(theirs, ours) == 3.0
    assert ratio(None, ours) is None
    assert ratio(ours, spread([0.0])) is None
    assert spread([None]) is None


def test_the_wire_carries_what_its_bytes_and_the_turn_round_leave() -> None:
    # 53 bytes of 10 bits at 9600 are 55.2 ms; with 20 ms turn-round and two silences of 3.65 ms 82.5 ms
    assert wire_limit(9600, 10, 8, 45, 0.020 + 2 * 0.00365) == pytest.approx(12.12, abs=0.01)


def test_a_drain_is_timed_from_its_first_full_take_to_the_write_that_completes_it() -> None:
    held = [(0.0, 60), (0.5, 100), (1.5, 160), (2.5, 300), (9.0, 310)]
    assert drain_rate(held, 300, 100) == pytest.approx(100.0)
    assert drain_rate(held, 400, 100) is None
    assert drain_rate(held, 90, 100) is None


def test_results_keep_the_order_of_loads_and_name_what_failed() -> None:
    samples = [
        Sample("poll", "campus-edge", {"rss": 2.0}, {"gap_s": [1.0]}),
        Sample("poll", "peer", failed="ended"),
        Sample("poll", "campus-edge", {"rss": 4.0}, {"gap_s": [2.0]}),
        Sample("line", "campus-edge", {"exchanges_per_s": 10.0}),
        Sample("line", "limit", {"exchanges_per_s": 12.0}),
    ]
    poll, line = gather(samples)
    assert (poll.load, line.load) == ("poll", "line")
    assert poll.systems["campus-edge"]["rss"].median == 3.0
    assert poll.failed == {"peer": "ended"}
    assert line.ratio("exchanges_per_s", "limit") == pytest.approx(1.2)
    assert line.ratio("rss", "limit") is None
    assert curves(samples, "poll", "gap_s") == {"campus-edge": [1.0, 2.0]}


def test_the_slope_is_that_of_the_nearest_straight_line() -> None:
    assert slope([]) is None
    assert slope([(5.0, 1.0)]) is None
    assert slope([(5.0, 1.0), (5.0, 2.0)]) is None
    assert slope([(float(x), 3.0 + 0.5 * x) for x in range(10)]) == pytest.approx(0.5)
    assert slope([(0.0, 0.0), (1.0, 3.0), (2.0, 0.0), (3.0, 3.0)]) == pytest.approx(0.6)
