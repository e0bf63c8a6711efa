"""An RS-485 wire on a bad day: replies with flipped, missing and added bytes, echoes, replies
that come too late or not at all, bursts of noise between them, and what is sent at one speed
and heard at another. It keeps a ledger of what each device really said, and what became of it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from drivers.line.settings import Framing
from drivers.line.transport import Lost, Receive
from drivers.reading import Value
from drivers.simulated.station import Answered, Ear


class Fate(StrEnum):
    """What happens to one reply on its way."""

    CLEAN = "clean"
    FLIPPED = "flipped"
    MISSING = "missing"
    ADDED = "added"
    NOISE_BEFORE = "noise_before"
    NOISE_BEHIND = "noise_behind"
    ECHO = "echo"
    LATE = "late"
    LOST = "lost"


@dataclass(frozen=True)
class Talker:
    """A device on the wire. `late_s` is how long a late reply of it takes, beyond its timeout."""

    id: str
    ear: Ear
    baudrate: int
    framing: Framing
    late_s: float


@dataclass(frozen=True)
class Said:
    """One value that a device sent, from `begin` to `end` in virtual seconds.

    `intact`: its frame came out of the wire as it went in, be it late. `awaited`: its
    request went out untouched and the master waited for this reply, and no older one.
    """

    device: str
    point: str
    value: Value | None
    begin: float
    end: float
    fate: Fate
    intact: bool
    awaited: bool


@dataclass
class NoisyWire:
    """A transport in virtual time; a share `peace` of all replies is left alone."""

    talkers: Sequence[Talker]
    chance: random.Random
    peace: float = 0.6
    turn_round_s: float = 0.020
    said: list[Said] = field(default_factory=list)
    speed: tuple[int, Framing] = (9600, Framing.F8N1)
    _receive: Receive | None = None
    _owed: dict[str, float] = field(default_factory=dict)
    _air: list[tuple[float, float]] = field(default_factory=list)

    async def open(self, receive: Receive, lost: Lost) -> None:
        self._receive = receive

    def configure(self, baudrate: int, framing: Framing) -> None:
        self.speed = (baudrate, framing)

    def close(self) -> None:
        self._receive = None

    def due(self) -> list[Said]:
        """What had to be delivered: intact, awaited, and nobody else spoke at the same time."""
        return [
            s
            for s in self.said
            if s.intact and s.awaited and sum(a < s.end and s.begin < b for a, b in self._air) == 1
        ]

    def write(self, data: bytes) -> None:
        """The master speaks: at the right speed, and if nothing hits its request, it is heard."""
        now = asyncio.get_running_loop().time()
        took = self._duration(data, self.speed)
        self._air.append((now, now + took))
        heard = self._hit(data) if self.chance.random() < 0.05 else data
        if self.chance.random() < 0.03:
            self._send(now + self.chance.uniform(0, 2), self.chance.randbytes(5))
        for talker in self.talkers:
            if (talker.baudrate, talker.framing) != self.speed:
                continue
            request = talker.ear.take(bytearray(heard))
            for station in request.stations if request is not None else ():
                answered = station.answer()
                if answered is not None:
                    self._reply(talker, data, answered, now + took, untouched=heard == data)

    def _reply(
        self, talker: Talker, request: bytes, answered: Answered, asked: float, *, untouched: bool
    ) -> None:
        fate = Fate.CLEAN if self.chance.random() < self.peace else self.chance.choice(list(Fate))
        begin = asked + self.turn_round_s
        awaited = untouched and fate is not Fate.LATE and self._owed.get(talker.id, 0.0) < asked
        if fate is Fate.LATE:
            begin += talker.late_s * self.chance.uniform(1.0, 1.8)
            self._owed[talker.id] = max(self._owed.get(talker.id, 0.0), begin + 1.0)
        data = self._suffer(fate, request, answered.frame)
        end = self._send(begin, data)
        intact = answered.frame.lstrip(b"\xfe") in data
        for point, value in answered.values.items():
            self.said.append(Said(talker.id, point, value, begin, end, fate, intact, awaited))

    def _send(self, begin: float, data: bytes) -> float:
        """Puts bytes on the wire, now and then in two pieces, as adapters do; when they have ended."""
        loop = asyncio.get_running_loop()
        cut = self.chance.randrange(len(data) + 1) if self.chance.random() < 0.3 else 0
        middle = begin + self._duration(data[:cut], self.speed)
        end = begin + self._duration(data, self.speed) + (0.05 if cut else 0.0)
        if data:
            self._air.append((begin, end))
        loop.call_at(middle, self._deliver, data[:cut], self.speed)
        loop.call_at(end, self._deliver, data[cut:], self.speed)
        return end

    def _suffer(self, fate: Fate, request: bytes, frame: bytes) -> bytes:
        begin = len(frame) - len(frame.lstrip(b"\xfe"))  # wake-up bytes are no part of the frame
        match fate:
            case Fate.LOST:
                return b""
            case Fate.FLIPPED:
                broken = bytearray(frame)
                broken[self.chance.randrange(begin, len(frame))] ^= 1 << self.chance.randrange(8)
                return bytes(broken)
            case Fate.MISSING:
                at = self.chance.randrange(begin, len(frame))
                return frame[:at] + frame[at + 1 :]
            case Fate.ADDED:
                at = self.chance.randrange(begin + 1, len(frame))
                return frame[:at] + self.chance.randbytes(1) + frame[at:]
            case Fate.NOISE_BEFORE:
                return self.chance.randbytes(self.chance.randrange(1, 6)) + frame
            case Fate.NOISE_BEHIND:
                return frame + self.chance.randbytes(self.chance.randrange(1, 6))
            case Fate.ECHO:
                return request + frame
        return frame

    def _hit(self, data: bytes) -> bytes:
        broken = bytearray(data)
        broken[self.chance.randrange(len(data))] ^= 1 << self.chance.randrange(8)
        return bytes(broken)

    def _deliver(self, data: bytes, speed: tuple[int, Framing]) -> None:
        """What was sent at another speed than the port listens at now is heard as garbage."""
        if speed != self.speed:
            data = self.chance.randbytes(max(1, len(data) * self.speed[0] // speed[0]) if data else 0)
        if self._receive is not None and data:
            self._receive(data)

    @staticmethod
    def _duration(data: bytes, speed: tuple[int, Framing]) -> float:
        return len(data) * speed[1].bits / speed[0]
