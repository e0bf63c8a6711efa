"""What a destination holds, as a position and runs ahead of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.store.cursors import EVERYTHING, Held, Run, common

runs = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)), max_size=12)


def ids(held: Held) -> set[int]:
    """The held ids up to 100."""
    parts = (Run(0, min(held.position, 100)), *held.ahead)
    return {number for run in parts for number in range(run.behind + 1, run.upto + 1)}


def built(spans: list[tuple[int, int]]) -> tuple[Held, set[int]]:
    held, known = Held(0), set[int]()
    for behind, length in spans:
        held = held.joined(behind, behind + length)
        known |= set(range(behind + 1, behind + length + 1))
    return held, known


@given(runs)
def test_runs_in_any_order_and_overlap_add_up_to_the_ids_that_were_sent(spans: list[tuple[int, int]]) -> None:
    held, known = built(spans)
    assert ids(held) == known
    assert held.lacking(60) == 60 - len(known)
    assert held.top == max(known, default=0)
    ends = [held.position, *(end for run in held.ahead for end in run)]
    assert ends == sorted(set(ends)), "runs are in order and never touch"
    if held.gap:
        assert held.gap.behind + 1 not in known
        assert held.gap.upto + 1 in known


@given(runs, st.integers(0, 50), st.integers(0, 20))
def test_a_run_is_covered_when_each_of_its_ids_is_held(
    spans: list[tuple[int, int]], behind: int, length: int
) -> None:
    held, known = built(spans)
    wanted = set(range(behind + 1, behind + length + 1))
    if wanted:
        assert held.covers(behind, behind + length) == (wanted <= known)


@given(st.lists(runs, min_size=1, max_size=3))
def test_common_is_what_every_destination_holds(several: list[list[tuple[int, int]]]) -> None:
    every = [built(spans) for spans in several]
    found = common([held for held, _ in every])
    assert ids(found) == set.intersection(*(known for _, known in every))


def test_without_destinations_everything_counts_as_held() -> None:
    assert common([]) == Held(EVERYTHING)
