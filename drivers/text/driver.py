"""Devices that print lines of text: heard as they speak, or asked; one line is one measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.contract import Exchange, Found, Overheard, Poll
from drivers.errors import DriverError
from drivers.line.settings import FieldLine, SerialLine
from drivers.line.splitter import LineSplitter
from drivers.profile import Judge, judge_of
from drivers.reading import Millis, Quality, Reading
from drivers.settings import millis
from drivers.text import codec
from drivers.text.pattern import LONGEST_LINE
from drivers.text.profile import ADDRESS, TextPoint, TextProfile
from drivers.text.settings import TextDevice
from drivers.vocabulary import PointSpec


@dataclass(frozen=True, slots=True)
class _Point:
    name: str
    group: str
    point: TextPoint
    spec: PointSpec
    judge: Judge


class _Lines:
    """What both ways of speaking share: a line's groups become readings."""

    def __init__(self, device: TextDevice, profile: TextProfile, points: Mapping[str, PointSpec]) -> None:
        self._id = device.id
        self._profile = profile
        self._points = [
            _Point(name, point.group or name, point, points[name], judge_of(point, points[name]))
            for name, point in profile.points.items()
        ]

    def _readings(self, groups: Mapping[str, str | None], at: Millis) -> list[Reading]:
        return [self._reading(entry, groups.get(entry.group), at) for entry in self._points]

    def _reading(self, entry: _Point, text: str | None, at: Millis) -> Reading:
        try:
            raw = codec.raw_value(text, entry.point, entry.spec)
        except ValueError as error:
            return Reading(self._id, entry.name, None, entry.spec.unit, at, at, Quality.BAD, str(error))
        value, quality, reason = entry.judge(raw)
        return Reading(self._id, entry.name, value, entry.spec.unit, at, at, quality, reason)


class TextListener(_Lines):
    """One that speaks by itself; see `drivers.contract.Speaking`. Several share a line by their patterns."""

    def __init__(self, device: TextDevice, profile: TextProfile, points: Mapping[str, PointSpec]) -> None:
        super().__init__(device, profile, points)
        self._splitter = LineSplitter(LONGEST_LINE, profile.terminator.encode("latin-1"))

    @property
    def points(self) -> Mapping[str, str]:
        """Point name -> unit."""
        return {entry.name: entry.spec.unit for entry in self._points}

    def hear(self, data: bytes, at: Millis) -> Overheard:
        """The readings of all lines that `data` completes; a line of another form is `noise`."""
        lines, too_long = self._splitter.feed(data)
        readings: list[Reading] = []
        faults = ["too_long"] * too_long
        for line in lines:
            if not line.strip(b" \t\r\n\0"):
                continue
            groups = codec.match(self._profile, line)
            if groups is None:
                faults.append("noise")
            else:
                readings += self._readings(groups, at)
        return Overheard(readings, faults)


class TextPoller(_Lines):
    """One that is asked; see `drivers.contract.Polled`."""

    def __init__(
        self, device: TextDevice, profile: TextProfile, points: Mapping[str, PointSpec], line: FieldLine
    ) -> None:
        super().__init__(device, profile, points)
        request = (profile.request or "").replace(ADDRESS, device.address or "")
        self._request = request.encode("latin-1")
        self._terminator = profile.terminator.encode("latin-1")
        self._timeout_ms = millis(device.timeout or line.timeout)
        self._gap_ms = millis(line.gap)
        serial = isinstance(line, SerialLine)
        self._baudrate = device.baudrate if serial else None
        self._framing = device.framing if serial else None

    def poll(self, at: Millis) -> Poll:
        """One request, one line."""
        try:
            reply = yield Exchange(
                self._request, self._find, self._timeout_ms, self._gap_ms, self._baudrate, self._framing
            )
        except DriverError as error:
            return [
                Reading(self._id, entry.name, None, entry.spec.unit, at, at, Quality.BAD, error.reason)
                for entry in self._points
            ]
        return self._readings(codec.match(self._profile, reply.frame) or {}, reply.at)

    def _find(self, buffer: bytes) -> Found:
        """The first line of the awaited form; an echo of the request and other lines are dropped."""
        if self._request and buffer.startswith(self._request):
            return Found(None, len(self._request), "echo")
        end = buffer.find(self._terminator)
        if end < 0:
            return Found(None, 0)
        after = end + len(self._terminator)
        line = buffer[:end]
        if len(line) <= LONGEST_LINE and codec.match(self._profile, line) is not None:
            return Found(line, after)
        return Found(None, after, "noise" if line.strip(b" \t\r\n\0") else "")
