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
    SERVER_FROZEN = "server frozen"
    GATEWAY_KILLED = "gateway killed"
    GATEWAY_FROZEN = "gateway frozen"
    BROKER_RESTARTED = "broker restarted"
    DISK_REFUSES = "disk refuses"
    CLOCK_STEPPED = "clock stepped"
    NOISE = "noise on the bus"


WEIGHTS: Mapping[Fault, int] = {
    Fault.UPLINK_DOWN: 4,
    Fault.ANSWERS_LOST: 3,
    Fault.SERVER_BUSY: 3,
    Fault.SERVER_KILLED: 2,
    Fault.SERVER_FROZEN: 1,
    Fault.GATEWAY_KILLED: 3,
    Fault.GATEWAY_FROZEN: 1,
    Fault.BROKER_RESTARTED: 2,
    Fault.DISK_REFUSES: 2,
    Fault.CLOCK_STEPPED: 1,
    Fault.NOISE: 3,
}
LENGTH_S: Mapping[Fault, tuple[float, float]] = {
    Fault.UPLINK_DOWN: (5, 60),
    Fault.SERVER_KILLED: (1, 15),
    Fault.SERVER_FROZEN: (5, 30),
    Fault.GATEWAY_KILLED: (0.5, 4),
    Fault.GATEWAY_FROZEN: (1, 5),
    Fault.BROKER_RESTARTED: (0.5, 5),
    Fault.DISK_REFUSES: (5, 20),
    Fault.CLOCK_STEPPED: (5, 15),
    Fault.NOISE: (2, 10),
}
LONG_OUTAGES = 0.1
"""Share of the outages of the uplink that last ten times as long."""
PAUSE_S = (4.0, 15.0)
HOUR_S = 3600.0
STARTS_ANEW = frozenset({Fault.GATEWAY_KILLED, Fault.CLOCK_STEPPED})
"""What ends the gateway's process or pipeline: not in every second hour, in which growth is looked for."""


class Act(NamedTuple):
    """One fault, after a pause, for so long (s)."""

    pause_s: float
    fault: Fault
    length_s: float


def steady(at_s: float) -> bool:
    """Whether an instant lies in an hour in which nothing starts the gateway anew."""
    return int(at_s // HOUR_S) % 2 == 1


def acts(seed: int) -> Iterator[Act]:
    """Faults without end."""
    chance = random.Random(seed)
    names = list(WEIGHTS)
    while True:
        fault = chance.choices(names, [WEIGHTS[name] for name in names])[0]
        low, high = LENGTH_S.get(fault, (0.0, 0.0))
        length = chance.uniform(low, high)
        if fault is Fault.UPLINK_DOWN and chance.random() < LONG_OUTAGES:
            length *= 10
        yield Act(chance.uniform(*PAUSE_S), fault, length)
