"""What no single entry can tell: references, addresses, and whether protocol, line and profile fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from datetime import timedelta
from pathlib import Path

from drivers.profile import Profile
from drivers.registry import PROTOCOLS
from drivers.settings import DeviceSettings
from drivers.vocabulary import Vocabulary
from edge.config.configuration import DeviceModel
from edge.config.draft import Draft
from edge.config.fault import Fault, suggestion
from edge.config.library import Library
from edge.config.models import line_kind
from edge.config.secrets import SecretError, resolve_secret, secrets_in

SHORTEST_PERIOD = timedelta(milliseconds=50)
"""No RS-485 exchange is done in less."""
EMERGENCY_PERIOD = timedelta(seconds=1)
"""A slower poll answers an emergency button later than the second that people expect."""


def duplicate_ids(draft: Draft) -> Iterator[Fault]:
    """Spaces, lines, devices and destinations have ids of their own."""
    for section in ("spaces", "lines", "devices", "sync"):
        seen: dict[str, int] = {}
        for number, entry in enumerate(getattr(draft.settings, section)):
            first = seen.setdefault(entry.id, number)
            if first != number:
                there = draft.fault(section, first, "id", "")
                message = f"the id {entry.id} is used already ({there.file}:{there.line}): choose another"
                yield draft.fault(section, number, "id", message)


def spaces(draft: Draft, vocabulary: Vocabulary) -> Iterator[Fault]:
    """Kinds are known, the space around exists, and no space lies in itself."""
    known = draft.ids["spaces"]
    parents = {space.id: space.parent for space in draft.settings.spaces}
    for number, space in enumerate(draft.settings.spaces):
        if space.kind not in vocabulary.space_kinds:
            hint = suggestion(space.kind, vocabulary.space_kinds)
            yield draft.fault("spaces", number, "kind", f"unknown kind of space {space.kind}{hint}")
        if space.parent is not None and space.parent not in known:
            hint = suggestion(space.parent, known - {space.id})
            yield draft.fault("spaces", number, "in", f"there is no space {space.parent}{hint}")
    told: set[str] = set()
    for number, space in enumerate(draft.settings.spaces):
        circle = _circle(space.id, parents)
        if circle and space.id not in told:
            told.update(circle)
            message = f"spaces lie in each other: {' in '.join([*circle, circle[0]])}"
            yield draft.fault("spaces", number, "in", message)


def _circle(start: str, parents: dict[str, str | None]) -> list[str]:
    """The circle of spaces that `start` is part of, from it on; empty when there is none."""
    steps = [start]
    while True:
        parent = parents.get(steps[-1])
        if parent is None or (parent in steps and parent != start):
            return []
        if parent == start:
            return steps
        steps.append(parent)


def lines(draft: Draft) -> Iterator[Fault]:
    """A port or connection has one owner, and a wait is longer than nothing."""
    seen: dict[str, str] = {}
    for number, line in enumerate(draft.settings.lines):
        if line_kind(line) != "mqtt":
            owner = seen.setdefault(line.url, line.id)
            if owner != line.id:
                message = f"the line {owner} has this port already: put the devices on that line"
                yield draft.fault("lines", number, "url", message)
        if getattr(line, "timeout", EMERGENCY_PERIOD) <= timedelta(0):
            yield draft.fault("lines", number, "timeout", "must be longer than 0s")


def device(draft: Draft, number: int, library: Library) -> tuple[Profile | None, list[Fault]]:
    """One device's references and period; its profile when all is well with it."""
    settings = draft.settings.devices[number]
    profile = library.profile(settings.profile)
    return profile, list(_device_faults(draft, number, settings, profile, library))


