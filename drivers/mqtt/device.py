"""One device behind a broker: parsed payloads in, readings out; no connection, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from drivers.errors import BadPayload
from drivers.line.counters import DeviceCounters
from drivers.mqtt import codec
from drivers.mqtt.identity import identity_of
from drivers.mqtt.profile import MqttPoint, MqttProfile
from drivers.mqtt.settings import MqttDevice
from drivers.mqtt.told import ToldTimes
from drivers.profile import Judge, judge_of
from drivers.reading import Millis, Origin, Quality, Reading, Value
from drivers.settings import millis
from drivers.vocabulary import PointSpec

_GOOD = Quality.GOOD
_new = tuple.__new__  # a NamedTuple's own takes three times as long


@dataclass(frozen=True, slots=True)
class DeviceSlot:
    """A device as the composition root hands it to its broker."""

    settings: MqttDevice
    profile: MqttProfile
    points: Mapping[str, PointSpec]
    counters: DeviceCounters = field(default_factory=DeviceCounters)


class Release(NamedTuple):
    """An event's switch that falls back to `value` after a while."""

    point: str
    value: bool
    after_ms: Millis


class Heard(NamedTuple):
    """What one message said, and what must follow it."""

    readings: list[Reading]
    releases: list[Release]


class _Point(NamedTuple):
    name: str
    pick: codec.Pick
    point: MqttPoint
    spec: PointSpec
    judge: Judge
    plain: bool  # a number that is taken as it stands in the payload


class _When(NamedTuple):
    at: Millis
    origin: Origin
    doubt: str
    """`clock` where the device told a time that is not believed."""


class MqttDeviceReader:
    """Turns a device's messages into readings; `at` grows strictly, whatever the clocks do, except
    that what the device says from its log, after newer things, is `backfill` at its own time."""

    def __init__(self, slot: DeviceSlot) -> None:
        self.id = slot.settings.id
        self.counters = slot.counters
        self.identity = identity_of(slot.settings, slot.profile)
        self._topics: dict[str, list[_Point]] = {}
        for name, point in slot.profile.points.items():
            pick, spec = codec.compile_pointer(point.pointer), slot.points[name]
            plain = spec.type == "number" and point.map is None
            entry = _Point(name, pick, point, spec, judge_of(point, spec), plain)
            self._topics.setdefault(point.suffix, []).append(entry)
        self._time = None if slot.profile.time is None else codec.compile_pointer(slot.profile.time)
        self._late_ms = slot.settings.late_ms
        self._last_at: Millis = 0
        self._told = {suffix: ToldTimes() for suffix in self._topics}
        self._base = slot.settings.topic
        self._availability = slot.settings.availability
        if self._availability is None and slot.profile.availability is not None:
            self._availability = slot.settings.topic + slot.profile.availability

    def topics(self) -> Mapping[str, str | None]:
        """Topic filters to subscribe to, with their suffix; None marks the availability topic."""
        topics: dict[str, str | None] = {self._base + suffix: suffix for suffix in self._topics}
        if self._availability is not None:
            topics[self._availability] = None
        return topics

    def hear(self, suffix: str | None, value: codec.Json, retained: bool, now: Millis) -> Heard:
        """The readings of one message received at `now`."""
        heard = Heard([], [])
        if suffix is None:
            self._note_availability(codec.available(value), now)
            return heard
        when = self._when(suffix, value, retained, now)
        for entry in self._topics[suffix]:
            if retained and entry.point.event:
                continue
            reading = self._read(entry, value, when, now)
            if reading is None:
                continue
            heard.readings.append(reading)
            if entry.point.event and reading.value is True:
                heard.releases.append(Release(entry.name, False, millis(entry.point.release_after)))
        if heard.readings:
            self._count(heard.readings, now)
        return heard

    def release(self, release: Release, now: Millis) -> Reading:
        """The end of an event."""
        self._last_at = max(now, self._last_at + 1)
        return Reading(self.id, release.point, release.value, "bool", self._last_at, now)

    def refused(self, reason: str) -> None:
        """A message of this device was of no use."""
        self.counters.errors[reason] += 1
        self.counters.failed("payload")

    def _read(self, entry: _Point, value: codec.Json, when: _When, now: Millis) -> Reading | None:
        reason = ""
        raw: codec.Json = entry.pick(value)
        if entry.plain and type(raw) is float:
            judged, quality, reason = entry.judge(raw)
            return self._reading(entry, judged, quality, reason, when, now)
        try:
            raw = codec.raw_value(raw, entry.point, entry.spec)
        except BadPayload as error:
            reason = error.reason
        if raw is codec.Gap.ABSENT or (entry.point.event and (reason or isinstance(raw, codec.Gap))):
            return None
        judged, quality = None, Quality.BAD
        if raw is codec.Gap.NO_VALUE:
            reason = "not_available"
        elif not reason:
            judged, quality, reason = entry.judge(raw)
        return self._reading(entry, judged, quality, reason, when, now)

    def _reading(
        self, entry: _Point, judged: Value | None, quality: Quality, reason: str, when: _When, now: Millis
    ) -> Reading:
        if reason:
            self.counters.errors[reason] += 1
        at, origin, doubt = when
        return _new(
            Reading,
            (self.id, entry.name, judged, entry.spec.unit, at, now, quality, reason or doubt, origin),
        )

    def _when(self, suffix: str, value: codec.Json, retained: bool, now: Millis) -> _When:
        """The time of measuring: the device's own where the profile trusts it and it is credible.

        What is older than the same topic said before is from the device's log and keeps its time.
        """
        origin, doubt = Origin.RETAINED if retained else Origin.LIVE, ""
        at = max(now, self._last_at + 1)
        if self._time is not None:
            told = codec.instant(self._time(value))
            times = self._told[suffix]
            history = told is not None and times.is_history(told, value, now)
            believed = self.counters.clock.judge(told, now, self._last_at, self._late_ms, history=history)
            if history and believed is not None:
                return _When(believed, Origin.BACKFILL, "")
            if told is not None:
                times.took(told, value, now, anew=history)
            if believed is None:
                self.counters.errors["clock"] += 1
                doubt = "clock"
            else:
                at = believed
                if not retained and now - believed > self._late_ms:
                    origin = Origin.BACKFILL
        self._last_at = at
        return _When(at, origin, doubt)

    def _count(self, readings: list[Reading], now: Millis) -> None:
        good = sum([reading[6] is _GOOD for reading in readings])  # their quality
        if good:
            self.counters.succeeded(now, partly=good < len(readings))
        else:
            self.counters.failed("payload")

    def _note_availability(self, online: bool | None, now: Millis) -> None:
        """Health only: a last will says that the device is gone, not what it measures."""
        if online is None:
            self.counters.errors["availability"] += 1
        elif not online:
            self.counters.last_error = "offline"
            self.counters.failures = max(self.counters.failures, self.counters.patience)
        elif self.counters.last_error == "offline":
            self.counters.failures, self.counters.last_error = 0, ""
