"""A simulated DL/T 645 meter, 2007 or 1997: its profile's points as data identifiers and blocks."""

from __future__ import annotations

from functools import partial

from drivers.bcd import encode_bcd, encode_time
from drivers.dlt645.codec import READ, READ_1997, START, Frame, build, end_of, parse
from drivers.dlt645.profile import Dlt645Point, Dlt645Profile
from drivers.reading import Value
from drivers.simulated.device import VirtualDevice
from drivers.simulated.encoding import raw_of, value_of
from drivers.simulated.station import Answered, Request, Station, take_frame

READ_ADDRESS = 0x13
_REPLY, _REFUSE = 0x80, 0xC0
_NO_SUCH_DATA = b"\x02"
_WAKE_UP = 4  # many meters lead their replies in with FE as masters do


class Dlt645Meter:
    """One meter; `address` is in wire order, low pair first."""

    def __init__(self, device: VirtualDevice, profile: Dlt645Profile, address: str) -> None:
        self.device = device
        self.address = bytes.fromhex(address)[::-1]
        self._points = profile.points
        self._read, self._di_size = (READ_1997, 2) if profile.variant == "1997" else (READ, 4)

    def hears(self, address: bytes) -> bool:
        """True when a request goes to this meter: pair by pair the same, or AA (any)."""
        return all(asked in (own, 0xAA) for asked, own in zip(address, self.address, strict=True))

    def answer(self, request: Frame) -> Answered | None:
        """The reply to a read; `None` for functions to which this meter stays silent."""
        if request.control == READ_ADDRESS and self._read == READ:
            return Answered(self._frame(READ_ADDRESS | _REPLY, self.address), {})
        if request.control != self._read or len(request.data) < self._di_size:
            return None
        wanted = request.data[: self._di_size]
        identifier = wanted[::-1].hex().upper()
        values: dict[str, Value | None] = {}
        data = self._item(identifier, values) or self._block(identifier, values)
        if data is None:
            return Answered(self._frame(self._read | _REFUSE, _NO_SUCH_DATA), {})
        return Answered(self._frame(self._read | _REPLY, wanted + data), values)

    def _frame(self, control: int, data: bytes) -> bytes:
        return build(Frame(self.address, control, data), _WAKE_UP)

    def _item(self, identifier: str, values: dict[str, Value | None]) -> bytes | None:
        for name, point in self._points.items():
            if point.di == identifier:
                return self._encode(name, point, values)
        return None

    def _block(self, identifier: str, values: dict[str, Value | None]) -> bytes | None:
        items = {
            point.block: (name, point)
            for name, point in self._points.items()
            if point.block is not None and point.block_di == identifier
        }
        if not items:
            return None
        size = next(point.size for _, point in items.values())
        parts = []
        for number in range(max(items) + 1):
            if number in items:
                parts.append(self._encode(*items[number], values))
            else:
                parts.append(b"\xff" * size)
        return b"".join(parts)

    def _encode(self, name: str, point: Dlt645Point, values: dict[str, Value | None]) -> bytes:
        spec, value = self.device.points[name], self.device.signals[name]()
        leading, trailing = b"\x00" * point.leading, b"\x00" * point.trailing
        if value is None:
            values[name] = None
            return leading + b"\xff" * point.bytes + trailing
        if point.time:
            moment = str(value)[11:] if point.bytes == 3 else str(value)  # three bytes hold no date
            values[name] = moment
            return leading + encode_time(moment, point.bytes) + trailing
        most = (10 ** (2 * point.bytes) * (0.8 if point.signed else 1.0) - 1) / 10**point.decimals
        raw = raw_of(value, point, spec)
        raw = round(min(most, max(-most if point.signed else 0.0, raw)), point.decimals)
        values[name] = value_of(raw, point, spec)
        return leading + encode_bcd(raw, point.bytes, point.decimals, point.signed) + trailing


class Dlt645Ear:
    """All DL/T 645 meters of a line."""

    def __init__(self) -> None:
        self._meters: list[Dlt645Meter] = []

    def add(self, meter: Dlt645Meter) -> None:
        """One more meter on the line."""
        self._meters.append(meter)

    def take(self, buffer: bytearray) -> Request | None:
        """See `drivers.simulated.station.Ear`."""
        raw = take_frame(buffer, START, end_of)
        if raw is None:
            return None
        request = parse(raw)
        if request.control & _REPLY:  # a reply, or our own echo
            return Request(raw, ())
        heard = [meter for meter in self._meters if meter.hears(request.address)]
        return Request(raw, [Station(meter.device, partial(meter.answer, request)) for meter in heard])
