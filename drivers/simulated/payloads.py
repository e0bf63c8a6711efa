"""A simulated MQTT device: the points of its profile as topics and payloads; the inverse of its codec."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from drivers.mqtt.profile import MqttPoint, MqttProfile
from drivers.mqtt.settings import MqttDevice
from drivers.reading import Millis, Value
from drivers.simulated.device import VirtualDevice
from drivers.simulated.encoding import raw_of, value_of
from drivers.vocabulary import PointSpec


class Message(NamedTuple):
    """One publication, and the values that a subscriber will read in it."""

    topic: str
    payload: str
    device: str
    values: Mapping[str, Value]
    retain: bool = False


class MqttThing:
    """One device behind a broker. `wakes` tells what changed enough to be published at once.

    What was written to a point stands in `held` and hides its signal from then on.
    """

    def __init__(self, device: VirtualDevice, profile: MqttProfile, settings: MqttDevice) -> None:
        self.device = device
        self.every_s = settings.every.total_seconds()
        self._id = settings.id
        self._topic = settings.topic.replace("+", "1")
        self._profile = profile
        self._last: dict[str, Value | None] = {}
        self.held: dict[str, Value] = {}
        suffix = profile.availability
        self._availability = settings.availability or (self._topic + suffix if suffix else None)

    def report(self, at: Millis) -> list[Message]:
        """The regular messages: all points but events, one message for each topic."""
        names = [name for name, point in self._profile.points.items() if not point.event]
        return self._messages(names, at)

    def wakes(self, at: Millis) -> list[Message]:
        """Messages for events that have just happened and switches that have just changed."""
        changed = []
        for name, point in self._profile.points.items():
            spec = self.device.points[name]
            if not point.event and spec.type != "switch":
                continue
            value = self._value(name)
            before = self._last.get(name, value if not point.event else False)
            self._last[name] = value
            if value != before and (value or not point.event):
                changed.append(name)
        return self._messages(changed, at)

    def availability(self, online: bool) -> list[Message]:
        """The last-will topic's message, retained as on real devices; none where the profile has none."""
        if self._availability is None:
            return []
        return [Message(self._availability, "online" if online else "offline", self._id, {}, retain=True)]

    def command_topics(self) -> list[str]:
        """Where this device listens for writes."""
        writes = (point.write for point in self._profile.points.values())
        return list(dict.fromkeys(self._topic + write.suffix for write in writes if write is not None))

    def obey(self, topic: str, payload: str, at: Millis) -> list[Message]:
        """Takes a write and reports the points that it set; nothing for what it does not understand."""
        names = []
        for name, point in self._profile.points.items():
            if point.write is not None and topic == self._topic + point.write.suffix:
                value = _written(payload, point, self.device.points[name])
                if value is not None:
                    self.device.obey(name, value, self.held)
                    names.append(name)
        return self._messages(names, at)

    def _value(self, name: str) -> Value | None:
        return self.held[name] if name in self.held else self.device.signals[name]()

    def _messages(self, names: Sequence[str], at: Millis) -> list[Message]:
        by_suffix: dict[str, list[str]] = {}
        for name in names:
            by_suffix.setdefault(self._profile.points[name].suffix, []).append(name)
        return [message for suffix, some in by_suffix.items() for message in self._message(suffix, some, at)]

    def _message(self, suffix: str, names: Sequence[str], at: Millis) -> list[Message]:
        document: Any = {}
        values: dict[str, Value] = {}
        for name in names:
            point, spec = self._profile.points[name], self.device.points[name]
            value = self._value(name)
            if value is None or (point.event and not value):
                continue
            wire = _on_the_wire(value, point, spec)
            if wire is None:
                continue
            values[name] = value if not isinstance(value, float) else round(value, spec.decimals + 1)
            if not point.pointer:
                plain = wire if isinstance(wire, str) else json.dumps(wire)
                return [Message(self._topic + suffix, plain, self._id, values)]
            _place(document, point.pointer, wire)
        if not values:
            return []
        if self._profile.time is not None:
            moment = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
            _place(document, self._profile.time, moment)
        return [Message(self._topic + suffix, json.dumps(document), self._id, values)]


def _on_the_wire(value: Value, point: MqttPoint, spec: PointSpec) -> Value | None:
    """What the payload says for a value; `None` where the profile has no word for it."""
    if point.map is not None:
        wanted: Value = raw_of(value, point, spec) if spec.type == "switch" else value
        for word, meaning in point.map.items():
            if meaning == wanted:
                return _literal(word)
        return None
    if spec.type == "switch":
        return bool(raw_of(value, point, spec))
    if spec.type == "text":
        return str(value)
    return round(raw_of(round(float(value), spec.decimals + 1), point, spec), 6)


def _written(payload: str, point: MqttPoint, spec: PointSpec) -> Value | None:
    """The value that a write asks for, `None` when the payload is none of the profile's form."""
    if point.write is None:
        return None
    before, _, after = point.write.payload.partition("{value}")
    if not payload.startswith(before) or not payload.endswith(after):
        return None
    text = payload[len(before) : len(payload) - len(after)]
    if point.write.words is not None:
        known = {word: key for key, word in point.write.words.items()}
        if text not in known:
            return None
        text = known[text]
    raw = _literal(text)
    if spec.type == "switch":
        return raw != point.invert if isinstance(raw, bool) else None
    if spec.type == "text":
        return str(raw)
    return None if isinstance(raw, str | bool) else value_of(raw, point, spec)


def _literal(word: str) -> Value:
    """A key of `map` as JSON: `true` and numbers are such, all else is text."""
    try:
        found = json.loads(word)
    except json.JSONDecodeError:
        return word
    return found if isinstance(found, bool | int | float) else word


def _place(document: Any, pointer: str, value: Value) -> None:
    """Puts a value where an RFC 6901 pointer leads, making objects and lists on the way."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
    here = document
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        key: Any = step
        if isinstance(here, list):
            key = int(step)
            here += [None] * (key + 1 - len(here))
        if following is None:
            here[key] = value
        elif isinstance(here, list):
            here[key] = here[key] or ([] if following.isdecimal() else {})
            here = here[key]
        else:
            here = here.setdefault(key, [] if following.isdecimal() else {})
