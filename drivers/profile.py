"""Device profiles: what a model of device measures and how that is read; data only.

A profile is one YAML file in configs/profiles. Each protocol family adds its own
way to read a point (`drivers/<family>/profile.py`); this module holds what all share.
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from drivers.reading import Quality, Value
from drivers.settings import Id, Settings
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


def point_spec(profile: Profile, vocabulary: Vocabulary, point: str) -> PointSpec:
    """The words for a profile's point; KeyError when neither knows it."""
    return profile.adds.get(point) or vocabulary.points[point]


Verdict = tuple[Value | None, Quality, str]
"""A judged value: the value (None when bad), its quality and the reason when not good."""

_NOT_AVAILABLE: Verdict = (None, Quality.BAD, "not_available")
_NOT_A_NUMBER: Verdict = (None, Quality.BAD, "not_a_number")
_NOT_A_SWITCH: Verdict = (None, Quality.BAD, "not_a_switch")
_OUT_OF_RANGE: Verdict = (None, Quality.BAD, "out_of_range")


class Judge:
    """Scales a raw value, casts it to the vocabulary's type and judges it.

    Compiled once for each point. Sentinels, NaN and values outside the plausible range
    are bad readings with the reason, never numbers.
    """

    __slots__ = ("_exact", "_high", "_invert", "_low", "_offset", "_scale", "_sentinels", "_type")

    def __init__(self, mapping: PointMap, spec: PointSpec) -> None:
        self._type = spec.type
        self._invert = mapping.invert
        self._scale, self._offset = mapping.scale, mapping.offset
        self._exact = mapping.scale == 1 and mapping.offset == 0
        self._sentinels = frozenset(mapping.sentinels)
        self._low = -math.inf if spec.min is None else spec.min
        self._high = math.inf if spec.max is None else spec.max

    def __call__(self, raw: Value | None) -> Verdict:
        """The verdict on one raw value."""
        if raw is None:
            return _NOT_AVAILABLE
        if self._type == "number" and not isinstance(raw, str):
            return self._number(raw)
        if self._type == "switch":
            if isinstance(raw, str) or raw not in (0, 1):
                return _NOT_A_SWITCH
            return bool(raw) != self._invert, Quality.GOOD, ""
        return (str(raw), Quality.GOOD, "") if self._type == "text" else _NOT_A_NUMBER

    def _number(self, raw: float) -> Verdict:
        if raw in self._sentinels:
            return _NOT_AVAILABLE
        number = float(raw) if self._exact else round(raw * self._scale + self._offset, 6)
        if self._low <= number <= self._high:
            return (number, Quality.GOOD, "") if math.isfinite(number) else _NOT_A_NUMBER
        return _OUT_OF_RANGE if math.isfinite(number) else _NOT_A_NUMBER


def judge(raw: Value | None, mapping: PointMap, spec: PointSpec) -> Verdict:
    """One value judged without keeping the compiled judge."""
    return Judge(mapping, spec)(raw)
