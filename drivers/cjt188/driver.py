"""One CJ/T 188 meter: identifiers asked in the order of bytes it understands, readings out."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

from drivers.cjt188 import body, codec
from drivers.cjt188.profile import Cjt188Point, Cjt188Profile
from drivers.cjt188.settings import Cjt188Device
from drivers.contract import Deframe, Exchange, Poll, Reply, Write
from drivers.errors import DriverError, LineDown, NoReply, NotWritable, Refused
from drivers.line.settings import FieldLine, SerialLine
from drivers.profile import judge_of
from drivers.reading import Millis, Quality, Reading, Value
from drivers.settings import millis
from drivers.vocabulary import PointSpec

REFUSALS = 3
"""An identifier refused so often in a row is asked again only every `REST_ROUNDS`."""
REST_ROUNDS = 100
BROKEN_FRAMES = 2
"""So many broken frames in a row end the round."""
FORGET_AFTER = 10
"""After so many silent rounds the meter may have been replaced by one of the other order."""


@dataclass(slots=True)
class _Query:
    """One identifier to ask for, its points, and how it fared."""

    di: str
    points: tuple[str, ...]
    refusals: int = 0
    rest: int = 0
    reason: str = ""


@dataclass(slots=True)
class _Round:
    """What one round has found so far, by point."""

    at: Millis
    found: dict[str, Reading] = field(default_factory=dict)
    broken: int = 0


class Cjt188Driver:
    """Polls one meter; everything that the profile fixes is compiled once.

    While it is not known in which order of bytes the meter understands identifiers, the
    other one is tried once when there is no answer, and then in turns, one a round, so
    that a dead meter costs its line one timeout. The order of units is learnt likewise.
    """

    def __init__(
        self,
        device: Cjt188Device,
        profile: Cjt188Profile,
        points: Mapping[str, PointSpec],
        line: FieldLine,
    ) -> None:
        self._device = device.id
        self._profile = profile
        kind = device.meter_type or profile.meter_type
        self._station = codec.Station(int(kind, 16), codec.address_bytes(device.address))
        self._timeout_ms = millis(device.timeout)
        serial = isinstance(line, SerialLine)
        self._baudrate = device.baudrate if serial else None
        self._framing = device.framing if serial else None
        self._specs = {name: points[name] for name in profile.point_names()}
        self._judges = {name: judge_of(profile.points[name], spec) for name, spec in self._specs.items()}
        self._queries = _plan(profile.points)
        self._serial = 0
        self._low_first = profile.di_order == "low_first"
        self._order_known = False
        self._tried_both = False
        self._silences = 0
        self._unit_first = profile.unit_first

    def poll(self, at: Millis) -> Poll:
        """One round from `at`; see `drivers.contract.Polled`."""
        state = _Round(at)
        dead: DriverError | None = None
        for query in self._queries:
            if query.rest > 0:
                query.rest -= 1
                self._bad(state, query, query.reason, at)
            elif dead is not None:
                self._bad(state, query, dead.reason, at)
            else:
                dead = yield from self._ask(state, query)
        return [state.found[name] for name in self._specs]

    def write(self, point: str, value: Value) -> Write:
        """Opens or closes the valve; see `drivers.contract.Writable`. Where it is, later rounds tell."""
        mapping = self._profile.points.get(point)
        if mapping is None or mapping.write is None:
            raise NotWritable(f"{self._device}: {point} cannot be written")
        if not isinstance(value, bool):
            raise NotWritable(f"{self._device}: {point} takes true or false", reason="wrong_type")
        return self._move(value)

    def _move(self, opened: bool) -> Write:
        self._serial = (self._serial + 1) & 0xFF
        request = codec.valve_request(
            self._station, opened, self._serial, low_first=self._low_first, wake_up=self._profile.wake_up
        )
        exchange = self._exchange(request, codec.deframer(self._station, codec.VALVE, codec.WRITE))
        reply = yield exchange._replace(repeatable=False)
        codec.valve_answer(reply.frame)
        return None

    def _exchange(self, request: bytes, deframe: Deframe) -> Exchange:
        return Exchange(
            request,
            deframe,
            timeout_ms=self._timeout_ms,
            gap_ms=self._profile.gap_ms,
            baudrate=self._baudrate,
            framing=self._framing,
        )

    def _ask(self, state: _Round, query: _Query) -> Generator[Exchange, Reply, DriverError | None]:
        """Puts the answer, or the reason for none, into the round; the error that ends it."""
        try:
            data, at = yield from self._fetch(query.di)
        except (NoReply, LineDown) as error:
            self._bad(state, query, error.reason, state.at)
            self._silences += isinstance(error, NoReply)
            if self._silences >= FORGET_AFTER:
                self._order_known = False
            return error
        except Refused as error:
            query.refusals += 1
            if query.refusals >= REFUSALS and query.di != codec.MEASURED:
                query.rest, query.reason = REST_ROUNDS - 1, error.reason
            self._bad(state, query, error.reason, state.at)
        except DriverError as error:
            self._bad(state, query, error.reason, state.at)
            state.broken += 1
            return error if state.broken >= BROKEN_FRAMES else None
        else:
            query.refusals = self._silences = state.broken = 0
            self._take(state, query, data, at)
        return None

    def _fetch(self, di: str) -> Generator[Exchange, Reply, tuple[bytes, Millis]]:
        """The body behind one identifier, in whatever order of bytes the meter answers."""
        try:
            return (yield from self._once(di))
        except (NoReply, Refused):
            if self._order_known:
                raise
            self._low_first = not self._low_first
            if self._tried_both:
                raise
            self._tried_both = True
        try:
            return (yield from self._once(di))
        except (NoReply, Refused):
            self._low_first = not self._low_first
            raise

    def _once(self, di: str) -> Generator[Exchange, Reply, tuple[bytes, Millis]]:
        self._serial = (self._serial + 1) & 0xFF
        request = codec.read_request(
            self._station, di, self._serial, low_first=self._low_first, wake_up=self._profile.wake_up
        )
        reply = yield self._exchange(request, codec.deframer(self._station, di))
        data = codec.answer(reply.frame)
        self._order_known = True
        return data, reply.at

    def _take(self, state: _Round, query: _Query, data: bytes, at: Millis) -> None:
        layout = self._profile.layout(query.di)
        if len(data) != body.SIZES[layout]:
            self._bad(state, query, "length", at)
            return
        first = self._order_of_units(layout, data)
        for name in query.points:
            spec = self._specs[name]
            try:
                raw = _field(self._profile.points[name], layout, data, first)
            except body.Unreadable as error:
                reading = Reading(self._device, name, None, spec.unit, at, at, Quality.BAD, error.reason)
            else:
                value, quality, reason = self._judges[name](raw)
                reading = Reading(self._device, name, value, spec.unit, at, at, quality, reason)
            state.found[name] = reading

    def _order_of_units(self, layout: body.Layout, data: bytes) -> bool | None:
        """Whether units stand first; once a reply has told, it is so for good. None: unknown."""
        if self._unit_first is None:
            if layout != "heat":
                return False
            self._unit_first = body.unit_first(layout, data)
        return self._unit_first

    def _bad(self, state: _Round, query: _Query, reason: str, at: Millis) -> None:
        for name in query.points:
            unit = self._specs[name].unit
            state.found[name] = Reading(self._device, name, None, unit, at, at, Quality.BAD, reason)


def _plan(points: Mapping[str, Cjt188Point]) -> list[_Query]:
    """One question for each identifier, what is measured now first."""
    wanted: dict[str, list[str]] = {}
    for name, point in points.items():
        wanted.setdefault(point.di, []).append(name)
    return [_Query(di, tuple(wanted[di])) for di in sorted(wanted)]


def _field(point: Cjt188Point, layout: body.Layout, data: bytes, first: bool | None) -> Value | None:
    """One field's raw value; Unreadable says why there is none."""
    place = body.LAYOUTS[layout][point.field]
    item = data[place.at : place.at + place.size]
    if point.field == "clock":
        return body.clock(item)
    if point.field == "status":
        word = body.status(item)
        return _switch(point, word) if point.bits and word is not None else word
    if place.quantity is not None and first is None:
        raise body.Unreadable("unit", "no order of units makes sense of the reply")
    decimals = place.decimals if point.decimals is None else point.decimals
    return body.number(place, data, decimals, bool(first))


def _switch(point: Cjt188Point, word: int) -> bool:
    code = body.bits_of(word, point.bits)
    if code in point.true_for or code in point.false_for:
        return code in point.true_for
    raise body.Unreadable("unknown_state", f"status {word:04X} has no meaning here")
