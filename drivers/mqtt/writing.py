"""What is published to set a point of an MQTT device; pure."""

from __future__ import annotations

import json
from typing import NamedTuple

from drivers.errors import NotWritable
from drivers.mqtt.profile import MqttPoint
from drivers.reading import Value
from drivers.vocabulary import PointSpec
from drivers.writing import permitted, raw_number


class Order(NamedTuple):
    """One write: where, what, and the value that the device should report afterwards."""

    topic: str
    payload: str
    value: Value


def order(topic: str, name: str, point: MqttPoint, value: Value, spec: PointSpec) -> Order:
    """The publication that sets a point; NotWritable when profile, limits or type forbid it."""
    wanted = permitted(name, value, point.write, spec)
    assert point.write is not None  # noqa: S101  # `permitted` refuses read-only points
    if "+" in topic.split("/"):
        raise NotWritable(f"{name}: the device's topic {topic} has a wildcard, so it cannot be written to")
    said: Value = wanted
    if isinstance(wanted, bool):
        said = wanted != point.invert
    elif isinstance(wanted, float):
        said = round(raw_number(name, wanted, point, whole=False), 6)
        said = int(said) if said.is_integer() else said
    text = json.dumps(said, ensure_ascii=False)
    if point.write.words is not None:
        word = point.write.words.get(said if isinstance(said, str) else text)
        if word is None:
            raise NotWritable(f"{name}: the profile has no word for {said}", reason="out_of_range")
        text = word
    return Order(topic + point.write.suffix, point.write.payload.replace("{value}", text), wanted)
