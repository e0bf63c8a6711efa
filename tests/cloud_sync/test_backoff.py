"""Waits between tries."""

from random import Random

from cloud_sync.backoff import Backoff
from cloud_sync.errors import Blocked, NoConnection, Throttled, Unreachable
from tests.cloud_sync.memory_outbox import destination


def backoff(seed=1, **changes):
    times = {"retry_min": "1s", "retry_max": "5m"}
    return Backoff(destination(**{**times, **changes}), Random(seed))


def test_waits_start_at_the_least_and_grow_to_the_most_with_jitter():
    for seed in range(50):
        waits = backoff(seed)
        series = [waits.failed(Unreachable("x")) for _ in range(40)]
        assert series[0] == 1_000
        assert all(1_000 <= wait <= min(300_000, 1_000 << n) for n, wait in enumerate(series))
        assert max(series) > 100_000


def test_while_no_connection_comes_tries_stay_close_and_random():
    series = [backoff(seed, retry_away="4s") for seed in range(50)]
    waits = [[one.failed(NoConnection("x")) for _ in range(40)] for one in series]
    assert all(1_000 <= wait <= 4_000 for row in waits for wait in row)
    last = [row[-1] for row in waits]
    assert min(last) < 1_700 and max(last) > 3_300, "schools do not come in step"
    assert all(1_000 <= one.failed(Unreachable("x")) <= 300_000 for one in series)
    assert max(one.failed(Unreachable("x")) for one in series) > 100_000, "who answers badly is spared"


def test_a_pause_while_away_keeps_to_both_other_limits():
    short = backoff(retry_min="10ms", retry_max="50ms", retry_away="4s")
    assert max(short.failed(NoConnection("x")) for _ in range(40)) <= 50
    long = backoff(retry_min="20s", retry_away="4s")
    assert [long.failed(NoConnection("x")) for _ in range(3)] == [20_000] * 3


def test_success_forgets_the_failures():
    waits = backoff()
    for _ in range(10):
        waits.failed(Unreachable("x"))
    waits.reset()
    assert waits.failed(Unreachable("x")) == 1_000


def test_retry_after_is_honoured_within_a_fifth_and_capped():
    for seed in range(50):
        assert 7_000 <= backoff(seed).failed(Throttled("x", 503, 7_000)) <= 8_400
        assert backoff(seed).failed(Throttled("x", 503, 86_400_000)) <= 15 * 60_000 * 1.1
        assert backoff(seed).failed(Throttled("x", 429, None)) == 1_000


def test_a_blocked_destination_is_tried_ever_more_slowly_up_to_its_setting():
    waits = backoff(blocked_retry="5m")
    series = [waits.failed(Blocked("x", 401)) for _ in range(8)]
    assert series == [10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000, 300_000]
