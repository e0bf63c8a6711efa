"""A loaded configuration: what the rest of the gateway works with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from drivers.mqtt.settings import MqttDevice
from drivers.profile import Profile
from drivers.settings import DeviceSettings, millis
from drivers.vocabulary import PointSpec, Vocabulary
from edge.config.fault import Fault
from edge.config.models import GatewayConfig
from rules.rulebook import Rule
from rules.site import DeviceInfo, SiteInfo, SlotInfo, SpaceInfo
from rules.timetable import Calendar


@dataclass(frozen=True, slots=True)
class DeviceModel:
    """A device with everything resolved.

    `settings` is the protocol's own model, `kind` a device kind of the vocabulary,
    `building` the nearest space around the device that is of kind `building` (empty
    when there is none), `points` the words for each point in the profile's order.
    """

    settings: DeviceSettings
    profile: Profile
    kind: str
    space: str
    building: str
    points: Mapping[str, PointSpec]

    def derives(self, point: str) -> bool:
        """True for a point that the device derives and does not measure (eCO2 from TVOC)."""
        mapping = getattr(self.profile, "points", {}).get(point)
        return bool(getattr(mapping, "equivalent", False))


@dataclass(frozen=True, slots=True)
class Sources:
    """What a configuration was read from: every file -> SHA-256 of what was read, and its profile folders."""

    files: Mapping[Path, str] = field(default_factory=dict)
    folders: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Configuration:
    """A valid configuration and all that it names; `warnings` are odd but harmless.

    `stands_in_for` holds the faults of the file that should run, where this is the copy of an
    earlier one.
    """

    path: Path
    settings: GatewayConfig
    vocabulary: Vocabulary
    devices: Mapping[str, DeviceModel]
    rules: tuple[Rule, ...]
    calendar: Calendar | None
    warnings: tuple[Fault, ...]
    sources: Sources = Sources()
    stands_in_for: tuple[Fault, ...] = ()


def site_info(configuration: Configuration) -> SiteInfo:
    """The school as the rule engine sees it: what is derived is left out, so that no rule on the
    real quantity binds to it."""
    settings, calendar = configuration.settings, configuration.calendar
    spaces = tuple(
        SpaceInfo(space.id, space.name, space.kind, space.parent or "", dict(space.tags))
        for space in settings.spaces
    )
    faces = _faces(configuration.devices.values())
    devices = tuple(
        DeviceInfo(
            id=name,
            space=device.space,
            kind=device.kind,
            every_ms=_period(device.settings),
            points=faces[_model(device)].units,
            line=device.settings.line,
            writable=faces[_model(device)].writable,
        )
        for name, device in configuration.devices.items()
    )
    return SiteInfo(
        id=settings.site.id,
        timezone=settings.site.timezone,
        spaces=spaces,
        devices=devices,
        space_kinds=frozenset(configuration.vocabulary.space_kinds),
        device_kinds=frozenset(configuration.vocabulary.device_kinds),
        counters=frozenset(name for name, spec in configuration.vocabulary.points.items() if spec.counter),
        kept_ms=millis(settings.store.keep_raw),
        slots=tuple(SlotInfo(slot.id, slot.device) for slot in calendar.slots) if calendar else (),
        opens=calendar is not None and calendar.opening is not None,
        verbs=configuration.vocabulary.commands,
    )


class _Face(NamedTuple):
    """What rules see of a device's points: their units, and which may be written."""

    units: Mapping[str, str]
    writable: frozenset[str]


def _model(device: DeviceModel) -> tuple[int, int]:
    """What devices of one model share; as long as the configuration lives."""
    return id(device.profile), id(device.points)


def _faces(devices: Iterable[DeviceModel]) -> Mapping[tuple[int, int], _Face]:
    """One for all devices of a model: a school has ten thousand points, and of few kinds."""
    return {
        model: _Face(
            {point: spec.unit for point, spec in device.points.items() if not device.derives(point)},
            frozenset(point for point in device.points if device.profile.write_limits(point) is not None),
        )
        for model, device in {_model(device): device for device in devices}.items()
    }


def _period(settings: DeviceSettings) -> int:
    """How often a device reports, in ms; 0 for one that speaks first and of which `every` says nothing."""
    if isinstance(settings, MqttDevice) and "every" not in settings.model_fields_set:
        return 0
    return millis(settings.every)
