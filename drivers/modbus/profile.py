"""Modbus profiles: which registers or bits hold a point, and how."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from drivers.profile import CapturedExchange, PointMap, Profile
from drivers.settings import Settings
from drivers.vocabulary import PointName

Table = Literal["coil", "discrete", "holding", "input"]
RegisterType = Literal["u16", "s16", "u32", "s32", "u64", "f32", "bit"]
WordOrder = Literal["ABCD", "CDAB", "BADC", "DCBA"]

REGISTERS: dict[RegisterType, int] = {"u16": 1, "s16": 1, "bit": 1, "u32": 2, "s32": 2, "f32": 2, "u64": 4}
"""16-bit registers that a value takes in the holding and input tables."""


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

    @property
    def is_bit_table(self) -> bool:
        """True for coils and discrete inputs."""
        return self.table in ("coil", "discrete")

    @property
    def size(self) -> int:
        """Registers (or bits of a bit table) that the value takes."""
        return 1 if self.is_bit_table else REGISTERS[self.type]


class ModbusLimits(Settings):
    """What one read may ask of this device."""

    max_registers: Annotated[int, Field(ge=1, le=125)] = 60
    max_bits: Annotated[int, Field(ge=1, le=2000)] = 256
    max_gap: Annotated[int, Field(ge=0, le=64, description="unused registers a read may cross")] = 0


class ModbusProfile(Profile):
    """A Modbus device model."""

    family: Literal["modbus"]
    limits: ModbusLimits = ModbusLimits()
    points: Annotated[dict[PointName, ModbusPoint], Field(min_length=1)]
    exchanges: tuple[CapturedExchange, ...] = ()

    def point_names(self) -> tuple[str, ...]:
        """The points in the profile's order."""
        return tuple(self.points)
