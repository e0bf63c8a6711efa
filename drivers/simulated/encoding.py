"""From a point's value back to the raw number of a device: the inverse of `drivers.profile.judge`."""

from __future__ import annotations

from drivers.profile import PointMap
from drivers.reading import Value
from drivers.vocabulary import PointSpec


def raw_of(value: Value, mapping: PointMap, spec: PointSpec) -> float:
    """The raw number that `judge` reads as `value`; ValueError for a text."""
    if spec.type == "switch":
        return float(bool(value) != mapping.invert)
    if isinstance(value, str):
        raise ValueError(f"{value!r} is not a number")
    return (value - mapping.offset) / mapping.scale


def value_of(raw: float, mapping: PointMap, spec: PointSpec) -> Value:
    """What a master makes of a raw number that fits the point."""
    if spec.type == "switch":
        return bool(raw) != mapping.invert
    return round(raw * mapping.scale + mapping.offset, 6)
