"""Devices that announce themselves on a broker, as configuration to look through and include.

mqtt-devices.yaml          devices, and where their profiles are; to be named under `include`
mqtt-profiles/NAME.yaml    one profile for each model
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drivers.mqtt.announcements import read
from drivers.mqtt.discovery import Proposals, propose
from drivers.mqtt.hearing import hear
from drivers.mqtt.profile import MqttProfile
from drivers.mqtt.settings import MqttLine
from edge.config.configuration import Configuration
from edge.config.secrets import resolve_secret

DEVICES_FILE = "mqtt-devices.yaml"
PROFILES_FOLDER = "mqtt-profiles"
_LEFT_OUT_SHOWN = 50


class NoBroker(Exception):
    """The configuration has no such MQTT line, or no space to put a device in."""


async def discover(
    configuration: Configuration, line_id: str, seconds: float, prefix: str = "homeassistant"
) -> Proposals:
    """Listens on a broker line of the configuration. NoBroker, or LineDown when it is not reached."""
    lines = {line.id: line for line in configuration.settings.lines if isinstance(line, MqttLine)}
    if line_id not in lines:
        raise NoBroker(f"no MQTT line {line_id}; known: {', '.join(sorted(lines)) or 'none'}")
    if not configuration.settings.spaces:
        raise NoBroker("the configuration has no space to put a device in")
    line = lines[line_id]
    password = resolve_secret(line.password, configuration.path.parent) if line.password else None
    heard = await hear(line, password, [f"{prefix}/#"], seconds)
    announced = [one for topic in sorted(heard) for one in read(topic, heard[topic])]
    first = configuration.settings.spaces[0].id
    return propose(announced, configuration.vocabulary, line_id, first, configuration.devices)


def documents(proposals: Proposals, configuration: Configuration) -> Mapping[str, str]:
    """File name -> YAML that `campus-edge check` accepts; the devices' file first."""
    spaces = {space.name: space.id for space in configuration.settings.spaces}
    spaces |= {space.id: space.id for space in configuration.settings.spaces}
    lines = [
        f"# {len(proposals.devices)} devices that announced themselves.",
        "# Look through their spaces and periods, then name this file under `include`.",
        f"profiles: [{PROFILES_FOLDER}]",
        "devices:" if proposals.devices else "devices: []",
    ]
    for device in proposals.devices:
        settings = device.settings
        known = spaces.get(device.area)
        row: dict[str, Any] = {
            "id": settings.id, "space": known or settings.space, "line": settings.line, "protocol": "mqtt",
            "profile": settings.profile, "topic": settings.topic,
        }  # fmt: skip
        if settings.availability is not None:
            row["availability"] = settings.availability
        place = "" if known else "; check its space" + (f", it says {device.area}" if device.area else "")
        lines += [f"  # {_comment(device.title)}{_comment(place)}", f"  - {_flow(row)}"]
    if proposals.left_out:
        lines.append(f"# {len(proposals.left_out)} announcements are left out:")
        lines += [
            f"#   {_comment(one.topic)}: {_comment(one.why)}" for one in proposals.left_out[:_LEFT_OUT_SHOWN]
        ]
    found = {DEVICES_FILE: "\n".join(lines) + "\n"}
    for profile in proposals.profiles:
        found[f"{PROFILES_FOLDER}/{profile.id}.yaml"] = _profile(profile)
    return found


def write(files: Mapping[str, str], folder: Path) -> None:
    """Writes the files below a folder; FileExistsError rather than overwriting one."""
    for name in files:
        if (folder / name).exists():
            raise FileExistsError(f"{folder / name} is there already: choose another folder")
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _profile(profile: MqttProfile) -> str:
    data = profile.model_dump(exclude_defaults=True, mode="json")
    head = [
        f"{key}: {_scalar(data[key])}"
        for key in ("id", "family", "maker", "model", "kind", "source")
        if key in data
    ]
    body = []
    for section in ("adds", "points"):
        if section in data:
            body.append(f"{section}:")
            body += [f"  {name}: {_flow(values)}" for name, values in data[section].items()]
    return "\n".join([*head, "verified: false", *body]) + "\n"


def _flow(values: Mapping[str, Any]) -> str:
    """A mapping in one line; texts are quoted, so that none is read as another type."""
    parts = []
    for key, value in values.items():
        shown = _flow(value) if isinstance(value, Mapping) else _scalar(value)
        parts.append(f"{key if key.isidentifier() and key.lower() not in _PLAIN else _scalar(key)}: {shown}")
    return "{" + ", ".join(parts) + "}"


_PLAIN = frozenset({"on", "off", "yes", "no", "true", "false", "null", "y", "n"})


def _scalar(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _comment(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
