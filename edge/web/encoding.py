"""Readings and samples as JSON, without a model for each: ten thousand take some 8 ms."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import msgspec

from drivers.reading import Millis, Origin, Quality, Reading, Value
from edge.web.services.history import Sample
from edge.web.views.base import instant

SLICE = 1000
"""Items encoded in one go; between slices the event loop serves others."""

_encode = msgspec.json.Encoder().encode


class ReadingFields(msgspec.Struct, gc=False):
    """A reading as the members of its JSON object (`ReadingView`)."""

    device: str
    point: str
    value: Value | None
    unit: str
    at: str
    received_at: str
    quality: Quality
    reason: str
    origin: Origin


def reading_fields(readings: Iterable[Reading]) -> Iterator[ReadingFields]:
    """Readings as they are shown; those of one tick share their instants."""
    at = received_at = None
    at_text = received_text = ""
    for reading in readings:
        if reading[4] != at:
            at = reading[4]
            at_text = instant(at)
        if reading[5] != received_at:
            received_at = reading[5]
            received_text = instant(received_at)
        device, point, value, unit, _, _, quality, reason, origin = reading
        yield ReadingFields(device, point, value, unit, at_text, received_text, quality, reason, origin)


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


def array(items: Sequence[object]) -> bytes:
    """A JSON array; numbers that JSON does not know become null."""
    return _encode(items)


async def page(items: Iterable[object], following: str | None) -> bytes:
    """The JSON of a list, `{items, next}`, encoded slice by slice."""
    source = iter(items)
    parts: list[bytes] = []
    while some := list(islice(source, SLICE)):
        parts.append(_encode(some)[1:-1])
        await asyncio.sleep(0)
    return b'{"items":[' + b",".join(parts) + b'],"next":' + _encode(following) + b"}"