def _device_faults(
    draft: Draft, number: int, settings: DeviceSettings, profile: Profile | None, library: Library
) -> Iterator[Fault]:
    for step, section in (("space", "spaces"), ("line", "lines")):
        name, known = getattr(settings, step), draft.ids[section]
        if name not in known:
            yield draft.fault("devices", number, step, f"there is no {step} {name}{suggestion(name, known)}")
    protocol = draft.settings.devices[number].protocol
    meaning = PROTOCOLS[protocol]
    line = next((line for line in draft.settings.lines if line.id == settings.line), None)
    if line is not None and line_kind(line) not in meaning.lines:
        fitting = " or ".join(sorted(meaning.lines))
        message = f"{protocol} needs a {fitting} line, but {line.id} is a {line_kind(line)} line"
        yield draft.fault("devices", number, "line", message)
    if not library.knows(settings.profile):
        hint = suggestion(settings.profile, library.names())
        yield draft.fault("devices", number, "profile", f"there is no profile {settings.profile}{hint}")
    family = getattr(profile, "family", meaning.family)
    if family != meaning.family:
        message = f"the profile {settings.profile} is for {family} devices, the protocol is {protocol}"
        yield draft.fault("devices", number, "profile", message)
    if settings.every < SHORTEST_PERIOD:
        yield draft.fault("devices", number, "every", "must be at least 50ms")


def addresses(draft: Draft) -> Iterator[Fault]:
    """No two devices share an address (or topic) of a line; a TCP connection speaks one framing."""
    owner: dict[tuple[str, str, str], str] = {}
    framing: dict[str, str] = {}
    kinds = {line.id: line_kind(line) for line in draft.settings.lines}
    for number, settings in enumerate(draft.settings.devices):
        step = "topic" if settings.protocol == "mqtt" else "address"
        address = str(getattr(settings, step))
        key = (settings.line, PROTOCOLS[settings.protocol].family, address)
        first = owner.setdefault(key, settings.id)
        if first != settings.id:
            message = f"{settings.id} and {first} have the same {step} {address} on the line {settings.line}"
            yield draft.fault("devices", number, step, message)
        if kinds.get(settings.line) == "tcp":
            wraps = "modbus-tcp" if settings.protocol == "modbus-tcp" else "serial frames"
            spoken = framing.setdefault(settings.line, wraps)
            if spoken != wraps:
                message = (
                    f"the line {settings.line} carries {spoken}: one connection cannot carry {wraps} too"
                )
                yield draft.fault("devices", number, "protocol", message)


def secrets(draft: Draft, directory: Path) -> Iterator[Fault]:
    """Every secret that is named can be read and is nobody else's to read."""
    for path, ref in secrets_in(draft.settings):
        try:
            resolve_secret(ref, directory)
        except SecretError as error:
            head = path[:1]
            if len(path) > 1 and isinstance(path[1], int) and path[0] in draft.index:
                head = draft.at(str(path[0]), path[1])
            yield draft.document.fault((*head, *path[len(head) :], "secret"), str(error))


def odd_things(draft: Draft) -> Iterator[Fault]:
    """Warnings: lines and spaces that nothing uses, emergency devices that are asked too seldom."""
    settings = draft.settings
    used_lines = {device.line for device in settings.devices}
    used_spaces = {device.space for device in settings.devices} | {space.parent for space in settings.spaces}
    for number, line in enumerate(settings.lines):
        if line.id not in used_lines:
            yield draft.fault("lines", number, "id", f"no device uses the line {line.id}")
    for number, space in enumerate(settings.spaces):
        if space.id not in used_spaces:
            yield draft.fault("spaces", number, "id", f"nothing is in the space {space.id}")
    for number, device in enumerate(settings.devices):
        if device.priority == "emergency" and device.every > EMERGENCY_PERIOD and device.protocol != "mqtt":
            message = "an emergency device should be asked every second or faster"
            yield draft.fault("devices", number, "every", message)


def meters(draft: Draft, devices: Mapping[str, DeviceModel]) -> Iterator[Fault]:
    """Warnings: meters outside buildings, where there are buildings."""
    if all(space.kind != "building" for space in draft.settings.spaces):
        return
    for number, settings in enumerate(draft.settings.devices):
        model = devices.get(settings.id)
        if model is not None and model.kind.endswith("_meter") and not model.building:
            message = f"the meter {settings.id} is in no building: its energy counts for none"
            yield draft.fault("devices", number, "space", message)


def unwatched_emergencies(draft: Draft, watched: Set[str]) -> Iterator[Fault]:
    """Warnings: emergency devices that no rule of priority 1 watches; their button would ring nowhere."""
    for number, device in enumerate(draft.settings.devices):
        if device.priority == "emergency" and device.id not in watched:
            message = f"no rule of priority 1 watches the emergency device {device.id}"
            yield draft.fault("devices", number, "id", message)
