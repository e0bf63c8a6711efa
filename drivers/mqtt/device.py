"""One device behind a broker: parsed payloads in, readings out; no connection, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from drivers.errors import BadPayload
from drivers.line.counters import DeviceCounters
from drivers.mqtt import codec
from drivers.mqtt.profile import MqttPoint, MqttProfile
from drivers.mqtt.settings import MqttDevice
from drivers.profile import Judge, judge_of
from drivers.reading import Millis, Origin, Quality, Reading
from drivers.settings import millis
from drivers.vocabulary import PointSpec

OLDEST_MS = 7 * 86_400_000
NEWEST_MS = 5 * 60_000
"""A device's own time is believed from a week ago (its buffer) to five minutes ahead."""


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


class MqttDeviceReader:
    """Turns a device's messages into readings; `at` grows strictly, whatever the clocks do."""

    def __init__(self, slot: DeviceSlot) -> None:
        self.id = slot.settings.id
        self.counters = slot.counters
        self._topics: dict[str, list[_Point]] = {}
        for name, point in slot.profile.points.items():
            pick, spec = codec.compile_pointer(point.pointer), slot.points[name]
            entry = _Point(name, pick, point, spec, judge_of(point, spec))
            self._topics.setdefault(point.suffix, []).append(entry)
        self._time = None if slot.profile.time is None else codec.compile_pointer(slot.profile.time)
        self._late_ms = max(2 * millis(slot.settings.every), 300_000)
        self._last_at: Millis = 0
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
        origin, at = self._when(value, retained, now)
        for entry in self._topics[suffix]:
            if retained and entry.point.event:
                continue
            reading = self._read(entry, value, at, now, origin)
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

    def _read(
        self, entry: _Point, value: codec.Json, at: Millis, now: Millis, origin: Origin
    ) -> Reading | None:
        reason = ""
        raw: codec.Json = None
        try:
            raw = codec.raw_value(entry.pick(value), entry.point, entry.spec)
        except BadPayload as error:
            reason = error.reason
        if raw is codec.Gap.ABSENT or (entry.point.event and (reason or isinstance(raw, codec.Gap))):
            return None
        quality = Quality.BAD
        judged = None
        if raw is codec.Gap.NO_VALUE:
            reason = "not_available"
        elif not reason:
            judged, quality, reason = entry.judge(raw)
        if reason:
            self.counters.errors[reason] += 1
        return Reading(self.id, entry.name, judged, entry.spec.unit, at, now, quality, reason, origin)

    def _when(self, value: codec.Json, retained: bool, now: Millis) -> tuple[Origin, Millis]:
        """The time of measuring: the device's own where the profile trusts it and it is credible."""
        origin = Origin.RETAINED if retained else Origin.LIVE
        at = max(now, self._last_at + 1)
        if self._time is not None:
            told = codec.instant(self._time(value))
            if told is None or not max(now - OLDEST_MS, self._last_at + 1) <= told <= now + NEWEST_MS:
                self.counters.errors["clock"] += 1
            else:
                at = told
                if not retained and now - told > self._late_ms:
                    origin = Origin.BACKFILL
        self._last_at = at
        return origin, at

    def _count(self, readings: list[Reading], now: Millis) -> None:
        good = sum(reading.quality is Quality.GOOD for reading in readings)
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
