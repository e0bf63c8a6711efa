"""Which fault comes when: drawn from a seed, so that a run can be had again."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple


class Fault(StrEnum):
    """What is done to the school; each ends by itself."""

    UPLINK_DOWN = "uplink down"
    ANSWERS_LOST = "answers lost"
    SERVER_BUSY = "server busy"
    SERVER_KILLED = "server killed"
    GATEWAY_KILLED = "gateway killed"
    GATEWAY_FROZEN = "gateway frozen"
    BROKER_RESTARTED = "broker restarted"
    DISK_REFUSES = "disk refuses"


WEIGHTS: Mapping[Fault, int] = {
    Fault.UPLINK_DOWN: 4,
    Fault.ANSWERS_LOST: 3,
    Fault.SERVER_BUSY: 3,
    Fault.SERVER_KILLED: 2,
    Fault.GATEWAY_KILLED: 3,
    Fault.GATEWAY_FROZEN: 1,
    Fault.BROKER_RESTARTED: 2,
    Fault.DISK_REFUSES: 2,
}
LENGTH_S: Mapping[Fault, tuple[float, float]] = {
    Fault.UPLINK_DOWN: (5, 60),
    Fault.SERVER_KILLED: (1, 15),
    Fault.GATEWAY_KILLED: (0.5, 4),
    Fault.GATEWAY_FROZEN: (1, 5),
    Fault.BROKER_RESTARTED: (0.5, 5),
    Fault.DISK_REFUSES: (5, 20),
}
PAUSE_S = (4.0, 15.0)


class Act(NamedTuple):
    """One fault, after a pause, for so long (s)."""

    pause_s: float
    fault: Fault
    length_s: float


def acts(seed: int) -> Iterator[Act]:
    """Faults without end."""
    chance = random.Random(seed)
    names = list(WEIGHTS)
    while True:
        fault = chance.choices(names, [WEIGHTS[name] for name in names])[0]
        low, high = LENGTH_S.get(fault, (0.0, 0.0))
        yield Act(chance.uniform(*PAUSE_S), fault, chance.uniform(low, high))
