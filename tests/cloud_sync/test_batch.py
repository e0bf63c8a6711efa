"""The work list of one batch, played against a server that refuses certain lines."""

from hypothesis import given
from hypothesis import strategies as st

from cloud_sync.batch import POISON_CAP, Batch
from cloud_sync.outbox import Entry
from tests.cloud_sync.memory_outbox import meters


def batch_of(entries, max_bytes=900_000, suspects=()):
    return Batch(entries, len(entries), more=False, max_bytes=max_bytes, suspects=suspects)


def play(batch, poison, reason="unable to parse"):
    """Writes until the batch is through; the number of writes."""
    writes = 0
    while batch.head:
        writes += 1
        if any(line.entry.id in poison for line in batch.head):
            batch.refused(400, reason)
        else:
            batch.accepted()
    return writes


@given(st.integers(1, 300), st.sets(st.integers(1, 300), max_size=POISON_CAP))
def test_exactly_the_poison_is_set_aside(count, poison):
    batch = batch_of(meters(count))
    poison = {n for n in poison if n <= count}
    play(batch, poison)
    assert {one.entry.id for one in batch.poison} == poison
    assert batch.sent == count - len(poison)


def test_one_poison_line_among_5000_costs_at_most_30_more_writes():
    for place in (1, 2, 1250, 2500, 2501, 4999, 5000):
        assert play(batch_of(meters(5_000)), {place}) <= 31


def test_lines_are_the_same_bytes_on_every_try():
    batch = batch_of(meters(100))
    first = batch.body()
    assert batch.body() == first
    batch.halve()
    second = batch.body()
    batch.accepted()
    assert second + b"\n" + batch.body() == first


def test_writes_are_cut_to_the_byte_limit_and_a_longer_line_stands_alone():
    entries = [*meters(50), Entry(51, "note", {}, {"text": "x" * 5_000}, 1), *meters(50)]
    batch = batch_of(entries, max_bytes=1_000)
    sizes = []
    while batch.head:
        sizes.append((len(batch.head), len(batch.body())))
        batch.accepted()
    assert batch.sent == 101
    assert all(size <= 1_000 for lines, size in sizes if lines > 1)
    assert max(size for _, size in sizes) > 5_000


def test_beyond_the_cap_the_whole_series_is_set_aside():
    entries = meters(2_000, devices=4)  # every fourth line is of em-0
    poison = {entry.id for entry in entries if entry.tags["device"] == "em-0"}
    batch = batch_of(entries)
    writes = play(batch, poison)
    assert {one.entry.id for one in batch.poison} == poison
    assert batch.capped
    assert writes < 200


def test_a_series_refused_before_goes_last_and_by_itself():
    entries = meters(1_000, devices=10)
    poison = {entry.id for entry in entries if entry.tags["device"] == "em-3"}
    batch = batch_of(entries, suspects={("meter", (("device", "em-3"),))})
    assert len(batch.head) == 900
    play(batch, poison)
    assert {one.entry.id for one in batch.poison} == poison


def test_a_head_that_the_server_dropped_whole_is_set_aside_at_once_and_no_series_is_suspected():
    batch = batch_of(meters(5_000))
    batch.refused(422, "partial write: points beyond retention policy dropped=5000")
    assert not batch.head
    assert len(batch.poison) == 5_000
    assert not batch.refused_series
    assert not batch.capped


def test_an_entry_that_is_no_line_is_set_aside_unsent():
    entries = [*meters(3), Entry(4, "meter", {}, {"v": float("nan")}, 1)]
    batch = batch_of(entries)
    play(batch, set())
    assert batch.sent == 3
    (one,) = batch.poison
    assert (one.entry.id, one.status) == (4, 0)
    assert "nan" in one.reason
