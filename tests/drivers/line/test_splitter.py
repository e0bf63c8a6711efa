"""Cutting a stream into lines: the same however the stream is cut, in bounded memory and linear time."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from drivers.line.splitter import LineSplitter

TERMINATORS = st.sampled_from([b"\n", b"\r\n", b"\r", b"END"])
STREAMS = st.lists(st.sampled_from([b"a", b"bc", b"\r", b"\n", b"\r\n", b"E", b"N", b"D", b"x" * 9])).map(
    b"".join
)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(n % (len(data) + 1) for n in at), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(STREAMS, TERMINATORS, st.lists(st.integers(0, 400), max_size=12))
def test_any_split_gives_the_same_lines(data: bytes, terminator: bytes, at: list[int]) -> None:
    whole = LineSplitter(8, terminator).feed(data)
    pieces = LineSplitter(8, terminator)
    cuts = [pieces.feed(part) for part in cut(data, at)]
    assert [line for one in cuts for line in one.lines] == whole.lines
    assert sum(one.too_long for one in cuts) == whole.too_long


@given(st.lists(st.binary(max_size=8).filter(lambda line: b"\n" not in line)))
def test_lines_within_the_limit_come_as_they_are(lines: list[bytes]) -> None:
    found = LineSplitter(8).feed(b"".join(line + b"\n" for line in lines))
    assert found.lines == lines
    assert found.too_long == 0


def test_a_line_without_end_is_counted_once_and_the_next_line_is_whole() -> None:
    splitter = LineSplitter(80)
    counted = sum(splitter.feed(b"U" * 50).too_long for _ in range(10_000))
    assert counted == 1
    assert len(splitter._rest) <= 80
    assert splitter.feed(b"\n$WIMWV\n").lines == [b"$WIMWV"]


def test_bytes_one_by_one_are_searched_once() -> None:
    searched = 0

    class Counting(bytearray):
        def find(self, *args: object) -> int:  # type: ignore[override]
            nonlocal searched
            searched += len(self) - int(str(args[1]))
            return super().find(*args)  # type: ignore[arg-type]

    splitter = LineSplitter(4000)
    splitter._rest = Counting()
    for _ in range(4000):
        splitter.feed(b"x")
    assert searched <= 2 * 4000
