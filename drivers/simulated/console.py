"""A simulated Davis Vantage console: sleeps until it is woken, answers LOOP, LPS and EEBRD."""

from __future__ import annotations

import re

from drivers.davis.codec import ACK, FIELDS, SETUP_BYTE, Packet, build, crc, decode
from drivers.davis.profile import DavisProfile
from drivers.reading import Value
from drivers.simulated.device import VirtualDevice
from drivers.simulated.encoding import raw_of, value_of
from drivers.simulated.station import Answered, Request, Station

_LINE = re.compile(rb"[^\n]*\n")
_BUCKETS = {0.254: 0x00, 0.2: 0x10, 0.1: 0x20}
_REFUSED = b"\x21"


class DavisConsole:
    """One console with a rain collector of `bucket` mm; `old` has no LOOP2 (firmware before 1.90)."""

    def __init__(
        self, device: VirtualDevice, profile: DavisProfile, *, bucket: float = 0.2, old: bool = False
    ) -> None:
        self.device = device
        self._profile = profile
        self._bucket = bucket
        self._old = old
        self._awake = False

    def answer(self, command: bytes) -> Answered | None:
        """What it says to a line; nothing to a command while it sleeps."""
        words = command.split()
        if not words:
            self._awake = True
            return Answered(b"\n\r", {})
        if not self._awake:
            return None
        if words[0] == b"LOOP":
            return self._packet(Packet.LOOP)
        if words[0] == b"LPS" and words[1:2] == [b"2"] and not self._old:
            return self._packet(Packet.LOOP2)
        if words == [b"EEBRD", b"%02X" % SETUP_BYTE, b"01"]:
            data = bytes((_BUCKETS[self._bucket] | 0x08,))
            return Answered(bytes((ACK,)) + data + crc(data).to_bytes(2, "big"), {})
        return Answered(_REFUSED, {})

    def _packet(self, packet: Packet) -> Answered:
        raws: dict[str, float | None] = {}
        for name, point in self._profile.points.items():
            value = self.device.signals[name]()
            raws[point.field] = None if value is None else raw_of(value, point, self.device.points[name])
        frame = build(packet, raws, self._bucket)
        values: dict[str, Value | None] = {}
        for name, point in self._profile.points.items():
            place = FIELDS[point.field].get(packet)
            if place is not None:
                raw = decode(frame, place, self._bucket)
                values[name] = None if raw is None else value_of(raw, point, self.device.points[name])
        return Answered(bytes((ACK,)) + frame, values)


class DavisEar:
    """The console of a line, where there is one."""

    def __init__(self) -> None:
        self._console: DavisConsole | None = None

    def add(self, console: DavisConsole) -> None:
        """The line's console; ValueError for a second one."""
        if self._console is not None:
            raise ValueError("a line has one console")
        self._console = console

    def take(self, buffer: bytearray) -> Request | None:
        """See `drivers.simulated.station.Ear`."""
        console = self._console
        found = _LINE.match(buffer) if console is not None else None
        if console is None or found is None:
            return None
        raw = bytes(found[0])
        del buffer[: found.end()]
        return Request(raw, [Station(console.device, lambda: console.answer(raw))])
