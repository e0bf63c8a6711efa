"""Times of the gateway's own settings, in seconds: windows and the floor keep to them."""

from __future__ import annotations

from datetime import timedelta

from cloud_sync.settings import InfluxDestination
from edge.config.models import StoreSettings
from edge.pipeline import recorder

GROUP_S = StoreSettings().group.total_seconds()
"""Readings are committed together once in this time ..."""
GROUP_ROWS = recorder.GROUP_ROWS
"""... or as soon as there are so many."""
EAGER_S = recorder.EAGER_S + recorder.EAGER_GROUP_S
"""For so long after a start groups are shorter, which costs more: no window lies in it."""
_interval = InfluxDestination.model_fields["interval"].default
assert isinstance(_interval, timedelta)
INTERVAL_S = _interval.total_seconds()
"""What is stored is sent at most once in this time."""
ON_THE_WAY_S = GROUP_S + INTERVAL_S + 1.0
"""What was measured has been committed, sent and taken after so long."""
