"""What a rule does, as written: `do`, `steps`, `restore` and the interlocks that forbid it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from drivers.reading import Millis
from drivers.settings import Duration, Settings, millis
from drivers.vocabulary import Argument, CommandName
from rules.tree import Node, Op, Path, Role, Scalar

Mode = Literal["advise", "confirm", "auto"]
UndoWhen = Literal["on_clear", "on_reset", "never"]
Positive = Annotated[Duration, Field(gt=timedelta(0), le=timedelta(days=1))]
OVERRIDE = "manual_override"
TAG = "room.tag."
Unless = Annotated[
    str, Field(pattern=r"^(manual_override|room\.tag\.[a-z][a-z0-9_]{0,47}|[a-z][a-z0-9_]{0,47})$")
]
To = Annotated[str, Field(pattern=r"^([a-z][a-z0-9_]{0,47}|group:[a-z0-9][a-z0-9_-]{0,62})$")]
InterlockName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]


class After(Settings):
    """An undo so long after the action, whatever became of the alarm."""

    after: Positive


class Verify(Settings):
    """What shows that an action had its effect, no later than `within` after the device took it.

    `p` is a role: of the device that was told, else of the devices around it. Without `op` it
    must be true, or, where it is the very point that was written, hold what was written.
    """

    p: Role
    op: Op | None = None
    val: Scalar | None = None
    within: Positive

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.op is None) != (self.val is None):
            raise ValueError("op and val go together")
        if self.op in ("between", "in"):
            raise ValueError("verify compares with one value: gt, ge, lt, le, eq or ne")
        return self


class Action(Settings):
    """One intent: the command `cmd` for the devices that `to` names.

    `to` is `scope` (the rule's own), `room`, `floor`, `zone`, `building`, `site`, `group:NAME`
    (spaces with that tag), or a kind of device near the scope. `prio` 1 is the strongest of
    16; up to 5 a command breaks `min_on` and `min_off`. `unless` names interlocks:
    `manual_override`, `room.tag.NAME`, or one of the rule's `interlocks`.
    """

    cmd: CommandName
    to: To = "scope"
    args: dict[Argument, bool | float | str] = Field(default_factory=dict)
    prio: Annotated[int, Field(ge=1, le=16)] = 13
    unless: tuple[Unless, ...] = ()
    mode: Mode = "advise"
    verify: Verify | None = None
    min_on: Positive | None = Field(default=None, description="once on it stays on so long")
    min_off: Positive | None = Field(default=None, description="once off it stays off so long")
    max_on: Positive | None = Field(default=None, description="it ends after so long in any case")
    max_per_day: Annotated[int, Field(ge=1, le=1000)] | None = None
    undo: UndoWhen | After = "on_clear"

    @property
    def lasts_ms(self) -> Millis | None:
        """After how long it ends by itself."""
        spans = [self.max_on, self.undo.after if isinstance(self.undo, After) else None]
        return min((millis(span) for span in spans if span is not None), default=None)


class Step(Settings):
    """An action that comes `at` so long after the alarm, if it still stands then."""

    at: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(days=1))] = timedelta(0)
    do: Action


class Restore(Settings):
    """How steps are taken back: one after the other, `stagger` apart."""

    stagger: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(hours=1))] = timedelta(0)
    order: Literal["reverse", "same"] = "reverse"


class Interlock(Node):
    """A condition under which an action is not taken, and one that was taken ends. While it cannot be
    told it holds. Its roles belong to the rule's scope, or to the whole site (`at: site`)."""

    at: Literal["scope", "site"] = "scope"


class Placed(NamedTuple):
    """One action of a rule with its place in the file; `number` is its own for good, `offset_ms`
    counts from the alarm, `staged` ones are taken back as `restore` says."""

    number: int
    path: Path
    action: Action
    offset_ms: Millis
    staged: bool


class WithActions(Settings):
    """The keys of a rule that act."""

    do: tuple[Action, ...] = ()
    steps: tuple[Step, ...] = ()
    restore: Restore | None = None
    interlocks: dict[InterlockName, Interlock] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_of_their_own(self) -> Self:
        if OVERRIDE in self.interlocks:
            raise ValueError(f"{OVERRIDE} is an interlock that is always there: choose another name")
        return self

    @model_validator(mode="after")
    def _steps_in_order(self) -> Self:
        if self.restore is not None and not self.steps:
            raise ValueError("restore takes steps back, and there are none")
        if any(later.at < earlier.at for earlier, later in zip(self.steps, self.steps[1:], strict=False)):
            raise ValueError("steps come in the order of their at")
        return self

    @property
    def actions(self) -> tuple[Placed, ...]:
        """All actions in the order written, those of `do` first."""
        first = [Placed(i, ("do", i), one, 0, staged=False) for i, one in enumerate(self.do)]
        then = [
            Placed(len(first) + i, ("steps", i, "do"), step.do, millis(step.at), staged=True)
            for i, step in enumerate(self.steps)
        ]
        return (*first, *then)
