"""DL/T 645 profiles, 2007 and 1997: which data identifier holds a point, and in which BCD format."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from drivers.dlt645.settings import Variant
from drivers.profile import CapturedExchange, PointMap, Profile
from drivers.vocabulary import PointName


class Dlt645Point(PointMap):
    """One point: `bytes` of packed BCD, low pair first, with `decimals` behind the point.

    `di` is the point's own identifier as printed, high byte first: eight digits in the
    2007 edition, four in that of 1997. Where `block` is given the point is also item
    `block` (from 0) of its data block and is read with its neighbours in one exchange:
    02010100 is item 0 of 0201FF00, where DI1 = FF names the block; of 1997, B611 is item
    0 of B61F.
    `signed`: the top bit of the top byte is the sign. `trailing` bytes follow the value
    in each item (the time of a maximum demand, the rest of an event record) and are left
    alone, as are the `leading` ones before it. `time`: the bytes are a date and time, as
    in event records (03110001: the last power failure began, and ended), or the time of day
    alone (04000102: the meter's clock).
    """

    di: Annotated[str, Field(pattern=r"^([0-9A-F]{8}|[0-9A-F]{4})$")]
    bytes: Annotated[int, Field(ge=1, le=8)] = 4
    decimals: Annotated[int, Field(ge=0, le=6)] = 2
    signed: bool = False
    trailing: Annotated[int, Field(ge=0, le=180)] = 0
    leading: Annotated[int, Field(ge=0, le=180)] = 0
    time: bool = False
    block: Annotated[int, Field(ge=0, le=63)] | None = None

    @model_validator(mode="after")
    def _time_has_a_size(self) -> Self:
        if self.time and (self.bytes not in (3, 5, 6, 7) or self.decimals or self.signed):
            raise ValueError("a time has 3, 5, 6 or 7 bytes, decimals: 0 and no sign")
        return self

    @property
    def size(self) -> int:
        """Bytes of a whole item."""
        return self.leading + self.bytes + self.trailing

    def rollover(self) -> float | None:
        """The profile's word, else where the digits end."""
        if self.rolls_at is not None or self.signed or self.time:
            return self.rolls_at
        return 10.0 ** (2 * self.bytes - self.decimals) * self.scale + self.offset

    @property
    def block_di(self) -> str:
        """The identifier of the block that holds the point."""
        return f"{self.di[:3]}F" if len(self.di) == 4 else f"{self.di[:4]}FF{self.di[6:]}"


class Dlt645Profile(Profile):
    """A kind of meter; `wake_up` is how many FE bytes go before each request."""

    family: Literal["dlt645"]
    wake_up: Annotated[int, Field(ge=0, le=16)] = 4
    points: Annotated[dict[PointName, Dlt645Point], Field(min_length=1)]
    exchanges: tuple[CapturedExchange, ...] = ()

    @property
    def variant(self) -> Variant:
        """The edition of the standard that the identifiers belong to."""
        return "1997" if len(next(iter(self.points.values())).di) == 4 else "2007"

    @model_validator(mode="after")
    def _one_edition(self) -> Self:
        if len({len(point.di) for point in self.points.values()}) > 1:
            raise ValueError("identifiers of DL/T 645-2007 (8 digits) and -1997 (4) do not mix in one meter")
        return self

    @model_validator(mode="after")
    def _blocks_agree(self) -> Self:
        formats: dict[str, tuple[int, int, int]] = {}
        for name, point in self.points.items():
            if point.block is None:
                continue
            size = (point.leading, point.bytes, point.trailing)
            if formats.setdefault(point.block_di, size) != size:
                raise ValueError(f"{name}: all items of block {point.block_di} must have the same size")
        return self

    def point_names(self) -> tuple[str, ...]:
        """The points in the profile's order."""
        return tuple(self.points)
