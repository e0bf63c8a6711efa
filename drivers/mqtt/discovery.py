"""From announced quantities to proposed devices with profiles, in the words of the vocabulary; pure."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import ValidationError

from drivers.mqtt.announcements import Announcement, LeftOut
from drivers.mqtt.meanings import KINDS, Meaning, meaning
from drivers.mqtt.profile import MqttProfile
from drivers.mqtt.settings import MqttDevice
from drivers.vocabulary import PointSpec, Vocabulary

_WORDS = {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}
"""Switch words that the codec knows by itself."""


class Proposal(NamedTuple):
    """A device to be configured; `area` is where its maker or owner said that it is."""

    settings: MqttDevice
    area: str
    title: str


@dataclass(frozen=True, slots=True)
class Proposals:
    """What was announced: devices, the profiles they need, and what was left out."""

    devices: tuple[Proposal, ...]
    profiles: tuple[MqttProfile, ...]
    left_out: tuple[LeftOut, ...]


def propose(
    announced: Iterable[Announcement | LeftOut],
    vocabulary: Vocabulary,
    line: str,
    space: str,
    taken: Iterable[str] = (),
) -> Proposals:
    """One device for each that announced something of use; devices of one model share a profile.

    `space` is where a device is put for now; ids in `taken` are not given again.
    """
    left_out: list[LeftOut] = []
    by_device: dict[str, list[tuple[Announcement, Meaning]]] = {}
    for one in announced:
        if isinstance(one, LeftOut):
            left_out.append(one)
            continue
        found = meaning(one)
        if found is None or found.point not in vocabulary.points:
            what = f"{one.device_class or 'no device class'}, {one.unit or 'no unit'}"
            left_out.append(LeftOut(one.state_topic, f"{one.name}: no point for {what}"))
        else:
            by_device.setdefault(one.device, []).append((one, found))
    names, profiles = _Names(taken), _Shelf(vocabulary)
    devices: list[Proposal] = []
    for parts in by_device.values():
        base, kept = _base([one.state_topic for one, _ in parts]), parts
        if not base:
            left_out.append(LeftOut(parts[0][0].state_topic, "its topics have nothing in common"))
            continue
        first = kept[0][0]
        try:
            profile = profiles.of(base, kept)
            settings = MqttDevice(
                id=names.give(_slug(first.device_name, "mqtt")),
                space=space,
                line=line,
                protocol="mqtt",
                profile=profile.id,
                topic=base,
                availability=_availability(base, first.availability),
            )
        except ValidationError as error:
            left_out.append(LeftOut(base, error.errors(include_url=False)[0]["msg"]))
            continue
        devices.append(
            Proposal(settings, first.area, f"{first.device_name} {first.maker} {first.model}".strip())
        )
    used = {device.settings.profile for device in devices}
    return Proposals(tuple(devices), tuple(p for p in profiles.all if p.id in used), tuple(left_out))


class _Names:
    """Gives each id once."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def give(self, wanted: str) -> str:
        """The wanted id, with a number behind where it is taken."""
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted[:58]}-{number}"
        self._taken.add(name)
        return name


class _Shelf:
    """The profiles made so far; the same map of the same model is made once."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.all: list[MqttProfile] = []
        self._vocabulary = vocabulary
        self._names = _Names(())
        self._made: dict[str, MqttProfile] = {}

    def of(self, base: str, parts: Sequence[tuple[Announcement, Meaning]]) -> MqttProfile:
        """The profile for these quantities; ValidationError where none can be made."""
        first = parts[0][0]
        points: dict[str, dict[str, Any]] = {}
        adds: dict[str, PointSpec] = {}
        for one, found in sorted(parts, key=lambda part: (part[0].state_topic, part[0].pointer)):
            name = self._point(found.point, points, adds)
            points[name] = _mapping(one, found, base)
        body: dict[str, Any] = {
            "family": "mqtt",
            "maker": first.maker or "unknown",
            "model": first.model or first.device_name,
            "kind": _kind(points),
            "source": "announced by the device itself over MQTT discovery",
            "adds": {name: spec.model_dump() for name, spec in adds.items()},
            "points": points,
        }
        key = repr(body)
        if key not in self._made:
            wanted = _slug(f"ha-{body['maker']}-{body['model']}", "ha")
            self._made[key] = MqttProfile.model_validate({"id": self._names.give(wanted), **body})
            self.all.append(self._made[key])
        return self._made[key]

    def _point(self, point: str, points: Mapping[str, Any], adds: dict[str, PointSpec]) -> str:
        """The point's name; a second quantity of the same kind gets a number and words of its own."""
        if point not in points:
            return point
        number = 2
        while f"{point}_{number}" in points:
            number += 1
        name = f"{point}_{number}"
        spec = self._vocabulary.points[point]
        if name not in self._vocabulary.points:
            adds[name] = spec.model_copy(update={"zh": f"{spec.zh} {number}", "en": f"{spec.en} {number}"})
        return name


def _mapping(one: Announcement, found: Meaning, base: str) -> dict[str, Any]:
    mapping: dict[str, Any] = {"pointer": one.pointer, "suffix": one.state_topic.removeprefix(base)}
    if found.scale != 1.0:
        mapping["scale"] = found.scale
    if found.offset:
        mapping["offset"] = found.offset
    if one.component == "binary_sensor":
        if found.inverted:
            mapping["invert"] = True
        if _WORDS.get(one.on.lower()) is not True or _WORDS.get(one.off.lower()) is not False:
            mapping["map"] = {one.on: True, one.off: False}
    return mapping


def _base(topics: Sequence[str]) -> str:
    """The levels that all topics have in common; empty when none."""
    shared = topics[0].split("/")
    for topic in topics[1:]:
        levels = topic.split("/")
        common = 0
        while common < min(len(shared), len(levels)) and shared[common] == levels[common]:
            common += 1
        shared = shared[:common]
    return "/".join(shared)


def _availability(base: str, topics: Sequence[str]) -> str | None:
    """The last-will topic nearest to the device: below its own topic, else the last that is named."""
    own = [topic for topic in topics if topic.startswith(base)]
    return own[0] if own else topics[-1] if topics else None


def _kind(points: Mapping[str, Any]) -> str:
    for kind, telling in KINDS:
        if any(point in points for point in telling):
            return kind
    return "classroom_env"


def _slug(text: str, fallback: str) -> str:
    """A text as an id; names without any Latin letter get a number that stays the same."""
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower(), flags=re.ASCII).strip("-")[:60].strip("-")
    if len(slug) > len(fallback) and re.search("[a-z0-9]", slug):
        return slug
    return f"{fallback}-{zlib.crc32(text.encode()):08x}"
