"""NMEA 0183 profiles: which field of which sentence holds a point."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from drivers.nmea.units import UNITS, Quantity
from drivers.profile import PointMap, Profile
from drivers.settings import Settings
from drivers.vocabulary import PointName

_BY_NAME = ("XDR", "R1", "R2", "R3", "R5")


class NmeaPoint(PointMap):
    """One point: field `field` (from 1) of a sentence, or the transducer `id` of an XDR
    sentence or a Vaisala composite message (R1 wind, R2 air, R3 rain, R5 supervisor).

    `quantity` converts by the unit letter in the sentence, which is the field behind the
    value; `unit` stands in where the device leaves it out. XDR transducers are known by
    `transducer` (A C H P S U V Z R ...) and `id` together. `reference` picks one of the
    MWV sentences that alternate. `relative` marks an angle from the instrument's own
    zero: the device's `north` is added.
    """

    sentence: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")]
    field: Annotated[int, Field(ge=1, le=80)] | None = None
    transducer: Annotated[str, Field(pattern=r"^[A-Z]$")] | None = None
    id: Annotated[str, Field(max_length=24)] | None = None
    quantity: Quantity | None = None
    unit: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    reference: Literal["R", "T"] | None = None
    relative: bool = False

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.field is None) == (self.id is None):
            raise ValueError("name either field or id")
        if (self.id is not None) != (self.sentence in _BY_NAME):
            raise ValueError(f"id is for {', '.join(_BY_NAME)}, field for all other sentences")
        if (self.transducer is not None) != (self.sentence == "XDR"):
            raise ValueError("an XDR point needs transducer, others have none")
        if self.reference is not None and self.sentence != "MWV":
            raise ValueError("reference is for MWV")
        if self.relative and self.quantity != "angle":
            raise ValueError("relative is for quantity: angle")
        if self.unit is not None and (self.quantity is None or self.unit not in UNITS[self.quantity]):
            raise ValueError("unit must be a unit letter of the quantity")
        return self


class CapturedSentence(Settings):
    """A line as a test of the profile."""

    line: str
    expect: dict[PointName, float | bool | str | None]
    source: str = ""


class NmeaProfile(Profile):
    """A weather station that speaks by itself. `unverified` takes sentences without a checksum."""

    family: Literal["nmea"]
    unverified: bool = False
    points: Annotated[dict[PointName, NmeaPoint], Field(min_length=1)]
    exchanges: tuple[CapturedSentence, ...] = ()

    @property
    def speaks_first(self) -> bool:
        """Always."""
        return True

    def point_names(self) -> tuple[str, ...]:
        """The points in the profile's order."""
        return tuple(self.points)
