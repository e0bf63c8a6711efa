"""How long a point may say nothing before that means something."""

from __future__ import annotations

from drivers.reading import Millis

ROUNDS = 3
"""Missed rounds after which a point counts as silent, where the rule says nothing else."""
LEAST_SILENCE_MS = 300_000
EVENT_SILENCE_MS = 86_400_000
"""Devices that speak first send a sign of life at least once a day (LoRaWAN class A, Zigbee contacts)."""


def gap_ms(every_ms: Millis) -> Millis:
    """How long data may pause without a running timer starting anew."""
    return max(ROUNDS * every_ms, LEAST_SILENCE_MS)


def silence_ms(every_ms: Millis) -> Millis:
    """How long a point of this period may be silent: three rounds, at least 5 min; a day where it
    speaks when it likes."""
    return max(ROUNDS * every_ms, LEAST_SILENCE_MS) if every_ms else EVENT_SILENCE_MS
