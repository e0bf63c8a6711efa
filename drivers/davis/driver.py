"""One Davis console: woken, asked for as few packets as hold its points; readings out."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

from drivers.contract import Deframe, Exchange, Poll, Reply
from drivers.davis import codec
from drivers.davis.codec import FIELDS, Packet, Place
from drivers.davis.profile import DavisProfile
from drivers.davis.settings import DavisDevice
from drivers.errors import BadFrame, DriverError, NoReply, Refused
from drivers.line.settings import FieldLine, SerialLine
from drivers.profile import judge_of
from drivers.reading import Millis, Quality, Reading
from drivers.settings import millis
from drivers.vocabulary import PointSpec

WAKE_MS = 1200
WAKE_TRIES = 3
RETRY_ROUNDS = 100
"""A console without LOOP2 (firmware before 1.90) is asked for it again only this often."""


class DavisDriver:
    """Polls one console; the size of its rain collector is asked once, never assumed."""

    def __init__(
        self, device: DavisDevice, profile: DavisProfile, points: Mapping[str, PointSpec], line: FieldLine
    ) -> None:
        self._id = device.id
        self._timeout_ms = millis(device.timeout)
        serial = isinstance(line, SerialLine)
        self._baudrate = device.baudrate if serial else None
        self._framing = device.framing if serial else None
        self._fields = {name: point.field for name, point in profile.points.items()}
        self._units = {name: points[name].unit for name in profile.points}
        self._judges = {name: judge_of(point, points[name]) for name, point in profile.points.items()}
        self._plan = _plan(self._fields)
        self._needs_bucket = any(
            place.kind.clicks for field in self._fields.values() for place in FIELDS[field].values()
        )
        self._bucket: float | None = None
        self._resting = dict.fromkeys(self._plan, 0)
        self._refusals = dict.fromkeys(self._plan, 0)

    def poll(self, at: Millis) -> Poll:
        """One round: wake-up, one packet or two. A refused packet costs only its own points."""
        found: dict[str, Reading] = {}
        failed: DriverError | None = None
        try:
            yield from self._wake()
            if self._needs_bucket and self._bucket is None:
                self._bucket = yield from self._ask_bucket()
        except DriverError as error:
            failed = error
        for packet, names in self._plan.items():
            reason = failed.reason if failed is not None else ""
            if failed is None and self._resting[packet] > 0:
                self._resting[packet] -= 1
                reason = "not_supported"
            elif failed is None:
                try:
                    reply = yield self._exchange(codec.packet_request(packet), codec.packet_finder(packet))
                    self._raise_if_refused(reply.frame)
                except Refused as error:
                    reason = self._count_refusal(packet, error)
                except DriverError as error:
                    failed, reason = error, error.reason
                else:
                    self._refusals[packet] = 0
                    found |= {name: self._reading(name, packet, reply) for name in names}
                    continue
            found |= {name: self._bad(name, reason, at) for name in names}
        return [found[name] for name in self._fields]

    def _wake(self) -> Generator[Exchange, Reply, None]:
        for attempt in range(1, WAKE_TRIES + 1):
            try:
                yield Exchange(
                    codec.wake_request(), codec.find_awake, WAKE_MS,
                    baudrate=self._baudrate, framing=self._framing, repeatable=False,
                )  # fmt: skip
            except (NoReply, BadFrame):
                if attempt == WAKE_TRIES:
                    raise
            else:
                return

    def _ask_bucket(self) -> Generator[Exchange, Reply, float | None]:
        """The rain collector's size in mm; None where the console does not tell (asked again next round)."""
        reply = yield self._exchange(codec.eeprom_request(codec.SETUP_BYTE, 1), codec.eeprom_finder(1))
        if len(reply.frame) == 1:
            return None
        return codec.bucket_mm(reply.frame[0])

    def _count_refusal(self, packet: Packet, error: Refused) -> str:
        """The reason of a refused packet's points: LOOP2 refused twice is one that the console lacks.

        Every console knows LOOP, so a refusal of it, or a single one, was noise in our command.
        """
        self._refusals[packet] += 1
        if packet is Packet.LOOP or self._refusals[packet] < 2:
            return error.reason
        self._resting[packet] = RETRY_ROUNDS - 1
        return "not_supported"

    def _exchange(self, request: bytes, deframe: Deframe) -> Exchange:
        return Exchange(request, deframe, self._timeout_ms, baudrate=self._baudrate, framing=self._framing)

    def _raise_if_refused(self, frame: bytes) -> None:
        if len(frame) == 1:
            raise Refused(f"{self._id}: {codec.REFUSALS[frame[0]]}", code=frame[0])

    def _reading(self, name: str, packet: Packet, reply: Reply) -> Reading:
        place: Place = FIELDS[self._fields[name]][packet]
        raw = codec.decode(reply.frame, place, self._bucket)
        if place.kind is codec.BITS and raw is not None:
            raw = float(raw != 0)
        value, quality, reason = self._judges[name](raw)
        return Reading(self._id, name, value, self._units[name], reply.at, reply.at, quality, reason)

    def _bad(self, name: str, reason: str, at: Millis) -> Reading:
        return Reading(self._id, name, None, self._units[name], at, at, Quality.BAD, reason)


def _plan(fields: Mapping[str, str]) -> Mapping[Packet, Sequence[str]]:
    """Which points each packet is asked for: LOOP2 only where LOOP, which every console knows, lacks one."""
    only = {packet: any(set(FIELDS[f]) == {packet} for f in fields.values()) for packet in Packet}
    preferred = Packet.LOOP2 if only[Packet.LOOP2] and not only[Packet.LOOP] else Packet.LOOP
    plan: dict[Packet, list[str]] = {}
    for name, field in fields.items():
        packet = preferred if preferred in FIELDS[field] else next(iter(FIELDS[field]))
        plan.setdefault(packet, []).append(name)
    return plan
