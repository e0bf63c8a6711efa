"""A device as a simulator needs it: its settings, its profile and where it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drivers.profile import Profile
from drivers.reading import Value
from drivers.settings import DeviceSettings
from drivers.vocabulary import PointSpec

Signal = Callable[[], Value | None]
"""What one point measures now; `None` where the device would say: not available."""


@dataclass(frozen=True, slots=True)
class VirtualDevice:
    """One configured device to be played. `signals` has an entry for each point of the profile."""

    settings: DeviceSettings
    profile: Profile
    points: Mapping[str, PointSpec]
    signals: Mapping[str, Signal]
