"""DL/T 645-2007 profiles: which data identifier holds a point, and in which BCD format."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from drivers.profile import CapturedExchange, PointMap, Profile
from drivers.vocabulary import PointName


class Dlt645Point(PointMap):
    """One point: `bytes` of packed BCD, low pair first, with `decimals` behind the point.

    `di` is the point's own identifier as printed (DI3 first). Where `block` is given
    the point is also item `block` (from 0) of the data block that DI1 = FF names
    (02010100 is item 0 of 0201FF00), and is read with its neighbours in one exchange.
    `signed`: the top bit of the top byte is the sign. `trailing` bytes follow the value
    in each item (the time of a maximum demand) and are left alone.
    """

    di: Annotated[str, Field(pattern=r"^[0-9A-F]{8}$")]
    bytes: Annotated[int, Field(ge=1, le=8)] = 4
    decimals: Annotated[int, Field(ge=0, le=6)] = 2
    signed: bool = False
    trailing: Annotated[int, Field(ge=0, le=8)] = 0
    block: Annotated[int, Field(ge=0, le=63)] | None = None

    @property
    def block_di(self) -> str:
        """The identifier of the block that holds the point."""
        return f"{self.di[:4]}FF{self.di[6:]}"


class Dlt645Profile(Profile):
    """A kind of meter; `wake_up` is how many FE bytes go before each request."""

    family: Literal["dlt645"]
    wake_up: Annotated[int, Field(ge=0, le=16)] = 4
    points: Annotated[dict[PointName, Dlt645Point], Field(min_length=1)]
    exchanges: tuple[CapturedExchange, ...] = ()

    @model_validator(mode="after")
    def _blocks_agree(self) -> Self:
        formats: dict[str, tuple[int, int]] = {}
        for name, point in self.points.items():
            if point.block is None:
                continue
            size = (point.bytes, point.trailing)
            if formats.setdefault(point.block_di, size) != size:
                raise ValueError(f"{name}: all items of block {point.block_di} must have the same size")
        return self

    def point_names(self) -> tuple[str, ...]:
        """The points in the profile's order."""
        return tuple(self.points)
