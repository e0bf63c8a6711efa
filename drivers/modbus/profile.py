"""Modbus profiles: which registers or bits hold a point, and how."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from drivers.profile import CapturedExchange, PointMap, Profile, WriteLimits
from drivers.settings import Settings
from drivers.vocabulary import PointName

Table = Literal["coil", "discrete", "holding", "input"]
RegisterType = Literal["u16", "s16", "u32", "s32", "u64", "f32", "bit"]
WordOrder = Literal["ABCD", "CDAB", "BADC", "DCBA"]

REGISTERS: dict[RegisterType, int] = {"u16": 1, "s16": 1, "bit": 1, "u32": 2, "s32": 2, "f32": 2, "u64": 4}
"""16-bit registers that a value takes in the holding and input tables."""


class ModbusWrite(WriteLimits):
    """How a point is written: the function code, and for switches in registers the raw words."""

    function: Literal[5, 6, 15, 16]
    on: Annotated[int, Field(ge=0, le=65535)] | None = None
    off: Annotated[int, Field(ge=0, le=65535)] | None = None


NO_VALUES: dict[RegisterType, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "u16": ((0xFFFF,), (0x7FFF, 0x8000)),
    "s16": ((0x7FFF, -0x8000), ()),
    "u32": ((0xFFFF_FFFF,), (0x7FFF_FFFF, 0x8000_0000)),
    "s32": ((0x7FFF_FFFF, -0x8000_0000), ()),
    "u64": ((0xFFFF_FFFF_FFFF_FFFF,), (0x7FFF_FFFF_FFFF_FFFF, 0x8000_0000_0000_0000)),
}
"""What makers write for "not fitted" or "broken probe" (7FFF, 8000, FFFF): in every number, and
those that a counter of that width passes on its way and must not stumble over. FFFF in an s16
is an honest -1: a profile whose device means it otherwise lists it. f32 has NaN."""


class ModbusPoint(PointMap):
    """One point: a value in registers, one bit of a register, or a coil / discrete input.

    `address` counts from 0, as sent on the wire. `order` names the bytes of a 32-bit
    value as they come (ABCD is big endian, CDAB has the words swapped).
    """

    table: Table = "holding"
    address: Annotated[int, Field(ge=0, le=65535)]
    type: RegisterType = "u16"
    order: WordOrder = "ABCD"
    bit: Annotated[int, Field(ge=0, le=15)] | None = None
    write: ModbusWrite | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.table in ("coil", "discrete"):
            if self.type not in ("u16", "bit") or self.bit is not None:
                raise ValueError(f"a {self.table} is one bit: leave out type and bit")
        elif (self.type == "bit") != (self.bit is not None):
            raise ValueError("type bit needs bit: 0..15, and only it")
        if self.address + self.size > 65536:
            raise ValueError("the value reaches beyond address 65535")
        return self

    @model_validator(mode="after")
    def _writable(self) -> Self:
        if self.write is None:
            return self
        if self.table != ("coil" if self.write.function in (5, 15) else "holding"):
            raise ValueError(f"function {self.write.function} does not write a {self.table}")
        if self.write.function == 6 and self.size != 1:
            raise ValueError("function 6 writes one register: a larger value needs function 16")
        words = (self.write.on, self.write.off)
        if (words[0] is None) != (words[1] is None) or (words[0] is not None and words[0] == words[1]):
            raise ValueError("write needs on and off, two different words, or neither")
        if words[0] is not None and (self.is_bit_table or self.size != 1):
            raise ValueError("on and off are words of one register")
        if self.type == "bit" and words[0] is None:
            raise ValueError("one bit of a register cannot be written alone: give the words for on and off")
        return self

    @property
    def is_bit_table(self) -> bool:
        """True for coils and discrete inputs."""
        return self.table in ("coil", "discrete")

    @property
    def size(self) -> int:
        """Registers (or bits of a bit table) that the value takes."""
        return 1 if self.is_bit_table else REGISTERS[self.type]

    def no_values(self, counter: bool) -> frozenset[float]:
        """The profile's sentinels and those of the type; bits have none."""
        always, unless_counting = ((), ()) if self.is_bit_table else NO_VALUES.get(self.type, ((), ()))
        return frozenset((*self.sentinels, *always, *(() if counter else unless_counting)))

    def rollover(self) -> float | None:
        """The profile's word, else the width of an unsigned integer."""
        if self.rolls_at is not None or self.is_bit_table or not self.type.startswith("u"):
            return self.rolls_at
        return float(round(2.0 ** (16 * self.size) * self.scale + self.offset, 6))


Range = tuple[Annotated[int, Field(ge=0, le=65535)], Annotated[int, Field(ge=0, le=65535)]]
"""First and last address of a stretch, both inside it."""


class ModbusLimits(Settings):
    """What one read may ask of this device; no read touches an address in `forbidden`."""

    max_registers: Annotated[int, Field(ge=1, le=125)] = 60
    max_bits: Annotated[int, Field(ge=1, le=2000)] = 256
    max_gap: Annotated[int, Field(ge=0, le=64, description="unused registers a read may cross")] = 0
    forbidden: dict[Table, tuple[Range, ...]] = Field(
        default_factory=dict, description="addresses that the device refuses, as [[from, to], ...] per table"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for table, ranges in self.forbidden.items():
            for first, last in ranges:
                if first > last:
                    raise ValueError(f"forbidden {table} [{first}, {last}]: the first address comes first")
        return self

    def forbids(self, table: Table, start: int, end: int) -> bool:
        """True when a forbidden address lies in [start, end)."""
        return any(start <= last and first < end for first, last in self.forbidden.get(table, ()))


class ModbusProfile(Profile):
    """A Modbus device model."""

    family: Literal["modbus"]
    limits: ModbusLimits = ModbusLimits()
    points: Annotated[dict[PointName, ModbusPoint], Field(min_length=1)]
    exchanges: tuple[CapturedExchange, ...] = ()

    @model_validator(mode="after")
    def _nothing_forbidden(self) -> Self:
        for name, point in self.points.items():
            if self.limits.forbids(point.table, point.address, point.address + point.size):
                raise ValueError(f"{name}: its address is forbidden in limits")
        return self

    def point_names(self) -> tuple[str, ...]:
        """The points in the profile's order."""
        return tuple(self.points)

    def write_limits(self, point: str) -> WriteLimits | None:
        """See `Profile`."""
        return self.points[point].write
