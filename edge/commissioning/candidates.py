"""What a scan tries, in the order that finds things soonest; pure.

A wildcard finds a meter with one question, so the usual speeds of meters come first. For
Modbus low addresses at the usual speeds come before high addresses and odd speeds, and a
speed at which somebody was found comes before all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from drivers.line.settings import FieldLine, Framing, SerialLine
from edge.commissioning import probes
from edge.commissioning.probes import Probe
from edge.commissioning.sighting import Wire

MODBUS_WIRES = tuple(
    Wire(baudrate, Framing(framing))
    for baudrate, framing in (
        (9600, "8N1"), (4800, "8N1"), (9600, "8E1"), (19200, "8N1"), (2400, "8N1"), (19200, "8E1"),
        (115200, "8N1"), (38400, "8N1"), (4800, "8E1"), (9600, "8O1"), (1200, "8N1"),
    )
)  # fmt: skip
METER_WIRES = tuple(
    Wire(baudrate, Framing(framing))
    for baudrate, framing in (
        (2400, "8E1"), (9600, "8E1"), (1200, "8E1"), (4800, "8E1"), (2400, "8N1"), (9600, "8N1"),
        (600, "8E1"),
    )
)  # fmt: skip
_GROUPS = (range(1, 11), range(11, 51), range(51, 121), range(121, 248))
_SLICE = 10
"""Addresses of one step: what an interrupted scan does again at most."""
SERIAL_PROTOCOLS = ("dlt645", "cjt188", "modbus-rtu")
MODBUS_TCP_PORT = 502


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the installer narrows a scan to; empty means: the usual ones."""

    protocols: tuple[str, ...] = ()
    addresses: tuple[int, ...] = ()
    wires: tuple[Wire, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """Some probes at one speed; done as a whole."""

    key: str
    protocol: str
    wire: Wire | None
    rank: float
    addresses: tuple[int, ...] = field(default=())

    def probes(self) -> Iterator[Probe]:
        """The questions, in order; of a wildcard's, those behind the first answer are left out."""
        if self.protocol == "dlt645":
            yield from probes.dlt645_any(self.wire)
        elif self.protocol == "cjt188":
            yield from probes.cjt188_any(self.wire)
        else:
            tcp = self.protocol == "modbus-tcp"
            yield from (probes.modbus(unit, self.wire, tcp=tcp) for unit in self.addresses)

    @property
    def cost(self) -> int:
        """Questions at most."""
        return len(self.addresses) or sum(1 for _ in self.probes())


def default_protocols(line: FieldLine) -> tuple[str, ...]:
    """What a line may speak: Modbus TCP on its port, else what serial lines carry."""
    if not isinstance(line, SerialLine) and line.address[1] == MODBUS_TCP_PORT:
        return ("modbus-tcp",)
    return SERIAL_PROTOCOLS


def steps(line: FieldLine, wanted: Wanted) -> list[Step]:
    """All that a scan of this line tries."""
    found: list[Step] = []
    serial = isinstance(line, SerialLine)
    for protocol in wanted.protocols or default_protocols(line):
        if not serial or protocol == "modbus-tcp":
            wires: Sequence[Wire | None] = (None,)
        else:
            wires = wanted.wires or (METER_WIRES if protocol in ("dlt645", "cjt188") else MODBUS_WIRES)
        for number, wire in enumerate(wires):
            if protocol in ("dlt645", "cjt188"):
                found.append(Step(f"{protocol} {wire or ''}".strip(), protocol, wire, number - 1.0))
            else:
                found += _modbus_steps(protocol, wire, number, wanted.addresses)
    return sorted(found, key=lambda step: step.rank)


def _modbus_steps(protocol: str, wire: Wire | None, number: int, addresses: Iterable[int]) -> Iterator[Step]:
    chosen = frozenset(addresses or range(1, 248))
    for index, group in enumerate(_GROUPS):
        members = [unit for unit in group if unit in chosen]
        for at in range(0, len(members), _SLICE):
            part = tuple(members[at : at + _SLICE])
            name = f"{protocol} {wire or ''}".strip()
            key = f"{name} {part[0]}-{part[-1]}"
            yield Step(key, protocol, wire, 2.0 * index + number + at / 1000, part)


def next_step(open_steps: Sequence[Step], seen: frozenset[Wire | None]) -> Step:
    """The step to take now: speeds at which somebody was found go before others."""
    return min(open_steps, key=lambda step: step.rank - (3.0 if step.wire in seen else 0.0))


def parse_addresses(text: str) -> tuple[int, ...]:
    """`1-20,37` as unit ids 1 to 247; ValueError for anything else."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        low, high = int(first), int(last or first)
        if not 1 <= low <= high <= 247:
            raise ValueError("addresses are 1 to 247, such as 1-20,37")
        found.update(range(low, high + 1))
    return tuple(sorted(found))


def parse_protocols(text: str) -> tuple[str, ...]:
    """`modbus-rtu,dlt645`; ValueError for one that cannot be searched for."""
    known = (*SERIAL_PROTOCOLS, "modbus-tcp")
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in found:
        if name not in known:
            raise ValueError(f"{name} cannot be searched for; known: {', '.join(known)}")
    return found


def parse_speeds(text: str) -> tuple[Wire, ...]:
    """`9600,2400 8E1`: a speed without framing stands for 8N1 and 8E1. ValueError for anything else."""
    found: list[Wire] = []
    for part in (part.strip() for part in text.split(",") if part.strip()):
        speed, _, framing = part.partition(" ")
        try:
            framings = [Framing(framing)] if framing else [Framing.F8N1, Framing.F8E1]
            found += [Wire(int(speed), one) for one in framings]
        except ValueError as error:
            raise ValueError(f"{part}: expected a speed such as 9600 or 2400 8E1") from error
        if not 300 <= found[-1].baudrate <= 921_600:
            raise ValueError(f"{part}: a speed is 300 to 921600")
    return tuple(found)
