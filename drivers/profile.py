"""Device profiles: what a model of device measures and how that is read; data only.

A profile is one YAML file in configs/profiles. Each protocol family adds its own
way to read a point (`drivers/<family>/profile.py`); this module holds what all share.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from drivers.reading import Quality, Value
from drivers.settings import Duration, Id, Settings
from drivers.vocabulary import PointName, PointSpec, Vocabulary


class PointMap(Settings):
    """How one point is read; families add where it stands.

    value = raw * scale + offset, in the vocabulary's unit.
    """

    scale: float = 1.0
    offset: float = 0.0
    invert: bool = Field(default=False, description="switches: true means the contact reads 0")
    sentinels: tuple[float, ...] = Field(
        default=(), description="raw numbers that mean: no value (broken probe, not fitted)"
    )
    equivalent: bool = Field(
        default=False, description="derived by the sensor, not measured (eCO2 from TVOC)"
    )
    rolls_at: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="counters: the value at which this model starts again at 0"
    )
    max_rate: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="largest change per minute of this model, where the vocabulary's is too wide",
    )

    def no_values(self, counter: bool) -> frozenset[float]:
        """The raw numbers that mean "no value"; families add those of their encoding, but only
        those that a `counter` does not pass on its way."""
        return frozenset(self.sentinels)

    def rollover(self) -> float | None:
        """The value at which a counter starts again at 0, None where nobody knows; families
        know the width of their encoding."""
        return self.rolls_at


class WriteLimits(Settings):
    """That a point may be written, by whom, how often and within what; families add how.

    `min` and `max` narrow the vocabulary's range, in its unit. `readback` asks the device
    after a write what it holds now. A point without such a description is read-only.
    """

    min: float | None = None
    max: float | None = None
    readback: bool = True
    role: Literal["operator", "engineer", "admin"] = Field(
        default="operator", description="least role that may write it"
    )
    pause: Duration = Field(default=timedelta(seconds=2), description="least time between two writes")
    settle: Annotated[Duration, Field(le=timedelta(seconds=2))] = Field(
        default=timedelta(0), description="what the device needs before it is read back"
    )


class CapturedExchange(Settings):
    """A request and its reply in hex, captured or from a standard, as a test of the profile."""

    request: str
    reply: str
    expect: dict[PointName, float | bool | str | None]
    source: str = ""


class Profile(Settings):
    """What all profiles share."""

    id: Id
    maker: str
    model: str
    kind: PointName
    source: Annotated[str, Field(min_length=8, description="public source of the map")]
    verified: bool = Field(default=False, description="tried on a real device")
    adds: dict[PointName, PointSpec] = Field(
        default_factory=dict, description="points that the vocabulary lacks"
    )

    def point_names(self) -> tuple[str, ...]:
        """The points this profile emits, in its order."""
        raise NotImplementedError

    @property
    def speaks_first(self) -> bool:
        """True for devices that nobody asks: they are heard, see `drivers.contract.Speaking`."""
        return False

    def write_limits(self, point: str) -> WriteLimits | None:
        """What bounds writes of a point, `None` where it is read-only."""
        return None


def point_spec(profile: Profile, vocabulary: Vocabulary, point: str) -> PointSpec:
    """The words for a profile's point; KeyError when neither knows it."""
    return profile.adds.get(point) or vocabulary.points[point]


Verdict = tuple[Value | None, Quality, str]
"""A judged value: the value (None when bad), its quality and the reason when not good."""

_NOT_AVAILABLE: Verdict = (None, Quality.BAD, "not_available")
_NOT_A_NUMBER: Verdict = (None, Quality.BAD, "not_a_number")
_NOT_A_SWITCH: Verdict = (None, Quality.BAD, "not_a_switch")
_OUT_OF_RANGE: Verdict = (None, Quality.BAD, "out_of_range")


Judge = Callable[[Value | None], Verdict]
"""Scales one raw value, casts it to the vocabulary's type and judges it."""


def judge_of(mapping: PointMap, spec: PointSpec) -> Judge:
    """Compiles the judge of one point: it is called for every value of every reading.

    Sentinels, NaN and values outside the plausible range are bad readings with the
    reason, never numbers.
    """
    if spec.type == "number":
        return _number_judge(mapping, spec)
    if spec.type == "switch":
        invert = mapping.invert

        def switch(raw: Value | None) -> Verdict:
            if raw is None:
                return _NOT_AVAILABLE
            if isinstance(raw, str) or raw not in (0, 1):
                return _NOT_A_SWITCH
            return bool(raw) != invert, Quality.GOOD, ""

        return switch
    return lambda raw: _NOT_AVAILABLE if raw is None else (str(raw), Quality.GOOD, "")


class Plain(NamedTuple):
    """A number whose judge does no more than this: a raw number that is no sentinel becomes
    raw / divisor, and is good from low to high (both finite). Holds for whole raw numbers, and for
    all where the divisor is 1."""

    divisor: int
    low: float
    high: float
    sentinels: frozenset[float]


def plain_of(mapping: PointMap, spec: PointSpec) -> Plain | None:
    """How a point's numbers can be judged many at a time; None where each needs its judge."""
    divisor = _divisor(mapping)
    if spec.type != "number" or not divisor:
        return None
    return Plain(
        divisor,
        -_LARGEST if spec.min is None else spec.min,
        _LARGEST if spec.max is None else spec.max,
        mapping.no_values(spec.counter),
    )


_LARGEST = sys.float_info.max


def _divisor(mapping: PointMap) -> int:
    """What raw numbers are divided by: 1 for those that are taken as they are, 0 where that is no
    whole number. A tenth is no binary fraction, ten is: dividing by it gives the nearest decimal."""
    if mapping.offset or not mapping.scale:
        return 0
    if mapping.scale == 1:
        return 1
    divisor = round(1 / mapping.scale)
    return divisor if divisor > 1 and math.isclose(divisor * mapping.scale, 1.0, rel_tol=1e-12) else 0


def _number_judge(mapping: PointMap, spec: PointSpec) -> Judge:
    scale, offset = mapping.scale, mapping.offset
    sentinels = mapping.no_values(spec.counter)
    low = -math.inf if spec.min is None else spec.min
    high = math.inf if spec.max is None else spec.max
    exact = scale == 1 and offset == 0
    divisor = _divisor(mapping)
    good = Quality.GOOD

    def number(raw: Value | None) -> Verdict:
        if raw is None:
            return _NOT_AVAILABLE
        if isinstance(raw, str):
            return _NOT_A_NUMBER
        if raw in sentinels:
            return _NOT_AVAILABLE
        if exact:
            value = float(raw)
        elif divisor > 1 and raw.__class__ is int:
            value = raw / divisor
        else:
            value = round(raw * scale + offset, 6)
        if low <= value <= high and value - value == 0:
            return value, good, ""
        return _OUT_OF_RANGE if math.isfinite(value) else _NOT_A_NUMBER

    return number


def judge(raw: Value | None, mapping: PointMap, spec: PointSpec) -> Verdict:
    """One value judged without keeping the compiled judge."""
    return judge_of(mapping, spec)(raw)
