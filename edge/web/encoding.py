"""Readings and samples as JSON, without a model for each: ten thousand take some 20 ms."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import msgspec

from drivers.reading import Millis, Quality, Reading
from edge.web.services.history import Sample
from edge.web.views.base import instant

SLICE = 1000
"""Items encoded in one go; between slices the event loop serves others."""

_encode = msgspec.json.Encoder().encode


def reading_fields(reading: Reading) -> dict[str, object]:
    """A reading as the members of its JSON object (`ReadingView`)."""
    return {
        "device": reading.device,
        "point": reading.point,
        "value": reading.value,
        "unit": reading.unit,
        "at": instant(reading.at),
        "received_at": instant(reading.received_at),
        "quality": reading.quality,
        "reason": reading.reason,
        "origin": reading.origin,
    }


def sample_fields(device: str, point: str, unit: str, sample: Sample) -> dict[str, object]:
    """A sample as the members of its JSON object (`SampleView`)."""
    return {
        "device": device,
        "point": point,
        "at": instant(sample.at),
        "value": sample.value,
        "unit": unit,
        "quality": sample.quality,
    }


def aged(reading: Reading, stale_after: Mapping[str, Millis], now: Millis) -> Reading:
    """The reading as it counts at `now`: a good one older than its device's limit is stale."""
    if reading.quality is Quality.GOOD and now - reading.at > stale_after.get(reading.device, now):
        return reading._replace(quality=Quality.STALE, reason="stale")
    return reading


def array(items: Sequence[Mapping[str, object]]) -> bytes:
    """A JSON array; numbers that JSON does not know become null."""
    return _encode(items)


async def page(items: Iterable[Mapping[str, object]], following: str | None) -> bytes:
    """The JSON of a list, `{items, next}`, encoded slice by slice."""
    source = iter(items)
    parts: list[bytes] = []
    while some := list(islice(source, SLICE)):
        parts.append(_encode(some)[1:-1])
        await asyncio.sleep(0)
    return b'{"items":[' + b",".join(parts) + b'],"next":' + _encode(following) + b"}"
