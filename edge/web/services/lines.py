"""How a field line fares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from drivers.reading import Millis
from edge.web.services.devices import DeviceHealth

LineKind = Literal["serial", "tcp", "mqtt"]


@dataclass(frozen=True, slots=True)
class LineStatus:
    """One field line. `utilisation` is the share of time it was busy, 0 to 1; `since` is when
    `connected` last changed; `queue_age` how long the oldest due exchange has waited. `exchanges`
    are its messages or exchanges since the start, `faults` what was wrong on the line itself, by a
    word."""

    id: str
    url: str
    kind: LineKind
    connected: bool
    since: Millis | None = None
    utilisation: float = 0.0
    queue_age: Millis = 0
    last_error: str = ""
    devices: tuple[DeviceHealth, ...] = ()
    exchanges: int = 0
    faults: Mapping[str, int] = field(default_factory=dict)
