"""CJ/T 188 profiles: which field of which reply holds a point."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from drivers.cjt188.body import LAYOUTS, FieldName, Layout
from drivers.cjt188.codec import MEASURED
from drivers.cjt188.settings import MeterType
from drivers.profile import CapturedExchange, PointMap, Profile, WriteLimits
from drivers.vocabulary import PointName

DiOrder = Literal["high_first", "low_first"]
"""How the identifier 901F goes on the wire: `high_first` as 90 1F, `low_first` as 1F 90."""

Bit = Annotated[int, Field(ge=0, le=15)]
Code = Annotated[int, Field(ge=0, le=65535)]


class Cjt188Point(PointMap):
    """One point: a field of the reply to `di` (901F as measured now, D120 a month ago ...).

    Quantities come in their unit's m3, kWh, kW or m3/h. `decimals` where the maker counts
    other than the standard. `bits` takes bits 0..15 out of the status word, the first named
    as the lowest, and turns them into a switch: true for the codes of `true_for`, false for
    those of `false_for`, a bad reading for any other. `write` lets the valve's switch be
    told to open and close (A017); the valve moves after the reply, so that only a later
    round shows where it is: `readback: false`.
    """

    di: Annotated[str, Field(pattern=r"^(901F|D12[0-9A-B])$")] = MEASURED
    field: FieldName
    decimals: Annotated[int, Field(ge=0, le=6)] | None = None
    bits: Annotated[tuple[Bit, ...], Field(max_length=16)] = ()
    true_for: tuple[Code, ...] = (1,)
    false_for: tuple[Code, ...] = (0,)
    write: WriteLimits | None = None

    def rollover(self) -> float | None:
        """The profile's word, else where the digits of a volume end, in m3 as nearly all meters
        count; energy comes in a dozen units, so that nobody knows."""
        if self.rolls_at is not None or self.field not in ("volume", "settled_volume"):
            return self.rolls_at
        return 10.0 ** (8 - (2 if self.decimals is None else self.decimals)) * self.scale + self.offset

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.bits and self.field != "status":
            raise ValueError("bits are taken out of the field status only")
        if self.write is not None and (self.field != "status" or not self.bits or self.write.readback):
            raise ValueError("only a valve is written: bits of the field status, with readback: false")
        if set(self.true_for) & set(self.false_for):
            raise ValueError("a code cannot be in true_for and in false_for")
        return self


class Cjt188Profile(Profile):
    """A kind of meter. `unit_first`: its units stand before their numbers; left out, a heat
    meter's replies are looked at and others follow the standard."""

    family: Literal["cjt188"]
    meter_type: MeterType
    di_order: DiOrder = "high_first"
    unit_first: bool | None = None
    wake_up: Annotated[int, Field(ge=0, le=16)] = 4
    gap_ms: Annotated[int, Field(ge=0, le=1000, description="quiet kept before a request")] = 50
    points: Annotated[dict[PointName, Cjt188Point], Field(min_length=1)]
    exchanges: tuple[CapturedExchange, ...] = ()

    def layout(self, di: str) -> Layout:
        """The layout of the reply to an identifier."""
        if di != MEASURED:
            return "settlement"
        return "heat" if self.meter_type.startswith("2") else "flow"

    @model_validator(mode="after")
    def _fields_exist(self) -> Self:
        for name, point in self.points.items():
            layout = self.layout(point.di)
            if point.field not in LAYOUTS[layout]:
                raise ValueError(f"{name}: the reply to {point.di} of a type {self.meter_type} meter has no"
                                 f" field {point.field}: {', '.join(LAYOUTS[layout])}")  # fmt: skip
        return self

    def write_limits(self, point: str) -> WriteLimits | None:
        """What bounds writes of a point."""
        return self.points[point].write

    def point_names(self) -> tuple[str, ...]:
        """The points in the profile's order."""
        return tuple(self.points)
