"""The standard names of points and device kinds; data from configs/vocabulary.yaml."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from drivers.settings import Duration, Settings

PointName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
PointType = Literal["number", "switch", "text"]


class PointSpec(Settings):
    """One standard point: unit (UCUM; `bool` and `text` for the other types), plausible range, labels."""

    unit: str
    type: PointType = "number"
    min: float | None = None
    max: float | None = None
    decimals: Annotated[int, Field(ge=0, le=6)] = 1
    zh: str
    en: str
    counter: bool = Field(default=False, description="only ever grows: energy, volume, passes")
    resets: bool = Field(
        default=False, description="a counter that its device sets to 0 by itself (rain of the day)"
    )

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.min is not None and self.max is not None and self.min >= self.max:
            raise ValueError("min must be below max")
        return self


class Plausibility(Settings):
    """How a point's value may change; both figures are for honest sensors in a school.

    A change faster than `max_rate` (the point's unit, per minute) is a bad reading unless the
    next one confirms it. A value that has not changed at all for `stuck_after` is stale.
    """

    max_rate: Annotated[float, Field(gt=0)] | None = None
    stuck_after: Duration | None = None
    source: Annotated[str, Field(min_length=8, description="where the figures come from")]
    verified: bool = Field(default=False, description="checked against measurements of a real school")


class KindSpec(Settings):
    """One device kind, or one kind of space."""

    zh: str
    en: str


class Vocabulary(Settings):
    """All the words: a profile may only emit points found here."""

    device_kinds: dict[PointName, KindSpec]
    space_kinds: dict[PointName, KindSpec]
    points: dict[PointName, PointSpec]
    plausibility: dict[PointName, Plausibility] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _plausible_points_exist(self) -> Self:
        unknown = set(self.plausibility) - set(self.points)
        if unknown:
            raise ValueError(f"plausibility of unknown points: {', '.join(sorted(unknown))}")
        return self
