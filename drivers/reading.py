"""What every driver emits: readings, frozen and typed.

Times inside the gateway are integer milliseconds since the Unix epoch (UTC), see
DECISIONS.md "Time"; aware datetimes stand only at the faces (API, files, cloud).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

Millis = int
"""Milliseconds: a duration, or an instant since the Unix epoch in UTC."""

Value = float | bool | str
"""A point's value; its type is fixed by the vocabulary, never by the payload."""


class Quality(StrEnum):
    """How far a reading may be trusted."""

    GOOD = "good"
    STALE = "stale"
    BAD = "bad"


class Origin(StrEnum):
    """How a reading came in; only `LIVE` may make an edge, a push or a command."""

    LIVE = "live"
    RETAINED = "retained"  # MQTT state from before we subscribed: refreshes, never fires
    BACKFILL = "backfill"  # a device's own log: history only


class Reading(NamedTuple):
    """One value of one point of one device.

    `at` is when it was measured, `received_at` when it reached the gateway. `reason`
    is empty for a good reading, else why not: `timeout crc exception:2 out_of_range
    not_a_number ...`. A failed read has `value=None` and quality `bad`. A good reading whose device
    told a time that is not believed has the reason `clock`, and its arrival as `at`.
    """

    device: str
    point: str
    value: Value | None
    unit: str
    at: Millis
    received_at: Millis
    quality: Quality = Quality.GOOD
    reason: str = ""
    origin: Origin = Origin.LIVE


Batch = Sequence[Reading]
"""The readings of one tick, in the order they were measured."""
