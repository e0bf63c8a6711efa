"""A simulated CJ/T 188 meter: its profile's points as fields of the standard's replies, and its valve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from drivers.cjt188 import body
from drivers.cjt188.codec import (
    ADDRESS,
    MEASURED,
    READ,
    READ_ADDRESS,
    REFUSED,
    REPLY,
    START,
    VALVE,
    VALVE_CLOSE,
    VALVE_OPEN,
    WRITE,
    Frame,
    build,
    end_of,
    parse,
)
from drivers.cjt188.profile import Cjt188Point, Cjt188Profile
from drivers.cjt188.settings import Cjt188Device
from drivers.reading import Value
from drivers.simulated.device import VirtualDevice
from drivers.simulated.encoding import raw_of, value_of
from drivers.simulated.station import Answered, Request, Station, take_frame

_WAKE_UP = 3
_ANY = 0xAA
_NO_CLOCK = bytes(7)
VALVE_POINT = "valve_open"


class Cjt188Meter:
    """One meter. It understands identifiers in its profile's order of bytes only.

    A valve command decides from then on what `valve_open` measures.
    """

    def __init__(self, device: VirtualDevice, profile: Cjt188Profile, settings: Cjt188Device) -> None:
        self.device = device
        self.type = int(settings.meter_type or profile.meter_type, 16)
        self.address = bytes.fromhex(settings.address.rjust(14, "0"))[::-1]
        self._profile = profile
        self._low_first = profile.di_order == "low_first"
        self._valve: bool | None = None

    def hears(self, kind: int, address: bytes) -> bool:
        """True when a request goes to this meter: type and address the same, or AA (any)."""
        pairs = zip((kind, *address), (self.type, *self.address), strict=True)
        return all(asked in (own, _ANY) for asked, own in pairs)

    def answer(self, request: Frame) -> Answered | None:
        """The reply to a read or a valve command; None where this meter stays silent."""
        di, serial = self._di(request.data), request.data[2:3]
        if not serial:
            return None
        if request.control == READ_ADDRESS and di == ADDRESS:
            return self._reply(request, b"", {})
        if request.control == READ:
            values: dict[str, Value | None] = {}
            data = self._body(di, values)
            if data is not None:
                return self._reply(request, data, values)
            return None if di is None else self._refuse(request)
        if request.control == WRITE and di == VALVE and VALVE_POINT in self._profile.points:
            order = request.data[3:4]
            if order not in (bytes([VALVE_OPEN]), bytes([VALVE_CLOSE])):
                return self._refuse(request)
            state = self._status({})  # as it was: the valve moves after the reply
            self._valve = order[0] == VALVE_OPEN
            return self._reply(request, state, {})
        return self._refuse(request) if request.control == WRITE else None

    def _di(self, data: bytes) -> str | None:
        """The identifier as printed; None when it comes in the order that this meter does not know."""
        di = (data[1::-1] if self._low_first else data[:2]).hex().upper()
        return di if di[:1] in ("8", "9", "A", "D") else None  # the other order begins with a low byte

    def _reply(self, request: Frame, data: bytes, values: dict[str, Value | None]) -> Answered:
        frame = Frame(self.type, self.address, request.control | REPLY, request.data[:3] + data)
        return Answered(build(frame, _WAKE_UP), values)

    def _refuse(self, request: Frame) -> Answered:
        frame = Frame(self.type, self.address, request.control | REFUSED, request.data[2:3] + b"\x01\x00")
        return Answered(build(frame, _WAKE_UP), {})

    def _body(self, di: str | None, values: dict[str, Value | None]) -> bytes | None:
        mine = {name: point for name, point in self._profile.points.items() if point.di == di}
        if di is None or (not mine and di != MEASURED):
            return None
        data = bytearray(self._empty() if di == MEASURED else b"")
        layout = self._profile.layout(di)
        for name, point in mine.items():
            if point.field in ("status", "clock"):
                continue
            place = body.LAYOUTS[layout][point.field]
            data[place.at : place.at + place.size] = self._number(name, point, place, values)
        if layout != "settlement":
            data[-2:] = self._status(values)
            data[-9:-2] = self._clock(mine, values)
        return bytes(data)

    def _empty(self) -> bytes:
        """A reply in which nothing is measured: zeros with the standard's units, no clock."""
        layout = self._profile.layout(MEASURED)
        first = bool(self._profile.unit_first)
        parts = [
            body.encode_number(place, 0.0, 0, first, None)
            for name, place in body.LAYOUTS[layout].items()
            if name not in ("clock", "status")
        ]
        return b"".join(parts) + _NO_CLOCK + b"\x00\x00"

    def _number(
        self, name: str, point: Cjt188Point, place: body.Place, values: dict[str, Value | None]
    ) -> bytes:
        spec, value = self.device.points[name], self.device.signals[name]()
        decimals = place.decimals if point.decimals is None else point.decimals
        first = bool(self._profile.unit_first)
        if value is None:
            values[name] = None
            return body.encode_number(place, None, decimals, first, None)
        digits = 2 * (place.size - (place.quantity is not None))
        most = (10**digits - 1) / 10**decimals
        raw = round(min(most, max(0.0, raw_of(value, point, spec))), decimals)
        values[name] = value_of(raw, point, spec)
        return body.encode_number(place, raw, decimals, first, None)

    def _clock(self, points: Mapping[str, Cjt188Point], values: dict[str, Value | None]) -> bytes:
        names = [name for name, point in points.items() if point.field == "clock"]
        if not names:
            return _NO_CLOCK
        now = self.device.signals[names[0]]()
        values.update(dict.fromkeys(names, now))
        return body.encode_clock(None if now is None else str(now))

    def _status(self, values: dict[str, Value | None]) -> bytes:
        """The status word, put together from the points that look at its bits."""
        word = 0
        points = [(n, p) for n, p in self._profile.points.items() if p.field == "status"]
        for name, point in points:
            if point.bits:
                value = self._valve if name == VALVE_POINT and self._valve is not None else None
                value = bool(self.device.signals[name]() if value is None else value)
                codes: Sequence[int] = point.true_for if value != point.invert else point.false_for
                word |= sum((codes[0] >> place & 1) << bit for place, bit in enumerate(point.bits))
        for name, point in points:
            if point.bits:
                code = body.bits_of(word, point.bits)
                values[name] = (code in point.true_for) != point.invert
            else:
                values[name] = value_of(word, point, self.device.points[name])
        return word.to_bytes(2, "little")


class Cjt188Ear:
    """All CJ/T 188 meters of a line."""

    def __init__(self) -> None:
        self._meters: list[Cjt188Meter] = []

    def add(self, meter: Cjt188Meter) -> None:
        """One more meter on the line."""
        self._meters.append(meter)

    def take(self, buffer: bytearray) -> Request | None:
        """See `drivers.simulated.station.Ear`."""
        raw = take_frame(buffer, START, end_of)
        if raw is None:
            return None
        request = parse(raw)
        if request.control & REPLY:  # a reply, or our own echo
            return Request(raw, ())
        heard = [meter for meter in self._meters if meter.hears(request.type, request.address)]
        return Request(raw, [Station(meter.device, partial(meter.answer, request)) for meter in heard])
