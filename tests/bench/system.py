"""What the loads ask of a system under test: how it is started for a piece of work, and where to watch it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.bench.child import Child
from tests.bench.processes import Launch

THRESHOLD = 60_000
"""What register 0 is compared with in every system: never reached, so that only the comparing is paid."""
FIELD_TOPIC = "field"
BUTTON_TOPIC = "button"
MESSAGE_VALUES = 10
"""Values (`r00`, `r01`, ...) in each message of the MQTT load."""

WARM_S = 4.0
"""Peers start threads and compile what runs often: their CPU a second is steady from the fourth second on."""


@dataclass(frozen=True, slots=True)
class Targets:
    """Where a system may connect: the MQTT server's port, the district's and the webhook's URLs, and a port
    of its own for its web or live interface."""

    broker: int
    district: str
    hook: str
    own: int


class System(Protocol):
    """One gateway, or the floor. `sink` is where its readings are watched; with `to_district`
    it also stores them and sends them to the district. `warm_s`: for so long after its first readings
    it costs more than later. `missing` says why it cannot run."""

    name: str
    title: str
    leaves_out: str
    sink: str
    to_district: bool
    warm_s: float
    missing: str

    def polling(self, folder: Path, ports: Sequence[int], targets: Targets) -> Launch:
        """Reads the devices `d0`, `d1`, ... at these ports, 20 registers each, once a second."""
        ...

    def messages(self, folder: Path, devices: int, targets: Targets) -> Launch:
        """Follows `field/d0` ...: JSON objects with `r00` ... as members."""
        ...

    def button(self, folder: Path, buttons: int, targets: Targets) -> Launch | None:
        """Tells the webhook of `{"pressed": true}` under `button/b0` ...; None where it cannot."""
        ...

    def watch(self, folder: Path, targets: Targets) -> Child:
        """A child that hears the running system's readings."""
        ...
