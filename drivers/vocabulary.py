"""The standard names of points and device kinds; data from configs/vocabulary.yaml."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from drivers.settings import Duration, Settings

PointName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
PointType = Literal["number", "switch", "text"]
CommandName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}\.[a-z][a-z0-9_]{0,47}$")]
Argument = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


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


class CommandSpec(Settings):
    """One word for a command of a rule: it writes `point` of devices of the `kinds`.

    What it writes is the fixed `value`, or what the action's argument `arg` says, or the
    present value moved by the argument `shift` (both in the point's unit).
    """

    zh: str
    en: str
    kinds: Annotated[tuple[PointName, ...], Field(min_length=1)]
    point: PointName
    value: bool | float | str | None = None
    arg: Argument | None = None
    shift: Argument | None = None
    by_hand: bool = Field(
        default=False, description="gas, fire, doors: only a person lets it out, never mode auto"
    )
    signal: bool = Field(
        default=False, description="it only calls people, so mode auto needs no verify by effect"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(part is not None for part in (self.value, self.arg, self.shift)) != 1:
            raise ValueError("expected exactly one of: value, arg, shift")
        return self

    @property
    def argument(self) -> str | None:
        """The one argument that an action with this command gives; None for none."""
        return self.arg or self.shift


class Vocabulary(Settings):
    """All the words: a profile may only emit points found here."""

    device_kinds: dict[PointName, KindSpec]
    space_kinds: dict[PointName, KindSpec]
    points: dict[PointName, PointSpec]
    plausibility: dict[PointName, Plausibility] = Field(default_factory=dict)
    commands: dict[CommandName, CommandSpec] = Field(
        default_factory=dict, description="what rules may tell devices"
    )

    @model_validator(mode="after")
    def _plausible_points_exist(self) -> Self:
        unknown = set(self.plausibility) - set(self.points)
        if unknown:
            raise ValueError(f"plausibility of unknown points: {', '.join(sorted(unknown))}")
        return self

    @model_validator(mode="after")
    def _commands_fit(self) -> Self:
        for name, command in self.commands.items():
            if command.point not in self.points or set(command.kinds) - set(self.device_kinds):
                raise ValueError(f"the command {name} names an unknown point or kind of device")
            wanted = {"switch": bool, "text": str}.get(self.points[command.point].type, float)
            if command.value is not None and type(command.value) is not wanted:
                raise ValueError(f"the command {name} writes a value that is none of {command.point}")
        return self
