"""Reads one Modbus device, RTU, ASCII or TCP: planned blocks, compiled decoders, readings out."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import partial

from drivers.contract import Exchange, Poll, Reply, Write
from drivers.errors import DriverError, NoReply, NotTaken, NotWritable, Refused
from drivers.line.settings import FieldLine, Framing
from drivers.modbus.blocks import Block, halves
from drivers.modbus.codec import (
    Ask,
    ascii_request,
    ask_for,
    exception_code,
    find_ascii,
    find_rtu,
    find_tcp,
    read_request,
    with_transaction,
)
from drivers.modbus.columns import Part, compiled
from drivers.modbus.profile import ModbusPoint, ModbusProfile
from drivers.modbus.settings import ModbusAsciiDevice, ModbusDevice, ModbusTcpDevice
from drivers.modbus.writing import Order, order
from drivers.reading import Millis, Quality, Reading, Value
from drivers.settings import millis
from drivers.vocabulary import PointSpec

ILLEGAL_ADDRESS = 2
TOO_MUCH = frozenset({ILLEGAL_ADDRESS, 3})
"""Exceptions that a block may earn though its points are fine: address (a gap in it) and count."""

NOT_SUPPORTED = "not_supported"
RETRY_ROUNDS = 100
"""A point that the device refuses as unknown is asked again only this often."""

READ_BACKS = 2
"""So often is a written point read until it shows the new value."""


@dataclass(slots=True, eq=False)
class _Read:
    """One block, compiled: what to send, how to know the reply, how to read it.

    `rest` counts the rounds to leave it alone after the device said that it has no such address.
    """

    block: Block
    request: bytes
    ask: Ask
    part: Part
    rest: int = 0


class ModbusDriver:
    """A device behind a unit id; `poll` reads all its blocks.

    A block that the device refuses for its address or length is halved, at once and for the
    rest of this run, until what remains is refused alone: that is `not_supported`, and rests.
    """

    def __init__(
        self,
        device: ModbusDevice,
        profile: ModbusProfile,
        points: Mapping[str, PointSpec],
        line: FieldLine,
    ) -> None:
        self._id = device.id
        self._tcp = isinstance(device, ModbusTcpDevice)
        self._ascii = isinstance(device, ModbusAsciiDevice)
        self._timeout_ms = millis(device.timeout or line.timeout)
        self._gap_ms = millis(line.gap)
        self._baudrate: int | None = None
        self._framing: Framing | None = None
        if not isinstance(device, ModbusTcpDevice):
            self._baudrate, self._framing = device.baudrate, device.framing
        self._transaction = 0
        self._unit = device.address
        self._maps = profile.points
        self._specs = points
        self._compiled = compiled(profile, points)
        self._reads = [self._compile(block) for block in self._compiled.blocks]

    def _compile(self, block: Block) -> _Read:
        if self._ascii:
            request = ascii_request(block, self._unit)
        else:
            request = read_request(block, self._unit, tcp=self._tcp)
        return _Read(block, request, ask_for(block, self._unit), self._compiled.part(block))

    def poll(self, at: Millis) -> Poll:
        """All blocks in turn; a silent device costs one exchange, a refused block only itself."""
        readings: list[Reading] = []
        failed: DriverError | None = None
        for read in tuple(self._reads):
            if read.rest > 0:
                read.rest -= 1
                readings.extend(self._bad(read, NOT_SUPPORTED, at))
            elif failed is not None:
                readings.extend(self._bad(read, failed.reason, at))
            else:
                failed = yield from self._ask(read, readings, at)
        return readings

    def _ask(
        self, read: _Read, readings: list[Reading], at: Millis
    ) -> Generator[Exchange, Reply, DriverError | None]:
        """Adds what the block answers to the readings; the error that ends the round."""
        try:
            reply = yield self._exchange(read)
        except DriverError as error:
            readings.extend(self._bad(read, error.reason, at))
            return None if isinstance(error, Refused) else error
        code = exception_code(read.ask, reply.frame)
        if code is None:
            readings.extend(read.part.read(self._id, reply.frame, reply.at))
            return None
        parts = [self._compile(half) for half in halves(read.block, self._maps)] if code in TOO_MUCH else []
        if not parts:
            if code == ILLEGAL_ADDRESS:
                read.rest = RETRY_ROUNDS - 1
            reason = NOT_SUPPORTED if code == ILLEGAL_ADDRESS else f"exception:{code}"
            readings.extend(self._bad(read, reason, reply.at))
            return None
        where = self._reads.index(read)
        self._reads[where : where + 1] = parts
        failed: DriverError | None = None
        for part in parts:
            if failed is None:
                failed = yield from self._ask(part, readings, at)
            else:
                readings.extend(self._bad(part, failed.reason, at))
        return failed

    def write(self, point: str, value: Value) -> Write:
        """One value by function 05, 06, 0F or 10; see `drivers.contract.Writable`."""
        mapping = self._maps.get(point)
        if mapping is None:
            raise NotWritable(f"{self._id} has no point {point}")
        self._transaction = (self._transaction + 1) & 0xFFFF
        wire = "tcp" if self._tcp else "ascii" if self._ascii else "rtu"
        wanted = order(point, mapping, value, self._specs[point], self._unit, wire, self._transaction)
        return self._write(point, mapping, wanted)

    def _write(self, point: str, mapping: ModbusPoint, wanted: Order) -> Write:
        reply = yield Exchange(
            wanted.request, wanted.deframe, self._timeout_ms, self._gap_ms, self._baudrate, self._framing
        )
        code = wanted.refusals.get(reply.frame)
        if code is not None:
            raise Refused(f"{self._id}: the device refuses to write {point}: exception {code}", code=code)
        if mapping.write is None or not mapping.write.readback:
            return None
        try:
            return (yield from self._read_back(point, mapping, wanted, millis(mapping.write.settle)))
        except (NotTaken, NoReply):
            raise
        except DriverError as error:
            raise NoReply(f"{self._id}: {point} is written but not read back: {error}") from error

    def _read_back(self, point: str, mapping: ModbusPoint, wanted: Order, settle_ms: Millis) -> Write:
        read = self._compile(Block(mapping.table, mapping.address, mapping.size, (point,)))
        found: Value | None = None
        for _ in range(READ_BACKS):
            exchange = self._exchange(read)
            reply = yield exchange._replace(gap_ms=max(exchange.gap_ms, settle_ms))
            code = exception_code(read.ask, reply.frame)
            if code is not None:
                raise Refused(f"exception {code}", code=code)
            (reading,) = read.part.read(self._id, reply.frame, reply.at)
            found = reading.value
            if _same(found, wanted.value):
                return found
        raise NotTaken(f"{self._id}: {point} reads {found} after {wanted.value} was written", found=found)

    def _exchange(self, read: _Read) -> Exchange:
        if self._tcp:
            transaction = self._transaction = (self._transaction + 1) & 0xFFFF
            request = with_transaction(read.request, transaction)
            return Exchange(request, partial(find_tcp, read.ask, transaction), self._timeout_ms, self._gap_ms)
        deframe = partial(find_ascii if self._ascii else find_rtu, read.ask, read.request)
        return Exchange(
            read.request,
            deframe,
            self._timeout_ms,
            self._gap_ms,
            self._baudrate,
            self._framing,
            ambiguous=True,
        )

    def _bad(self, read: _Read, reason: str, at: Millis) -> list[Reading]:
        return [
            Reading(self._id, name, None, unit, at, at, Quality.BAD, reason)
            for name, unit in read.part.points
        ]


def _same(found: Value | None, wanted: Value) -> bool:
    """Whether a read-back is what was written, but for the rounding of a float32."""
    if isinstance(found, float) and isinstance(wanted, float):
        return math.isclose(found, wanted, rel_tol=1e-6, abs_tol=1e-9)
    return found == wanted
