"""Home Assistant discovery messages: what a device announces about one of its quantities; pure.

    PREFIX/COMPONENT/[NODE/]OBJECT/config   {"stat_t": "~/t", "~": "room", "val_tpl": ..., "dev": {...}}
    PREFIX/device/OBJECT/config             {"cmps": {"KEY": {"p": "sensor", ...}}, "dev": {...}}

Source: www.home-assistant.io/integrations/mqtt, "MQTT discovery" and its table of abbreviations.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from drivers.errors import BadPayload
from drivers.mqtt import codec

MAX_PAYLOAD = 65_536
COMPONENTS = ("sensor", "binary_sensor")
_LONGEST_TEMPLATE = 200
_MOST_COMPONENTS = 200

_LONG = {
    "avty": "availability", "avty_t": "availability_topic", "cmps": "components", "dev": "device",
    "dev_cla": "device_class", "ids": "identifiers", "mdl": "model", "mf": "manufacturer",
    "p": "platform", "pl_off": "payload_off", "pl_on": "payload_on", "sa": "suggested_area",
    "stat_t": "state_topic", "t": "topic", "uniq_id": "unique_id", "unit_of_meas": "unit_of_measurement",
    "val_tpl": "value_template",
}  # fmt: skip
_STEP = r"""(?:\.[A-Za-z_]\w*|\[\s*(?:'[^'\]]*'|"[^"\]]*"|\d{1,4})\s*\])"""
_TEMPLATE = re.compile(
    r"\{\{\s*(value|value_json(?P<path>" + _STEP + r"+))\s*(?P<filters>(?:\|[^|}]*)*)\}\}", re.ASCII
)
_PIECE = re.compile(r"""\.(\w+)|\[\s*(?:'([^']*)'|"([^"]*)"|(\d+))\s*\]""", re.ASCII)
_HARMLESS = re.compile(
    r"\|\s*(?:float|int|round|is_defined|default|string|lower)\s*(?:\([^()]*\))?\s*", re.ASCII
)


class Announcement(NamedTuple):
    """One quantity: who measures it, where it is published and what it means.

    `pointer` leads to it in the payload (RFC 6901, empty: the whole payload). `on` and
    `off` are the words of a binary sensor.
    """

    component: str
    device: str
    device_name: str
    maker: str
    model: str
    area: str
    name: str
    state_topic: str
    pointer: str
    device_class: str
    unit: str
    on: str
    off: str
    availability: tuple[str, ...]


class LeftOut(NamedTuple):
    """An announcement that cannot be used, and why."""

    topic: str
    why: str


def read(topic: str, payload: bytes) -> Iterator[Announcement | LeftOut]:
    """What a discovery message announces; nothing for an empty one, which withdraws a device."""
    levels = topic.split("/")
    if len(levels) < 4 or levels[-1] != "config":
        return
    if not payload.strip():
        return
    try:
        document = codec.parse(payload, MAX_PAYLOAD)
    except BadPayload as error:
        yield LeftOut(topic, f"no JSON: {error.reason}")
        return
    if not isinstance(document, dict):
        yield LeftOut(topic, "no JSON object")
        return
    common = _expanded(document)
    if levels[1] != "device":
        yield _one(topic, levels[1], common, levels[-2])
        return
    components = common.pop("components", None)
    if not isinstance(components, dict):
        yield LeftOut(topic, "a device without components")
        return
    for key, part in list(components.items())[:_MOST_COMPONENTS]:
        if isinstance(part, dict):
            own = {**common, **_expanded(part)}
            yield _one(f"{topic} {key}", _text(own.get("platform")), own, str(key))


def _one(topic: str, component: str, entity: Mapping[str, Any], name: str) -> Announcement | LeftOut:
    if component not in COMPONENTS:
        return LeftOut(topic, f"{component or 'nothing'} is no sensor")
    base = _text(entity.get("~"))
    state = _with_base(_text(entity.get("state_topic")), base)
    if not state:
        return LeftOut(topic, "no state topic")
    pointer = template_pointer(_text(entity.get("value_template")))
    if pointer is None:
        return LeftOut(topic, f"its value template computes: {_text(entity.get('value_template'))[:80]}")
    device = entity.get("device")
    about = _expanded(device) if isinstance(device, dict) else {}
    identifiers = about.get("identifiers")
    first = identifiers[0] if isinstance(identifiers, list) and identifiers else identifiers
    return Announcement(
        component=component,
        device=_text(first) or _text(about.get("name")) or state,
        device_name=_text(about.get("name")) or name,
        maker=_text(about.get("manufacturer")),
        model=_text(about.get("model")),
        area=_text(about.get("suggested_area")),
        name=_text(entity.get("name")) or name,
        state_topic=state,
        pointer=pointer,
        device_class=_text(entity.get("device_class")),
        unit=_text(entity.get("unit_of_measurement")),
        on=_word(entity.get("payload_on"), "ON"),
        off=_word(entity.get("payload_off"), "OFF"),
        availability=tuple(_availability(entity, base)),
    )


def template_pointer(template: str) -> str | None:
    """`{{ value_json.a['b'] | float }}` as the JSON pointer `/a/b`; None for one that computes."""
    if not template:
        return ""
    found = _TEMPLATE.fullmatch(template.strip()) if len(template) <= _LONGEST_TEMPLATE else None
    if found is None:
        return None
    rest = found["filters"]
    while rest:
        harmless = _HARMLESS.match(rest)
        if harmless is None:
            return None
        rest = rest[harmless.end() :]
    steps = [
        next(part for part in piece if part) for piece in _PIECE.findall(found["path"] or "") if any(piece)
    ]
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def _availability(entity: Mapping[str, Any], base: str) -> Iterator[str]:
    single = _with_base(_text(entity.get("availability_topic")), base)
    if single:
        yield single
    several = entity.get("availability")
    for one in several if isinstance(several, list) else [several]:
        if isinstance(one, dict):
            topic = _with_base(_text(_expanded(one).get("topic")), base)
            if topic:
                yield topic


def _expanded(document: Mapping[str, Any]) -> dict[str, Any]:
    """The keys written out."""
    return {_LONG.get(key, key): value for key, value in document.items()}


def _with_base(topic: str, base: str) -> str:
    """`~` at the begin or end of a topic stands for the base topic."""
    if base and topic.startswith("~"):
        return base + topic[1:]
    return topic[:-1] + base if base and topic.endswith("~") else topic


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _word(value: Any, default: str) -> str:
    """A payload as the text that it is on the wire: `true` for JSON's true."""
    if value is None:
        return default
    return value if isinstance(value, str) else json.dumps(value)
