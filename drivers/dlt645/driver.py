"""One DL/T 645 meter, 2007 or 1997: blocks of data identifiers in, readings out."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

from drivers.bcd import decode_bcd, decode_time
from drivers.contract import Exchange, Poll, Reply
from drivers.dlt645 import codec
from drivers.dlt645.profile import Dlt645Point, Dlt645Profile
from drivers.dlt645.settings import Dlt645Device
from drivers.errors import BadFrame, DriverError, LineDown, NoReply, Refused
from drivers.line.settings import FieldLine, SerialLine
from drivers.profile import judge_of
from drivers.reading import Millis, Quality, Reading, Value
from drivers.settings import millis
from drivers.vocabulary import PointSpec

GAP_MS = 40
"""Quiet before a request: DL/T 645 meters want 30-50 ms between frames."""

RETRY_ROUNDS = 100
"""A quantity that the meter lacks is asked again only this often."""

SILENT_ROUNDS = 3
"""After so many silences while the meter answers other questions, one is asked as rarely."""

BROKEN_FRAMES = 2
"""So many broken frames in a row, with nothing good between, end the round."""

_MOST_FOLLOWING = 16  # frames of 200 bytes: more than any block of the standard needs


@dataclass(slots=True)
class _Query:
    """One identifier to ask for, the points its answer holds, and how it fared."""

    di: str
    items: tuple[tuple[str, int], ...]
    """(point, index of its item); one item of index 0 for a single identifier."""

    is_block: bool
    rest: int = 0
    """Rounds to leave it alone."""

    reason: str = ""
    """Why its points are bad while it rests."""

    silences: int = 0
    """Silent rounds since its last answer: who was silent is asked last."""

    mute: int = 0
    """Those of them in which the meter answered other questions."""


@dataclass(slots=True)
class _Round:
    """What one round has found so far, by point."""

    at: Millis
    found: dict[str, Reading] = field(default_factory=dict)
    broken: int = 0
    """Broken frames in a row."""


class Dlt645Driver:
    """Polls one meter; everything that the profile fixes is compiled once.

    A quantity that the meter refuses as unknown is `not_supported` and asked rarely; a
    refused block is asked item by item from then on. Silence ends the round, and what
    was silent is asked last in the next one, so that one mute quantity hides no other.
    """

    def __init__(
        self,
        device: Dlt645Device,
        profile: Dlt645Profile,
        points: Mapping[str, PointSpec],
        line: FieldLine,
    ) -> None:
        self._device = device.id
        self._address = codec.address_bytes(device.address)
        self._wake_up = profile.wake_up
        self._timeout_ms = millis(device.timeout)
        serial = isinstance(line, SerialLine)
        self._baudrate = device.baudrate if serial else None
        self._framing = device.framing if serial else None
        self._specs = {name: points[name] for name in profile.point_names()}
        self._maps = profile.points
        self._judges = {name: judge_of(profile.points[name], spec) for name, spec in self._specs.items()}
        self._queries = _plan(profile.points)

    def poll(self, at: Millis) -> Poll:
        """One round from `at`; see `drivers.contract.Polled`."""
        state = _Round(at)
        dead: DriverError | None = None
        for query in sorted(self._queries, key=lambda q: q.silences):
            if query.rest > 0:
                query.rest -= 1
                self._bad(state, query, query.reason, at)
            elif dead is not None:
                self._bad(state, query, dead.reason, at)
            else:
                dead = yield from self._ask(state, query)
        return [state.found[name] for name in self._specs]

    def _ask(self, state: _Round, query: _Query) -> Generator[Exchange, Reply, DriverError | None]:
        """Puts the answer, or the reason for none, into the round; the error that ends it."""
        try:
            data, at = yield from self._fetch(query.di)
        except (NoReply, LineDown) as error:
            self._bad(state, query, error.reason, state.at)
            if isinstance(error, NoReply):
                self._count_silence(query, error.reason, alive=self._anything_good(state))
            return error
        except Refused as error:
            query.silences = query.mute = 0
            if error.reason == codec.NO_SUCH_DATA:
                return (yield from self._give_up(state, query))
            self._bad(state, query, error.reason, state.at)
        except DriverError as error:
            self._bad(state, query, error.reason, state.at)
            state.broken += 1
            return error if state.broken >= BROKEN_FRAMES else None
        else:
            query.silences = query.mute = 0
            state.broken = 0
            self._take(state, query, data, at)
        return None

    def _fetch(self, di: str) -> Generator[Exchange, Reply, tuple[bytes, Millis]]:
        """All data behind one identifier, from as many frames as the meter needs."""
        request = codec.read_request(self._address, di, self._wake_up)
        reply = yield self._exchange(request, di, 0)
        data, more = codec.answer(reply.frame)
        sequence = 0
        while more:
            sequence += 1
            if sequence > _MOST_FOLLOWING:
                raise BadFrame(f"{self._device}: the answer to {di} never ends", frame=reply.frame)
            request = codec.following_request(self._address, di, sequence, self._wake_up)
            reply = yield self._exchange(request, di, sequence)
            part, more = codec.answer(reply.frame)
            data += part
        return data, reply.at

    def _exchange(self, request: bytes, di: str, sequence: int) -> Exchange:
        return Exchange(
            request,
            codec.deframer(self._address, di, sequence),
            timeout_ms=self._timeout_ms,
            gap_ms=GAP_MS,
            baudrate=self._baudrate,
            framing=self._framing,
            repeatable=not (sequence and codec.is_1997(di)),
        )

    def _give_up(self, state: _Round, query: _Query) -> Generator[Exchange, Reply, DriverError | None]:
        """A refused block becomes single questions, asked at once; a refused one rests."""
        if not query.is_block:
            query.rest, query.reason = RETRY_ROUNDS - 1, codec.NO_SUCH_DATA
            self._bad(state, query, query.reason, state.at)
            return None
        singles = [_Query(self._maps[name].di, ((name, 0),), is_block=False) for name, _ in query.items]
        where = self._queries.index(query)
        self._queries[where : where + 1] = singles
        dead: DriverError | None = None
        for single in singles:
            if dead is None:
                dead = yield from self._ask(state, single)
            else:
                self._bad(state, single, dead.reason, state.at)
        return dead

    def _take(self, state: _Round, query: _Query, data: bytes, at: Millis) -> None:
        first = self._maps[query.items[0][0]]
        items = codec.split(codec.trimmed(data, query.di), first.size)
        if items is None or not items or (not query.is_block and len(items) != 1):
            self._bad(state, query, "length", at)
            return
        for name, index in query.items:
            item = items[index] if index < len(items) else b""
            state.found[name] = self._reading(name, item, at)

    def _reading(self, name: str, item: bytes, at: Millis) -> Reading:
        """A reading from one item; an empty item is a quantity that this meter leaves out."""
        point, spec = self._maps[name], self._specs[name]
        try:
            raw = _raw(point, item[point.leading : point.leading + point.bytes]) if item else None
        except ValueError:
            return Reading(self._device, name, None, spec.unit, at, at, Quality.BAD, "not_bcd")
        value, quality, reason = self._judges[name](raw)
        return Reading(self._device, name, value, spec.unit, at, at, quality, reason)

    def _bad(self, state: _Round, query: _Query, reason: str, at: Millis) -> None:
        for name, _ in query.items:
            unit = self._specs[name].unit
            state.found[name] = Reading(self._device, name, None, unit, at, at, Quality.BAD, reason)

    def _count_silence(self, query: _Query, reason: str, *, alive: bool) -> None:
        query.silences += 1
        query.mute += alive
        if query.mute >= SILENT_ROUNDS:
            query.rest, query.reason = RETRY_ROUNDS - 1, reason

    @staticmethod
    def _anything_good(state: _Round) -> bool:
        return any(reading.quality is Quality.GOOD for reading in state.found.values())


def _plan(points: Mapping[str, Dlt645Point]) -> list[_Query]:
    """The questions of a round, in the profile's order, blocks where two points share one."""
    blocks: dict[str, list[tuple[str, int]]] = {}
    for name, point in points.items():
        if point.block is not None:
            blocks.setdefault(point.block_di, []).append((name, point.block))
    plan: list[_Query] = []
    for name, point in points.items():
        if point.block is None:
            plan.append(_Query(point.di, ((name, 0),), is_block=False))
        elif items := blocks.pop(point.block_di, None):
            plan.append(_Query(point.block_di, tuple(items), is_block=True))
    return plan


def _raw(point: Dlt645Point, item: bytes) -> Value | None:
    """An item's number, or its time as text; None where the meter has none. ValueError for no BCD."""
    return decode_time(item) if point.time else decode_bcd(item, point.decimals, point.signed)
