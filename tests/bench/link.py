"""The link between a system and its server: it breaks, and comes back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench.child import Child
from tests.bench.processes import Launch, Running
from tests.bench.stage import Stage, running, wait_for
from tests.bench.system import System

DEVICES = 50


@contextmanager
def delivering(stage: Stage, field: Child, system: System, launch: Launch) -> Iterator[Running]:
    """The system's process, once it reads all devices and its server hears of it."""
    field.ask("clear")
    with running(launch) as process:
        wait_for(process, "polling", lambda: field.ask("polled", times=5) == DEVICES)
        if system.to_district:
            wait_for(process, "writing to the district", lambda: stage.district.ask("writes") > 0)
        yield process


def cut(stage: Stage, system: System) -> float:
    """The link of this kind of system breaks; when."""
    if system.to_district:
        stage.district.ask("switch", down=True)
    else:
        stage.broker.stop()
    return time.monotonic()
