"""A device as a simulator needs it: its settings, its profile and where it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from drivers.profile import Profile
from drivers.reading import Value
from drivers.settings import DeviceSettings
from drivers.vocabulary import PointSpec

Signal = Callable[[], Value | None]
"""What one point measures now; `None` where the device would say: not available."""
Handle = Callable[[Value], None]
"""What moves in the world when a point is written."""


@dataclass(frozen=True, slots=True)
class VirtualDevice:
    """One configured device to be played. `signals` has an entry for each point of the profile, `handles`
    for those whose writing moves the world; what is written to another point is merely held."""

    settings: DeviceSettings
    profile: Profile
    points: Mapping[str, PointSpec]
    signals: Mapping[str, Signal]
    handles: Mapping[str, Handle] = field(default_factory=dict)

    def obey(self, point: str, value: Value, held: dict[str, Value]) -> None:
        """Takes a write: the world moves, and the signal shows it; else the value stands in `held`."""
        handle = self.handles.get(point)
        if handle is None:
            held[point] = value
        else:
            handle(value)
