"""The district's schema, from the vocabulary and the profiles: what may stand in its InfluxDB.

Measurement = device kind, field = point. Alarms have a measurement of their own; its fields
are those that `edge.store.alarms` sends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from drivers.vocabulary import PointSpec, Vocabulary
from edge.config.fault import ConfigError
from edge.config.gateway_points import GATEWAY
from edge.config.gateway_points import POINTS as OWN_POINTS
from edge.config.library import Library, read_vocabulary
from edge.config.resources import builtin_configs

FieldType = Literal["float", "boolean", "string"]
TAGS: Mapping[str, str] = {
    "district": "`site.district`",
    "school": "`site.id`",
    "building": "the nearest space of kind `building` around the device; absent outdoors",
    "space": "the device's space",
    "device": "the device's id",
}
"""The tags of device measurements, and where they come from."""
ALARM_TAGS: Mapping[str, str] = {
    "district": "`site.district`",
    "school": "`site.id`",
    "rule": "the rule's id",
    "space": "what the alarm is about: id of a space, a device or the site",
    "device": "the device that raised it; absent where none did alone",
    "priority": "1 (most urgent) to 4",
    "state": "what happened: raised, acked, cleared, reset …",
}
"""The tags of `alarm`."""
ALARM_FIELDS: Mapping[str, tuple[FieldType, str]] = {
    "occurrence": ("string", "id of the occurrence; all its transitions share it"),
    "condition": ("string", "normal, pending, active or clearing"),
    "acked": ("boolean", "somebody has acknowledged it"),
    "latched": ("boolean", "it stays until it is reset by hand"),
    "suppressed": ("boolean", "hidden behind the alarm that caused it"),
    "shelved": ("boolean", "put aside by a person for a time"),
    "message": ("string", "what the rule says of it"),
    "value": ("float", "the value that decided, where it is a number"),
}
"""The fields of `alarm`, one point for each transition."""
_TYPES: Mapping[str, FieldType] = {"number": "float", "switch": "boolean", "text": "string"}


@dataclass(frozen=True, slots=True)
class Measurement:
    """One device kind as the district sees it; fields in the vocabulary's order."""

    name: str
    zh: str
    en: str
    fields: Mapping[str, PointSpec]


def field_type(spec: PointSpec) -> FieldType:
    """How InfluxDB holds a point; numbers are always floats."""
    return _TYPES[spec.type]


def measurements() -> Sequence[Measurement]:
    """The kinds with a built-in profile, and the gateway. Raises ConfigError when profiles have faults."""
    vocabulary, faults = read_vocabulary(builtin_configs() / "vocabulary.yaml")
    if vocabulary is None:
        raise ConfigError(faults)
    found = _fields_by_kind(vocabulary)
    found[GATEWAY] = {**found.get(GATEWAY, {}), **OWN_POINTS}
    return [
        Measurement(kind, vocabulary.device_kinds[kind].zh, vocabulary.device_kinds[kind].en, fields)
        for kind, fields in found.items()
        if fields
    ]


def _fields_by_kind(vocabulary: Vocabulary) -> dict[str, dict[str, PointSpec]]:
    """The points of all profiles, by kind, in the vocabulary's orders; profiles' own points last."""
    library = Library([builtin_configs() / "profiles"], vocabulary)
    found: dict[str, dict[str, PointSpec]] = {kind: {} for kind in vocabulary.device_kinds}
    for name in library.names():
        profile = library.profile(name)
        if profile is not None:
            found[profile.kind].update(library.points(profile))
    if library.faults:
        raise ConfigError(library.faults)
    order = {name: index for index, name in enumerate(vocabulary.points)}
    return {
        kind: dict(sorted(fields.items(), key=lambda item: (order.get(item[0], len(order)), item[0])))
        for kind, fields in found.items()
    }


def as_markdown(found: Sequence[Measurement]) -> str:
    """The page docs/district-measurements.md."""
    return "\n".join(_page(found)) + "\n"


def _page(found: Sequence[Measurement]) -> Iterator[str]:
    yield "# Measurements and fields of the district's InfluxDB"
    yield ""
    yield "Made by `campus-edge schema influx` from the vocabulary and the built-in profiles; do not edit."
    yield "How to read it: [district-schema.md](district-schema.md). A school's own profiles may add fields."
    for one in found:
        yield f"\n## `{one.name}` · {one.zh} · {one.en}\n"
        yield "| field | type | unit | 中文 | English |"
        yield "|---|---|---|---|---|"
        for name, spec in one.fields.items():
            unit = "" if spec.type != "number" else f"`{spec.unit}`"
            counter = ", a counter" if spec.counter else ""
            yield f"| `{name}` | {field_type(spec)} | {unit} | {spec.zh} | {spec.en}{counter} |"
    yield "\n## `alarm` · 报警 · Alarm transitions\n"
    yield "| field | type | meaning |"
    yield "|---|---|---|"
    for name, (kind, meaning) in ALARM_FIELDS.items():
        yield f"| `{name}` | {kind} | {meaning} |"
    yield "\n| tag | meaning |"
    yield "|---|---|"
    for name, meaning in ALARM_TAGS.items():
        yield f"| `{name}` | {meaning} |"
