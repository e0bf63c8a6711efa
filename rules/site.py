"""The school as the rules see it: spaces, devices and the units of their points.

Built by the composition root from the configuration; nothing here reads a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from drivers.reading import Millis
from rules.verbs import Verbs

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
    writable: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SlotInfo:
    """One slot of a plan, and the device that must be heard in it; its times stand in the calendar."""

    id: str
    device: str


@dataclass(frozen=True)
class SiteInfo:
    """The whole school. `space_kinds` and `device_kinds` are the vocabulary's words;
    left empty, kinds that no space or device has are not refused. `counters` are the points that count
    up (None: not known), `kept_ms` is how long raw values are kept (None: not known), `slots` are those
    of the plan, `opens` says whether it is known when the school is open, and `verbs` are the commands
    that rules may give."""

    id: str
    timezone: str
    spaces: tuple[SpaceInfo, ...]
    devices: tuple[DeviceInfo, ...]
    space_kinds: frozenset[str] = frozenset()
    device_kinds: frozenset[str] = frozenset()
    counters: frozenset[str] | None = None
    kept_ms: Millis | None = None
    slots: tuple[SlotInfo, ...] = ()
    opens: bool = False
    verbs: Verbs = field(default_factory=dict)

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

    def submeters(self, meter: DeviceInfo) -> tuple[DeviceInfo, ...]:
        """The meters of the same kind right below one: in spaces inside its own, and not behind another
        of them."""
        inside = self.devices if meter.space in ("", self.id) else self.devices_below.get(meter.space, ())
        below = [one for one in inside if one.kind == meter.kind and one.space != meter.space]
        around = {one.space for one in below}
        return tuple(
            one for one in below if not any(space in around for space in tuple(self.chain(one.space))[1:])
        )

    @cached_property
    def outdoor(self) -> tuple[str, str, str, Millis] | None:
        """The point of the outdoor temperature (device, point, unit, period): a weather station's, else
        that of a device outside; None where there is none."""
        point = "temperature"
        known = [one for one in self.devices if point in one.points]
        outside = [
            one
            for one in known
            if (space := self.space_by_id.get(one.space)) is not None and space.kind == "outdoor"
        ]
        found = next((one for one in known if one.kind == "weather_station"), next(iter(outside), None))
        return None if found is None else (found.id, point, found.points[point], found.every_ms)

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
