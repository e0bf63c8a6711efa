"""What may be written to a point: type, range and step, checked before anything is sent; pure."""

from __future__ import annotations

import math

from drivers.errors import NotWritable
from drivers.profile import PointMap, WriteLimits
from drivers.reading import Value
from drivers.vocabulary import PointSpec

_STEP = 1e-6
"""Rounding of decimal scales; a value further off its step than this is not one of the device's."""


def permitted(point: str, value: Value, limits: WriteLimits | None, spec: PointSpec) -> Value:
    """The value in the vocabulary's type; NotWritable says why it may not be written.

    Reasons: `not_writable` (the profile says read-only), `wrong_type`, `out_of_range`.
    """
    if limits is None:
        raise NotWritable(f"{point} is read-only")
    if spec.type == "switch":
        if not isinstance(value, bool):
            raise NotWritable(f"{point} is a switch: true or false", reason="wrong_type")
        return value
    if spec.type == "text":
        if not isinstance(value, str) or not 0 < len(value) <= 256:
            raise NotWritable(f"{point} is a text", reason="wrong_type")
        return value
    if isinstance(value, bool | str) or not math.isfinite(value):
        raise NotWritable(f"{point} is a number in {spec.unit}", reason="wrong_type")
    low = max(b for b in (spec.min, limits.min, -math.inf) if b is not None)
    high = min(b for b in (spec.max, limits.max, math.inf) if b is not None)
    if not low <= value <= high:
        message = f"{point} must be within {low:g} to {high:g} {spec.unit}, not {value:g}"
        raise NotWritable(message, reason="out_of_range")
    return float(value)


def raw_number(point: str, value: float, mapping: PointMap, whole: bool) -> float:
    """The raw number that reads as `value`: the inverse of scale and offset.

    `whole` devices hold integers only: NotWritable (`resolution`) for a value between two
    of their steps, so that what is asked for is what is written.
    """
    raw = (value - mapping.offset) / mapping.scale
    if not whole:
        return raw
    nearest = round(raw)
    if abs(nearest - raw) > _STEP * max(1.0, abs(raw)):
        message = f"{point} goes in steps of {abs(mapping.scale):g}: {value:g} is between two"
        raise NotWritable(message, reason="resolution")
    return float(nearest)
