"""Latest and stored values, as JSON."""

from __future__ import annotations

from drivers.reading import Origin, Quality, Value
from edge.web.views.base import Instant, View


class ReadingView(View):
    """The latest reading of one point. A good one that was not renewed in time is `stale`."""

    device: str
    point: str
    value: Value | None
    unit: str
    at: Instant
    received_at: Instant
    quality: Quality
    reason: str
    origin: Origin


class SampleView(View):
    """One stored value, or one bucket of an aggregated series, which starts at `at`."""

    device: str
    point: str
    at: Instant
    value: Value | None
    unit: str
    quality: Quality
