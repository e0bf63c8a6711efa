"""A simulated device that prints lines of text, by itself or when asked.

A pattern cannot be run backwards, so the first sample line of the profile serves as the
form: the values of now take the places of its groups. Without a sample it stays silent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from drivers.reading import Value
from drivers.simulated.device import VirtualDevice
from drivers.simulated.encoding import raw_of, value_of
from drivers.simulated.station import Answered, Request, Station
from drivers.text.profile import ADDRESS, TextPoint, TextProfile
from drivers.text.settings import TextDevice
from drivers.vocabulary import PointSpec


class TextPrinter:
    """One device; `request` is what it answers, empty where it speaks by itself."""

    def __init__(self, device: VirtualDevice, profile: TextProfile, settings: TextDevice) -> None:
        self.device = device
        self._profile = profile
        self.request = (profile.request or "").replace(ADDRESS, settings.address or "").encode("latin-1")
        self._sample = next(
            (one.line for one in profile.exchanges if profile.compiled.fullmatch(one.line)), None
        )

    def speak(self) -> Sequence[Answered]:
        """Its line, with the values that a listener reads in it; nothing without a sample."""
        answered = self.answer()
        return () if answered is None else (answered,)

    def answer(self) -> Answered | None:
        """Its line when asked."""
        if self._sample is None:
            return None
        text, values = self._sample, dict[str, Value | None]()
        for name, point in self._profile.points.items():
            spec, value = self.device.points[name], self.device.signals[name]()
            for candidate in _candidates(self._group(text, name, point), value, point, spec):
                changed = self._replace(text, name, point, candidate)
                if self._profile.compiled.fullmatch(changed):
                    text = changed
                    values[name] = _read(candidate, point, spec)
                    break
        line = text.encode(self._profile.encoding) + self._profile.terminator.encode("latin-1")
        return Answered(line, values)

    def _group(self, text: str, name: str, point: TextPoint) -> str:
        found = self._profile.compiled.fullmatch(text)
        return (found.group(point.group or name) if found else None) or ""

    def _replace(self, text: str, name: str, point: TextPoint, new: str) -> str:
        found = self._profile.compiled.fullmatch(text)
        start, end = found.span(point.group or name) if found else (-1, -1)
        return text if start < 0 else text[:start] + new + text[end:]


class TextEar:
    """The devices on a line that print when asked."""

    def __init__(self) -> None:
        self._printers: list[TextPrinter] = []

    def add(self, printer: TextPrinter) -> None:
        """One more device."""
        self._printers.append(printer)

    def take(self, buffer: bytearray) -> Request | None:
        """See `drivers.simulated.station.Ear`."""
        found = [(at, p) for p in self._printers if (at := buffer.find(p.request)) >= 0]
        if not found:
            return None
        at, first = min(found, key=lambda one: one[0])
        del buffer[: at + len(first.request)]
        return Request(first.request, [Station(first.device, first.answer)])


def _candidates(sample: str, value: Value | None, point: TextPoint, spec: PointSpec) -> Iterator[str]:
    """Ways to write a value, the sample's own form first."""
    if value is None:
        return
    if point.map is not None:
        wanted: Value = raw_of(value, point, spec) if spec.type == "switch" else value
        yield from (word for word, meaning in point.map.items() if meaning == wanted)
        return
    if spec.type == "text":
        yield str(value)
        return
    raw = raw_of(value, point, spec)
    decimals = len(sample.partition(".")[2])
    sign = "+" if sample[:1] in ("+", "-") else ""
    yield (
        f"{raw:{sign}0{len(sample)}.{decimals}f}"
        if sample.lstrip("+-")[:1] == "0"
        else f"{raw:{sign}.{decimals}f}"
    )
    yield f"{raw:{sign}.{decimals}f}"
    yield f"{raw:.{spec.decimals}f}"
    yield f"{raw:.0f}"


def _read(text: str, point: TextPoint, spec: PointSpec) -> Value:
    if point.map is not None:
        meaning = point.map[text]
        return value_of(float(meaning), point, spec) if spec.type == "switch" else meaning
    return text if spec.type == "text" else value_of(float(text), point, spec)
