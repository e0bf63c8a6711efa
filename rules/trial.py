"""The tests that a rule carries, as written: given readings over time, expected outcomes."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from drivers.settings import Duration, Settings
from drivers.vocabulary import CommandName
from rules.series import Given, past_of, samples
from rules.timetable import Clock, DayType
from rules.tree import Role

LONGEST = timedelta(days=14)


class ExpectedCommand(Settings):
    """One command that must be given, at `by` at the latest; `restores`: the point goes back; `proposed`:
    a person is asked."""

    cmd: CommandName
    by: Annotated[Duration, Field(ge=timedelta(0), le=LONGEST)] | None = None
    restores: bool = False
    proposed: bool = False


class Expected(Settings):
    """What must come of it; times count from the start. Only what is given is looked at."""

    active_at: Annotated[Duration, Field(ge=timedelta(0), le=LONGEST)] | None = None
    normal_at: Annotated[Duration, Field(ge=timedelta(0), le=LONGEST)] | None = None
    active_never: bool = False
    occurrences: Annotated[int, Field(ge=0)] | None = None
    occurrences_le: Annotated[int, Field(ge=0)] | None = None
    findings: Annotated[int, Field(ge=0)] | None = None
    commands: tuple[ExpectedCommand, ...] | None = Field(
        default=None, description="all that is told or proposed to devices, in this order"
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(
                "expect needs active_at, normal_at, active_never, occurrences, occurrences_le, findings "
                "or commands"
            )
        return self


class Trial(Settings):
    """One test: `given` has a series or a constant for each role; it starts on a day of the type `day`
    at `start` (default: when the rule's active time begins, else 09:00).

    What is usual is either told (`baselines`: the figure of each), or learned, as the gateway learns,
    from a `history`: `"28d @1h 5"` says that a counter grew by 5 in each hour of the 28 days before the
    test's day, `"366d @1d 90,140"` by 90 and 140 in turn; of the outdoor temperature it is the mean.
    What neither tells is not known. `submeter.volume`, `submeter_2.volume` are meters right below the
    rule's own. `slot` are the times of the plan's slot, for rules for each of those.
    """

    given: dict[Role, Given]
    expect: Expected
    day: DayType | None = None
    start: Clock | None = None
    baselines: dict[str, float] = Field(default_factory=dict)
    history: dict[Role, str] = Field(default_factory=dict)
    slot: tuple[Clock, Clock] | None = None
    lasts: Annotated[Duration, Field(gt=timedelta(0), le=LONGEST)] | None = None

    @field_validator("given", mode="after")
    @classmethod
    def _readable(cls, given: dict[str, Given]) -> dict[str, Given]:
        series = [samples(one) for one in given.values()]
        if all(one is None for one in series):
            raise ValueError("given needs at least one series, such as 0..20m @1m 1600")
        for one in series:
            for _ in one or ():
                pass
        return given

    @field_validator("history", mode="after")
    @classmethod
    def _of_days(cls, history: dict[Role, str]) -> dict[Role, str]:
        for one in history.values():
            past_of(one)
        return history

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.baselines and self.history:
            raise ValueError("what is usual is told by baselines or learned from a history, not both")
        return self
