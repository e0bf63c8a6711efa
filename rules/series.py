"""Values over time in one line of text, as the tests of a rule write them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from drivers.reading import Millis, Value
from drivers.settings import millis, parse_duration

_SERIES = re.compile(r"(\S+?)\.\.(\S+) +@(\S+) +(\S+)")
_PAST = re.compile(r"(\S+) +@(\S+) +(\S+)")
MOST_SAMPLES = 20_000
DAY_MS: Millis = 86_400_000
QUARTER_MS: Millis = 900_000
LONGEST_PAST = 400
"""The longest baseline is learned from a year."""

Given = Value | tuple[str, ...]


def samples(given: Given) -> Iterator[tuple[Millis, Value]] | None:
    """A series as (time since the start, value), or None for a constant.

    `"0..20m @1m 1600"` is 1600 every minute from 0 to 20 min, both included; several values
    with commas take turns, `->` between two runs from the one to the other. ValueError for any
    other text with `..` in it.
    """
    if isinstance(given, tuple):
        parts = [samples(one) for one in given]
        if None in parts:
            raise ValueError("a list holds series only, such as 0..20m @1m 1600")
        return (sample for part in parts if part is not None for sample in part)
    if not isinstance(given, str) or ".." not in given:
        return None
    match = _SERIES.fullmatch(given.strip())
    if match is None:
        raise ValueError(f"{given!r}: a series looks like 0..20m @1m 1600")
    first, last, step = (_span(text) for text in match.groups()[:3])
    if step <= 0 or last < first or (last - first) // step > MOST_SAMPLES:
        raise ValueError(f"{given!r}: the times run backwards, or are too many")
    return _spread(first, last, step, match[4])


def _spread(first: Millis, last: Millis, step: Millis, text: str) -> Iterator[tuple[Millis, Value]]:
    if "->" in text:
        low, high = (float(part) for part in text.split("->"))
        span = max(1, last - first)
        yield from ((at, low + (high - low) * (at - first) / span) for at in range(first, last + 1, step))
        return
    values = [_value(part) for part in text.split(",")]
    yield from ((at, values[i % len(values)]) for i, at in enumerate(range(first, last + 1, step)))


def _span(text: str) -> Millis:
    return 0 if text == "0" else millis(parse_duration(text))


def _value(text: str) -> Value:
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text)
    except ValueError:
        return text


class Past(NamedTuple):
    """What was before a test's day: `days` days of numbers, one for each `step` from the first midnight on,
    taking turns."""

    days: int
    step: Millis
    numbers: tuple[float, ...]

    def during(self, since: Millis) -> float:
        """The number of the step that holds an instant, told as time since the first midnight."""
        return self.numbers[since // self.step % len(self.numbers)]


def past_of(text: str) -> Past:
    """`"28d @1h 5,7"` -> 28 days of hours, 5 and 7 in turn. ValueError for anything else."""
    match = _PAST.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r}: the past looks like 28d @1h 5,7")
    length, step = _span(match[1]), _span(match[2])
    if length % DAY_MS or not DAY_MS <= length <= LONGEST_PAST * DAY_MS:
        raise ValueError(f"{text!r}: the past is of whole days, {LONGEST_PAST} at the most")
    if step <= 0 or step % QUARTER_MS or (DAY_MS % step and step % DAY_MS):
        raise ValueError(f"{text!r}: a step is of quarter hours and fits into a day, or is of whole days")
    try:
        numbers = tuple(float(part) for part in match[3].split(","))
    except ValueError as error:
        raise ValueError(f"{text!r}: the past holds numbers, with commas between") from error
    return Past(length // DAY_MS, step, numbers)
