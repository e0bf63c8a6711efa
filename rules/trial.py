"""The tests that a rule carries, as written: given readings over time, expected outcomes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from drivers.reading import Millis, Value
from drivers.settings import Duration, Settings, millis, parse_duration
from drivers.vocabulary import CommandName
from rules.timetable import Clock, DayType
from rules.tree import Role

_SERIES = re.compile(r"(\S+?)\.\.(\S+) +@(\S+) +(\S+)")
LONGEST = timedelta(days=14)
MOST_SAMPLES = 20_000

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


class ExpectedCommand(Settings):
    """One command that must be given, at `by` at the latest; `restores`: the point goes back; `proposed`:
    a person is asked."""

    cmd: CommandName
    by: Annotated[Duration, Field(ge=timedelta(0), le=LONGEST)] | None = None
    restores: bool = False
    proposed: bool = False


class Expected(Settings):
    """What must come of it; times count from the start. Only what is given is looked at."""

    active_at: Annotated[Duration, Field(ge=timedelta(0), le=LONGEST)] | None = None
    normal_at: Annotated[Duration, Field(ge=timedelta(0), le=LONGEST)] | None = None
    active_never: bool = False
    occurrences: Annotated[int, Field(ge=0)] | None = None
    occurrences_le: Annotated[int, Field(ge=0)] | None = None
    findings: Annotated[int, Field(ge=0)] | None = None
    commands: tuple[ExpectedCommand, ...] | None = Field(
        default=None, description="all that is told or proposed to devices, in this order"
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(
                "expect needs active_at, normal_at, active_never, occurrences, occurrences_le or commands"
            )
        return self


class Trial(Settings):
    """One test: `given` has a series or a constant for each role; it starts on a day of the type `day`
    at `start` (default: when the rule's active time begins, else 09:00). `baselines` are what is usual;
    those not given are not known."""

    given: dict[Role, Given]
    expect: Expected
    day: DayType | None = None
    start: Clock | None = None
    baselines: dict[str, float] = Field(default_factory=dict)
    lasts: Annotated[Duration, Field(gt=timedelta(0), le=LONGEST)] | None = None

    @field_validator("given", mode="after")
    @classmethod
    def _readable(cls, given: dict[str, Given]) -> dict[str, Given]:
        series = [samples(one) for one in given.values()]
        if all(one is None for one in series):
            raise ValueError("given needs at least one series, such as 0..20m @1m 1600")
        for one in series:
            for _ in one or ():
                pass
        return given
