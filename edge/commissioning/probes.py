"""Questions that make an unknown device show itself, and what its answer tells; pure.

Modbus     a read of holding register 0: a value or an exception, both say that somebody is there
DL/T 645   the address of whoever hears (function 13), else a read to the address AA..AA
CJ/T 188   the same with its own functions and meter types
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from drivers.cjt188 import codec as cjt188
from drivers.contract import Deframe, Exchange, Found
from drivers.dlt645 import codec as dlt645
from drivers.modbus.blocks import Block
from drivers.modbus.codec import ask_for, exception_code, find_rtu, find_tcp, read_request, with_transaction
from edge.commissioning.sighting import Sighting, Wire

MODBUS_TIMEOUT_MS = 200
"""Turn-round of sensors is 5 to 50 ms, of slow meters up to 150 (field notes on Modbus)."""
TCP_TIMEOUT_MS = 1000
METER_TIMEOUT_MS = 700
"""A meter's reply begins 20 to 500 ms after the request (DL/T 645-2007, CJ/T 188-2004)."""
GAP_MS = 40
BEHIND_GATEWAY = (0x0A, 0x0B)
"""Exceptions with which a gateway says that nobody is at a unit id."""

_DI_2007, _DI_1997 = "00010000", "9010"
_TYPES = (0x10, 0x20, 0x30)  # cold water, heat, gas


class Probe(NamedTuple):
    """One question: `tell` makes a sighting of a reply, `None` when it says that nobody is there."""

    key: str
    request: bytes
    deframe: Deframe
    timeout_ms: int
    wire: Wire | None
    tell: Callable[[bytes], Sighting | None]

    def exchange(self, patience: float = 1.0) -> Exchange:
        """The exchange that asks it; `patience` stretches the timeout."""
        return self._exchange(self.deframe, patience)

    def listening(self, patience: float = 1.0) -> Exchange:
        """The same question, taking in all that comes until it is quiet: it always ends in an error
        that keeps the bytes."""
        return self._exchange(lambda buffer: Found(None, 0, "heard" if buffer else ""), patience)

    def _exchange(self, deframe: Deframe, patience: float) -> Exchange:
        timeout_ms = round(self.timeout_ms * patience)
        if self.wire is None:
            return Exchange(self.request, deframe, timeout_ms, GAP_MS)
        return Exchange(self.request, deframe, timeout_ms, GAP_MS, *self.wire)

    def replies(self, heard: bytes) -> list[bytes]:
        """All sound replies in what came back."""
        found = []
        while heard:
            seen = self.deframe(heard)
            if seen.frame is not None:
                found.append(seen.frame)
            if not seen.end:
                break
            heard = heard[seen.end :]
        return found


def modbus(unit: int, wire: Wire | None, *, tcp: bool = False) -> Probe:
    """Asks one unit id, over RTU or Modbus TCP."""
    block = Block("holding", 0, 1, ())
    ask, request = ask_for(block, unit), read_request(block, unit, tcp=tcp)
    protocol = "modbus-tcp" if tcp else "modbus-rtu"

    def tell(frame: bytes) -> Sighting | None:
        if tcp and exception_code(ask, frame) in BEHIND_GATEWAY:
            return None
        return Sighting(protocol, str(unit), wire, frame)

    if tcp:
        transaction = 0x4000 + unit
        request = with_transaction(request, transaction)
        return Probe(f"tcp {unit}", request, partial(find_tcp, ask, transaction), TCP_TIMEOUT_MS, None, tell)
    return Probe(f"rtu {unit}", request, partial(find_rtu, ask, request), MODBUS_TIMEOUT_MS, wire, tell)


def dlt645_any(wire: Wire | None) -> Iterator[Probe]:
    """Asks whoever hears, in the ways that meters know."""
    yield Probe(
        "645 address", dlt645.address_request(), dlt645.find_address, METER_TIMEOUT_MS, wire,
        lambda frame: _meter645(dlt645.parse(frame).data, wire, frame),
    )  # fmt: skip
    yield dlt645_at(dlt645.WILDCARD, wire)
    yield dlt645_at(dlt645.WILDCARD, wire, di=_DI_1997)


def dlt645_at(address: str, wire: Wire | None, di: str = _DI_2007) -> Probe:
    """Reads the energy of the meters that an address with AA pairs lets answer."""
    asked = dlt645.address_bytes(address)
    return Probe(
        f"645 {address} {di}", dlt645.read_request(asked, di), dlt645.deframer(asked, di),
        METER_TIMEOUT_MS, wire,
        lambda frame: _meter645(dlt645.parse(frame).address, wire, frame),
    )  # fmt: skip


def cjt188_any(wire: Wire | None) -> Iterator[Probe]:
    """Asks whoever hears, in the ways that meters know."""
    anyone = cjt188.Station(0xAA, cjt188.address_bytes(cjt188.WILDCARD))
    yield Probe(
        "188 address", cjt188.address_request(anyone),
        cjt188.deframer(anyone, cjt188.ADDRESS, cjt188.READ_ADDRESS), METER_TIMEOUT_MS, wire,
        lambda frame: _meter188(frame, wire),
    )  # fmt: skip
    for kind in _TYPES:
        yield cjt188_at(cjt188.WILDCARD, kind, wire)


def cjt188_at(address: str, kind: int, wire: Wire | None) -> Probe:
    """Reads the meters that an address with AA pairs lets answer."""
    station = cjt188.Station(kind, cjt188.address_bytes(address))
    return Probe(
        f"188 {address} {kind:02X}", cjt188.read_request(station, cjt188.MEASURED),
        cjt188.deframer(station, cjt188.MEASURED), METER_TIMEOUT_MS, wire,
        lambda frame: _meter188(frame, wire),
    )  # fmt: skip


def _meter645(address: bytes, wire: Wire | None, frame: bytes) -> Sighting | None:
    digits = address[::-1].hex().upper()
    return Sighting("dlt645", digits, wire, frame) if digits.isdecimal() else None


def _meter188(raw: bytes, wire: Wire | None) -> Sighting | None:
    frame = cjt188.parse(raw)
    digits = frame.address[::-1].hex().upper()
    if not digits.isdecimal():
        return None
    return Sighting("cjt188", digits, wire, raw, meter_type=f"{frame.type:02X}")
