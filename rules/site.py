"""The school as the rules see it: spaces, devices and the units of their points.

Built by the composition root from the configuration; nothing here reads a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from drivers.reading import Millis

Tag = str | bool | float

NOT_ROOMS = frozenset(
    {"site", "building", "floor", "zone", "gate", "playground", "parking", "roof", "perimeter", "outdoor"}
)
"""Space kinds that hold rooms, or lie outside; every other kind counts as a room."""


@dataclass(frozen=True, slots=True)
class SpaceInfo:
    """One space; `parent` is the id of the space it lies in, empty at the top."""

    id: str
    name: str
    kind: str
    parent: str = ""
    tags: Mapping[str, Tag] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """One device: where it stands, how often it reports (0 = when it likes), its points and their units,
    and the line it hangs on (empty for none).

    Units are UCUM; `bool` marks a switch and `text` a text.
    """

    id: str
    space: str
    kind: str
    every_ms: Millis
    points: Mapping[str, str]
    line: str = ""


@dataclass(frozen=True)
class SiteInfo:
    """The whole school. `space_kinds` and `device_kinds` are the vocabulary's words;
    left empty, kinds that no space or device has are not refused."""

    id: str
    timezone: str
    spaces: tuple[SpaceInfo, ...]
    devices: tuple[DeviceInfo, ...]
    space_kinds: frozenset[str] = frozenset()
    device_kinds: frozenset[str] = frozenset()

    @cached_property
    def space_by_id(self) -> Mapping[str, SpaceInfo]:
        """The spaces by their id."""
        return {space.id: space for space in self.spaces}

    @cached_property
    def device_by_id(self) -> Mapping[str, DeviceInfo]:
        """The devices by their id."""
        return {device.id: device for device in self.devices}

    @cached_property
    def devices_below(self) -> Mapping[str, tuple[DeviceInfo, ...]]:
        """Space id -> the devices in it or in any space inside it, in the site's order."""
        found: dict[str, list[DeviceInfo]] = {}
        for device in self.devices:
            for space in self.chain(device.space):
                found.setdefault(space, []).append(device)
        return {space: tuple(devices) for space, devices in found.items()}

    @cached_property
    def devices_on(self) -> Mapping[str, tuple[DeviceInfo, ...]]:
        """Line id -> the devices on it, lines and devices in the site's order."""
        found: dict[str, list[DeviceInfo]] = {}
        for device in self.devices:
            if device.line:
                found.setdefault(device.line, []).append(device)
        return {line: tuple(devices) for line, devices in found.items()}

    def building_of(self, scope: str) -> str:
        """The nearest building around a space or a device, the site where there is none."""
        device = self.device_by_id.get(scope)
        for space in self.chain(scope if device is None else device.space):
            info = self.space_by_id.get(space)
            if info is not None and info.kind == "building":
                return space
        return self.id

    def chain(self, space: str) -> Iterator[str]:
        """A space's id and those around it, from the inside out; ends at an unknown id or a circle."""
        seen: set[str] = set()
        while space and space not in seen:
            seen.add(space)
            yield space
            info = self.space_by_id.get(space)
            space = info.parent if info is not None else ""
