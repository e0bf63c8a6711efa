"""A search for devices on one line, question by question, so that others may use it in between."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from drivers.contract import Exchange, Reply
from drivers.errors import BadFrame, NoReply
from drivers.line.settings import FieldLine
from edge.commissioning import probes
from edge.commissioning.candidates import Wanted, next_step, steps
from edge.commissioning.probes import Probe
from edge.commissioning.sighting import Sighting, Suggestion, Wire, wire_of

T = TypeVar("T")
HEARINGS = 2
"""So often is listened to what answers, to tell one device from several."""
_PAIRS = [f"{number:02d}" for number in range(100)]


class Lend(Protocol):
    """A line that carries out a conversation; `Arbiter.lend` is one."""

    async def __call__(self, work: Generator[Exchange, Reply, T], /) -> T:
        """What the conversation returns; raises the DriverError that it lets through."""
        ...


Recognise = Callable[[Sighting], Awaitable[Sighting]]
"""Adds to a sighting what is known or can be read: profiles that fit, the configured device."""


@dataclass(slots=True)
class Progress:
    """How far a scan has come; what it needs to go on later."""

    done: set[str] = field(default_factory=set)
    found: list[Sighting] = field(default_factory=list)
    asked: int = 0
    total: int = 0
    now: str = ""

    def dump(self) -> str:
        """As JSON, for a state file."""
        found = [
            {**one._asdict(), "frame": one.frame.hex(), "wire": str(one.wire) if one.wire else None}
            for one in self.found
        ]
        return json.dumps({"done": sorted(self.done), "found": found}, ensure_ascii=False, indent=1)

    @classmethod
    def load(cls, text: str) -> Progress:
        """The inverse of `dump`; ValueError, KeyError or TypeError for anything else."""
        raw = json.loads(text)
        return cls(set(raw["done"]), [_sighting(one) for one in raw["found"]])


def _sighting(raw: dict[str, Any]) -> Sighting:
    fields = dict(raw)
    fields["frame"] = bytes.fromhex(fields["frame"])
    fields["wire"] = wire_of(fields["wire"]) if fields["wire"] else None
    fields["suggestions"] = tuple(Suggestion(*one) for one in fields["suggestions"])
    return Sighting(**fields)


class Scan:
    """One search. `run` may be cancelled at any question and gone on with later from `progress`."""

    def __init__(
        self,
        line: FieldLine,
        wanted: Wanted,
        lend: Lend,
        recognise: Recognise,
        progress: Progress | None = None,
        patience: float = 1.0,
    ) -> None:
        self.progress = progress or Progress()
        self._lend = lend
        self._recognise = recognise
        self._patience = patience
        self._all = steps(line, wanted)
        self.progress.total = sum(step.cost for step in self._all)
        self.progress.asked = sum(step.cost for step in self._all if step.key in self.progress.done)

    async def run(self, moved: Callable[[], None] = lambda: None) -> None:
        """Takes all steps that are not done; `moved` is called behind each question. Raises LineDown."""
        progress = self.progress
        while waiting := [step for step in self._all if step.key not in progress.done]:
            seen: frozenset[Wire | None] = frozenset(one.wire for one in progress.found)
            step = next_step(waiting, seen)
            before = progress.asked
            for probe in step.probes():
                progress.now = f"{step.protocol} {step.wire or ''} {probe.key}"
                sightings = await self._look(probe)
                progress.asked += 1
                for sighting in sightings:
                    await self._add(sighting)
                moved()
                if sightings and not step.addresses:  # a wildcard has said all
                    break
            progress.done.add(step.key)
            progress.asked = before + step.cost
            moved()

    async def _add(self, sighting: Sighting) -> None:
        same = (sighting.protocol, sighting.address, sighting.wire)
        if any((one.protocol, one.address, one.wire) == same for one in self.progress.found):
            return
        recognised = sighting if sighting.conflict else await self._recognise(sighting)
        self.progress.found.append(recognised)

    async def _look(self, probe: Probe) -> list[Sighting]:
        """Who answers one question; several at a wildcard are told apart, at one address they are
        a conflict."""
        frame = b""
        try:
            frame = await self._lend(_ask(probe.exchange(self._patience)))
        except NoReply:
            return []
        except BadFrame:
            pass
        else:
            if probe.tell(frame) is None:
                return []
        heard = [await self._lend(_listen(probe.listening(self._patience))) for _ in range(HEARINGS)]
        replies = [probe.replies(bytes_) for bytes_ in heard]
        if any(len(some) > 1 for some in replies) or (not any(replies) and all(heard)):
            return await self._several(probe, frame or heard[0])
        alone = next((some[0] for some in replies if some), frame)
        sighting = probe.tell(alone) if alone else None
        return [] if sighting is None else [sighting]

    async def _several(self, probe: Probe, frame: bytes) -> list[Sighting]:
        kind, *where = probe.key.split(" ")
        if kind == "645":
            di = where[1] if len(where) > 1 else "00010000"
            return await self._narrow(probe.wire, 6, lambda at: probes.dlt645_at(at, probe.wire, di))
        if kind == "188":
            kinds = [int(where[1], 16)] if len(where) > 1 else [0x10, 0x20, 0x30]
            found: list[Sighting] = []
            for meter in kinds:
                found += await self._narrow(probe.wire, 7, _of_type(meter, probe.wire))
            return found
        protocol = "modbus-tcp" if kind == "tcp" else "modbus-rtu"
        return [Sighting(protocol, where[0], probe.wire, frame, conflict=True)]

    async def _narrow(
        self, wire: Wire | None, pairs: int, at: Callable[[str], Probe], tail: str = ""
    ) -> list[Sighting]:
        """Asks the meters apart by the low pairs of their addresses, a hundred at a time."""
        found: list[Sighting] = []
        for pair in _PAIRS:
            address = (pair + tail).rjust(2 * pairs, "A")
            probe = at(address)
            self.progress.now = f"{wire or ''} {probe.key}"
            try:
                frame = await self._lend(_ask(probe.exchange(self._patience)))
            except NoReply:
                continue
            except BadFrame:
                frame = b""
            heard = await self._lend(_listen(probe.listening(self._patience)))
            replies = probe.replies(heard)
            if len(replies) == 1 and (sighting := probe.tell(replies[0])) is not None:
                found.append(sighting)
            elif "A" in address:
                found += await self._narrow(wire, pairs, at, pair + tail)
            elif frame or heard:
                protocol = "dlt645" if pairs == 6 else "cjt188"
                found.append(Sighting(protocol, address, wire, frame or heard, conflict=True))
        return found


def _ask(exchange: Exchange) -> Generator[Exchange, Reply, bytes]:
    reply = yield exchange
    return reply.frame


def _listen(exchange: Exchange) -> Generator[Exchange, Reply, bytes]:
    """All bytes that came, empty for silence."""
    try:
        yield exchange
    except BadFrame as error:
        return error.frame
    except NoReply:
        return b""
    return b""


def _of_type(meter: int, wire: Wire | None) -> Callable[[str], Probe]:
    return lambda at: probes.cjt188_at(at, meter, wire)
