"""The standard names of points and device kinds; data from configs/vocabulary.yaml."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from drivers.settings import Settings

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

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.min is not None and self.max is not None and self.min >= self.max:
            raise ValueError("min must be below max")
        return self


class KindSpec(Settings):
    """One device kind, or one kind of space."""

    zh: str
    en: str


class Vocabulary(Settings):
    """All the words: a profile may only emit points found here."""

    device_kinds: dict[PointName, KindSpec]
    space_kinds: dict[PointName, KindSpec]
    points: dict[PointName, PointSpec]
