"""MQTT profiles: where a point stands in the payload of which topic."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from drivers.profile import PointMap, Profile, WriteLimits
from drivers.settings import Duration, Settings
from drivers.vocabulary import PointName


def _pointer(text: str) -> str:
    if text and not re.fullmatch(r"(/([^/~]|~[01])*)+", text):
        raise ValueError("expected a JSON pointer such as /ENERGY/Power (RFC 6901), or nothing")
    return text


def _suffix(text: str) -> str:
    if any(c in text for c in "+#\0") or (text and not text.startswith("/")):
        raise ValueError("a suffix begins with / and holds no wildcard")
    return text


Pointer = Annotated[str, AfterValidator(_pointer)]
Suffix = Annotated[str, AfterValidator(_suffix)]


def _template(text: str) -> str:
    if text.count("{value}") != 1:
        raise ValueError("the payload holds {value} once: where the value goes")
    return text


class MqttWrite(WriteLimits):
    """How a point is set: what is published on the device's topic plus `suffix`.

    `{value}` in `payload` becomes the value as JSON, before scale and offset; `words` says
    it in the device's own words instead (by `true`, `false`, or a text of the vocabulary),
    put in as they are. `readback` waits up to `wait` for the device to report the value.
    """

    suffix: Suffix
    payload: Annotated[str, AfterValidator(_template)] = "{value}"
    words: dict[str, str] | None = None
    wait: Annotated[Duration, Field(gt=timedelta(0), le=timedelta(seconds=30))] = timedelta(seconds=5)


class MqttPoint(PointMap):
    """One point: `pointer` into the JSON payload of the device's topic plus `suffix`.

    The empty pointer is the whole payload, plain text included. `map` translates what
    the payload says (as text: `true`, `ON`, `1`) before anything else. An `event`
    happens once: absent, empty, unmapped and retained values are no event; a switch
    that is an event falls back to false after `release_after`.
    """

    pointer: Pointer = ""
    suffix: Suffix = ""
    map: dict[str, float | bool | str] | None = None
    event: bool = False
    release_after: Duration = timedelta(seconds=2)
    write: MqttWrite | None = None


class CapturedMessage(Settings):
    """A published message as a test of the profile; `suffix` is the topic behind the device's."""

    suffix: Suffix = ""
    payload: str
    expect: dict[PointName, float | bool | str | None]
    source: str = ""


class MqttProfile(Profile):
    """A model of device, or a way of publishing.

    `time` points to the time of measuring where the payload has one that can be
    trusted (with a zone, or counted from the epoch). `availability` is the suffix of
    the last-will topic. `identity` points to the word by which the payload names its device,
    where this way of publishing puts the same word into the topic: a payload that names
    another device is refused.
    """

    family: Literal["mqtt"]
    points: Annotated[dict[PointName, MqttPoint], Field(min_length=1)]
    time: Pointer | None = None
    availability: Suffix | None = None
    identity: Annotated[Pointer, Field(min_length=1)] | None = None
    exchanges: tuple[CapturedMessage, ...] = ()

    @property
    def speaks_first(self) -> bool:
        """Always; the broker's line hears it."""
        return True

    def point_names(self) -> tuple[str, ...]:
        """The points in the profile's order."""
        return tuple(self.points)

    def write_limits(self, point: str) -> WriteLimits | None:
        """See `Profile`."""
        return self.points[point].write
