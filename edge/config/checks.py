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
from edge.config.gateway_points import GATEWAY
from edge.config.library import Library
from edge.config.models import line_kind
from edge.config.secrets import SecretError, resolve_secret, secrets_in

SHORTEST_PERIOD = timedelta(milliseconds=50)
"""No RS-485 exchange is done in less."""
EMERGENCY_PERIOD = timedelta(seconds=1)
"""A slower poll answers an emergency button later than the second that people expect."""


def duplicate_ids(draft: Draft) -> Iterator[Fault]:
    """Spaces, lines, devices and destinations have ids of their own, and so has the gateway."""
    for section in ("spaces", "lines", "devices", "sync"):
        seen: dict[str, int] = {}
        for number, entry in enumerate(getattr(draft.settings, section)):
            first = seen.setdefault(entry.id, number)
            if first != number:
                there = draft.fault(section, first, "id", "")
                message = f"the id {entry.id} is used already ({there.file}:{there.line}): choose another"
                yield draft.fault(section, number, "id", message)
    for number, device in enumerate(draft.settings.devices):
        if device.id == GATEWAY:
            message = f"the id {GATEWAY} is the gateway's own, for what it reports of itself: choose another"
            yield draft.fault("devices", number, "id", message)


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
    variant, spoken = getattr(settings, "variant", None), getattr(profile, "variant", None)
    if variant is not None and spoken is not None and variant != spoken:
        message = f"the profile {settings.profile} is of DL/T 645-{spoken}: choose one of {variant}"
        yield draft.fault("devices", number, "variant", message)
    if settings.every < SHORTEST_PERIOD:
        yield draft.fault("devices", number, "every", "must be at least 50ms")


def addresses(draft: Draft) -> Iterator[Fault]:
    """No two devices share an address (or topic) of a line; a TCP connection speaks one framing."""
    owner: dict[tuple[str, str, str], str] = {}
    framing: dict[str, str] = {}
    kinds = {line.id: line_kind(line) for line in draft.settings.lines}
    for number, settings in enumerate(draft.settings.devices):
        step = PROTOCOLS[settings.protocol].told_apart_by
        address = getattr(settings, step)
        if address is not None:
            key = (settings.line, PROTOCOLS[settings.protocol].family, str(address))
            first = owner.setdefault(key, settings.id)
            if first != settings.id:
                yield draft.fault("devices", number, step, _same_address(settings, first, step))
        if kinds.get(settings.line) == "tcp":
            wraps = "modbus-tcp" if settings.protocol == "modbus-tcp" else "serial frames"
            spoken = framing.setdefault(settings.line, wraps)
            if spoken != wraps:
                message = (
                    f"the line {settings.line} carries {spoken}: one connection cannot carry {wraps} too"
                )
                yield draft.fault("devices", number, "protocol", message)


def _same_address(settings: DeviceSettings, first: str, step: str) -> str:
    if step == "line":
        return (
            f"the line {settings.line} has a {settings.protocol} device already ({first}): it needs its own"
        )
    address = getattr(settings, step)
    return f"{settings.id} and {first} have the same {step} {address} on the line {settings.line}"


def listening(draft: Draft, devices: Mapping[str, DeviceModel]) -> Iterator[Fault]:
    """Devices that speak by themselves share a line only with their like, and can be told apart."""
    first: dict[str, tuple[str, bool]] = {}
    protocols: dict[str, str] = {}
    talkers: dict[str, tuple[str, bool]] = {}
    for number, settings in enumerate(draft.settings.devices):
        model = devices.get(settings.id)
        if model is None or settings.protocol == "mqtt":
            continue
        speaks = model.profile.speaks_first
        other, other_speaks = first.setdefault(settings.line, (settings.id, speaks))
        if speaks != other_speaks:
            speaker, asked = (settings.id, other) if speaks else (other, settings.id)
            message = (
                f"{speaker} speaks by itself and {asked} must be asked: on one line they disturb each other, "
                "give each a line of its own"
            )
            yield draft.fault("devices", number, "line", message)
        protocols.setdefault(settings.line, settings.protocol)
        if protocols[settings.line] != settings.protocol and "davis" in (
            settings.protocol, protocols[settings.line],
        ):  # fmt: skip
            message = (
                f"a Davis console needs a line of its own: {other} and {settings.id} share {settings.line}"
            )
            yield draft.fault("devices", number, "line", message)
        if settings.protocol == "nmea":
            before, has_name = talkers.get(settings.line, ("", True))
            has_name = has_name and getattr(settings, "talker", None) is not None
            talkers[settings.line] = (settings.id, has_name)
            if before and not has_name:
                message = f"{before} is on the line {settings.line} too: name the talker of each, such as WI"
                yield draft.fault("devices", number, "line", message)
        yield from _request_address(draft, number, settings, model.profile)


def _request_address(
    draft: Draft, number: int, settings: DeviceSettings, profile: Profile
) -> Iterator[Fault]:
    """The request of a text device has a place for an address exactly where the device has one."""
    if settings.protocol != "text":
        return
    needs, has = getattr(profile, "needs_address", False), getattr(settings, "address", None) is not None
    if needs and not has:
        message = f"the request of {settings.profile} holds an address: give one, such as 01"
        yield draft.fault("devices", number, "profile", message)
    elif has and not needs:
        message = f"{settings.profile} sends no address: remove it"
        yield draft.fault("devices", number, "address", message)


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


def pushes(draft: Draft) -> Iterator[Fault]:
    """Escalation and the daily word name desks that there are."""
    known = set(draft.settings.notify)
    push = draft.settings.push
    for priority, steps in push.escalation.items():
        for number, step in enumerate(steps):
            if step.to not in known:
                message = f"there is no desk {step.to}{suggestion(step.to, known)}"
                yield draft.document.fault(("push", "escalation", priority, number, "to"), message)
    for number, desk in enumerate(push.heartbeat.to if push.heartbeat else ()):
        if desk not in known:
            message = f"there is no desk {desk}{suggestion(desk, known)}"
            yield draft.document.fault(("push", "heartbeat", "to", number), message)


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
        speaks = device.protocol == "mqtt" or PROTOCOLS[device.protocol].hear is not None
        if device.priority == "emergency" and device.every > EMERGENCY_PERIOD and not speaks:
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


def derived(draft: Draft, devices: Mapping[str, DeviceModel]) -> Iterator[Fault]:
    """Warnings: points that a device derives and does not measure; no rule may rest on them."""
    for number, settings in enumerate(draft.settings.devices):
        model = devices.get(settings.id)
        points = [point for point in model.points if model.derives(point)] if model is not None else []
        if points:
            message = (
                f"{settings.id} derives {' and '.join(points)} and does not measure it: "
                "it is shown as an equivalent, and no rule uses it"
            )
            yield draft.fault("devices", number, "profile", message)


def unwatched_emergencies(draft: Draft, watched: Set[str]) -> Iterator[Fault]:
    """Warnings: emergency devices that no rule of priority 1 watches; their button would ring nowhere."""
    for number, device in enumerate(draft.settings.devices):
        if device.priority == "emergency" and device.id not in watched:
            message = f"no rule of priority 1 watches the emergency device {device.id}"
            yield draft.fault("devices", number, "id", message)
