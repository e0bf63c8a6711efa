"""The history that rules need to go on after a restart as if they had never stopped."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING

from drivers.reading import Millis, Quality, Reading
from edge.store.readings import ReadingStore
from rules.engine import Engine

if TYPE_CHECKING:
    from drivers.mqtt.broker import MqttBroker

_LOG = logging.getLogger(__name__)

RECENT_MS = 30 * 60 * 1000
"""Everything this young is played again; older readings only where a window reaches further back."""
MOST = 400_000
"""At most so many readings are looked up again at a start; what is left out fills anew."""
MOST_OF_A_POINT = 25_000
UNACKNOWLEDGED_MS = 10_000
"""An MQTT broker has taken note of what was acknowledged longer ago than this."""


async def warm_up(store: ReadingStore, engine: Engine, now: Millis) -> None:
    """Fills the engine's windows from what is stored; before its first evaluate."""
    cut = now - RECENT_MS
    older = await older_history(store, engine, cut, now)
    engine.warm([*older, *await store.recent(cut)], now)


async def recall(store: ReadingStore, brokers: Sequence[MqttBroker]) -> list[Reading]:
    """The newest stored reading of every point; brokers are told what the last run stored at its end."""
    latest = await store.latest()
    if brokers and latest:
        stored = await store.stored_last(UNACKNOWLEDGED_MS)
        for broker in brokers:
            broker.recall(stored)
    return latest


async def older_history(store: ReadingStore, engine: Engine, cut: Millis, now: Millis) -> list[Reading]:
    """Good stored readings from before `cut`, of points whose windows reach further back; by time."""
    found: list[Reading] = []
    for (device, point), span in sorted(engine.lookback().items(), key=lambda one: one[1]):
        since = now - span
        if since >= cut or len(found) >= MOST:
            continue
        try:
            samples = await store.history(device, point, since, cut, limit=MOST_OF_A_POINT)
        except sqlite3.OperationalError as error:  # a slow card: rules must run, their long windows fill anew
            _LOG.warning("rules begin with %d older readings, the rest cannot be read: %s", len(found), error)
            break
        found += [
            Reading(device, point, sample.value, "", sample.at, sample.at)
            for sample in samples
            if sample.quality is Quality.GOOD
        ]
    return sorted(found, key=lambda reading: reading.at)
