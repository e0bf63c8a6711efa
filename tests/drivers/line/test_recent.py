"""The newest numbers are those of a bounded deque, in room that is taken at once."""

from __future__ import annotations

import sys
from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from drivers.line.recent import Recent


@given(st.integers(1, 9), st.lists(st.floats(allow_nan=False), max_size=40))
def test_it_holds_what_a_bounded_deque_holds(most: int, numbers: list[float]) -> None:
    recent, expected = Recent(most), deque[float](maxlen=most)
    for number in numbers:
        recent.append(number)
        expected.append(number)
        assert list(recent) == list(expected)
        assert (len(recent), recent[-1], bool(recent)) == (len(expected), expected[-1], True)
    assert bool(recent) is bool(numbers)


def test_its_memory_is_the_same_empty_and_full() -> None:
    recent = Recent(128)
    before = sys.getsizeof(recent._room)
    for number in range(1000):
        recent.append(number / 7)
    assert sys.getsizeof(recent._room) == before
