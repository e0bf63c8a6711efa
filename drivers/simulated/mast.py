"""A simulated device that speaks NMEA 0183: the points of its profile as sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from drivers.nmea.codec import Sentence, build
from drivers.nmea.driver import NmeaDriver
from drivers.nmea.profile import NmeaPoint, NmeaProfile
from drivers.nmea.settings import NmeaDevice
from drivers.nmea.units import UNITS, Quantity
from drivers.simulated.device import VirtualDevice
from drivers.simulated.encoding import raw_of
from drivers.simulated.station import Answered

_LETTERS: Mapping[Quantity, str] = {
    "temperature": "C", "pressure": "H", "speed": "M", "angle": "D",
    "percent": "P", "rain": "M", "voltage": "V", "time": "s",
}  # fmt: skip
_MDA_LETTERS = {1: "I", 3: "B", 5: "C", 7: "C", 11: "C", 13: "T", 15: "M", 17: "N", 19: "M"}
_MDA_FIELDS = 20


@dataclass(slots=True)
class _Draft:
    """A sentence being filled: fields by number, or its transducers in order."""

    fields: dict[int, str] = field(default_factory=dict)
    items: list[str] = field(default_factory=list)


class NmeaMast:
    """Says all its sentences at once, as stations do each second."""

    def __init__(self, device: VirtualDevice, profile: NmeaProfile, settings: NmeaDevice) -> None:
        self.device = device
        self._profile = profile
        self._north = settings.north
        composite = any(len(point.sentence) == 2 for point in profile.points.values())
        self._talker = settings.talker or ("0" if composite else "WI")
        self._reader = NmeaDriver(settings, profile, device.points)

    def speak(self) -> Sequence[Answered]:
        """Its sentences, each with the values that a listener reads in it."""
        drafts: dict[tuple[str, str], _Draft] = {}
        for name, point in self._profile.points.items():
            draft = drafts.setdefault((point.sentence, point.reference or ""), _Draft())
            self._write(draft, name, point)
        spoken = []
        for (kind, reference), draft in drafts.items():
            frame = build(Sentence(self._talker, kind, _fields(kind, reference, draft)))
            heard = self._reader.hear(frame, 0).readings
            spoken.append(Answered(frame, {reading.point: reading.value for reading in heard}))
        return spoken

    def _write(self, draft: _Draft, name: str, point: NmeaPoint) -> None:
        letter = "" if point.quantity is None else point.unit or _LETTERS[point.quantity]
        if point.sentence == "MDA" and point.field in _MDA_LETTERS:
            letter = _MDA_LETTERS[point.field]
        text = self._text(name, point, letter)
        if point.field is not None:
            draft.fields[point.field] = text
            if letter:
                draft.fields[point.field + 1] = letter
        elif point.sentence == "XDR":
            draft.items += [point.transducer or "", text, letter, point.id or ""]
        else:
            draft.items.append(f"{point.id}={text}{letter}" if text else f"{point.id}=0.0#")

    def _text(self, name: str, point: NmeaPoint, letter: str) -> str:
        """The number in the sentence's own unit; empty where there is no value."""
        value = self.device.signals[name]()
        if value is None:
            return ""
        raw = raw_of(value, point, self.device.points[name])
        if point.relative:
            raw = (raw - self._north) % 360.0
        if point.quantity is not None:
            conversion = UNITS[point.quantity][letter.upper()]
            raw = (raw - conversion.offset) / conversion.factor
        decimals = 4 if point.quantity == "pressure" and letter in "BI" else 2
        return f"{raw:.{decimals}f}"


def _fields(kind: str, reference: str, draft: _Draft) -> tuple[str, ...]:
    if draft.items:
        return tuple(draft.items)
    fields = dict(draft.fields)
    if kind == "MWV":
        fields |= {2: reference or "R", 5: "A"}
        fields.setdefault(4, "M")
    size = max(*fields, _MDA_FIELDS if kind == "MDA" else 0)
    return tuple(fields.get(number, "") for number in range(1, size + 1))
