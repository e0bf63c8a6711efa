"""One device that speaks NMEA 0183: bytes of the line in, readings out; see `drivers.contract.Speaking`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from drivers.contract import Overheard
from drivers.errors import BadFrame
from drivers.line.splitter import LineSplitter
from drivers.nmea import codec
from drivers.nmea.codec import Sentence
from drivers.nmea.profile import NmeaPoint, NmeaProfile
from drivers.nmea.settings import NmeaDevice
from drivers.nmea.units import UNITS
from drivers.profile import Judge, judge_of
from drivers.reading import Millis, Quality, Reading
from drivers.vocabulary import PointSpec


class _Point(NamedTuple):
    name: str
    point: NmeaPoint
    unit: str
    judge: Judge


class _Said(NamedTuple):
    """What a sentence says about a point: text and unit letter; `valid` is the device's own word."""

    text: str
    unit: str
    valid: bool = True


class NmeaDriver:
    """Decodes the stream for one device; sentences of other talkers are left alone."""

    def __init__(self, device: NmeaDevice, profile: NmeaProfile, points: Mapping[str, PointSpec]) -> None:
        self._id = device.id
        self._talker = device.talker
        self._north = device.north
        self._verified = not profile.unverified
        self._splitter = LineSplitter(codec.LONGEST)
        self._units = {name: points[name].unit for name in profile.points}
        self._points: dict[str, list[_Point]] = {}
        for name, point in profile.points.items():
            entry = _Point(name, point, points[name].unit, judge_of(point, points[name]))
            self._points.setdefault(_drawer(point.sentence), []).append(entry)

    @property
    def points(self) -> Mapping[str, str]:
        """Point name -> unit."""
        return self._units

    def hear(self, data: bytes, at: Millis) -> Overheard:
        """The readings of all sentences that `data` completes; see `drivers.contract.Speaking`."""
        lines, too_long = self._splitter.feed(data)
        readings: list[Reading] = []
        faults = ["too_long"] * too_long
        for line in lines:
            try:
                sentence = codec.parse(line, verified=self._verified)
            except BadFrame as error:
                faults.append(error.reason)
                continue
            if sentence is not None and self._talker in (None, sentence.talker):
                readings += self._read(sentence, at)
        return Overheard(readings, faults)

    def _read(self, sentence: Sentence, at: Millis) -> list[Reading]:
        readings = []
        for entry in self._points.get(_drawer(sentence.type), ()):
            said = _find(sentence, entry.point)
            if said is not None:
                readings.append(self._reading(entry, said, at))
        return readings

    def _reading(self, entry: _Point, said: _Said, at: Millis) -> Reading:
        try:
            raw = codec.number(said.text) if said.valid else None
        except ValueError:
            return Reading(self._id, entry.name, None, entry.unit, at, at, Quality.BAD, "not_a_number")
        quantity = entry.point.quantity
        if raw is not None and quantity is not None and raw not in entry.point.sentinels:
            letter = entry.point.unit or said.unit.upper()
            conversion = UNITS[quantity].get(letter)
            if conversion is None:
                return Reading(self._id, entry.name, None, entry.unit, at, at, Quality.BAD, "unit")
            raw = round(raw * conversion.factor + conversion.offset, 6)
            if entry.point.relative:
                raw = round((raw + self._north) % 360.0, 6)
        value, quality, reason = entry.judge(raw)
        return Reading(self._id, entry.name, value, entry.unit, at, at, quality, reason)


def _drawer(sentence: str) -> str:
    """All composite messages share one: R0 brings the quantities of all others."""
    return "R" if len(sentence) == 2 and sentence[0] == "R" else sentence


def _find(sentence: Sentence, point: NmeaPoint) -> _Said | None:
    """Where the sentence speaks of the point; None where it does not."""
    if point.id is not None:
        for item in codec.items(sentence):
            if item.id == point.id and (point.transducer or "") == item.type:
                return _Said(item.value, item.unit, valid=item.unit != "#")  # Vaisala marks invalid data so
        return None
    if sentence.type == "MWV":
        if point.reference not in (None, sentence.field(2)):
            return None
        number = point.field or 0
        return _Said(sentence.field(number), sentence.field(number + 1), valid=sentence.field(5) == "A")
    number = point.field or 0
    return _Said(sentence.field(number), sentence.field(number + 1))
