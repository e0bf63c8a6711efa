"""The rule file's models (rules/v1) and its reader; no file is opened here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from drivers.settings import Duration, Id, Settings, millis
from rules.action import Interlock, InterlockName, WithActions
from rules.finding import EXCESS, FindingSpec
from rules.nodata import NoData
from rules.site import Tag
from rules.text import Text
from rules.timetable import ActiveTime
from rules.tree import Node, Path, Role
from rules.trial import Trial

Names = Annotated[tuple[str, ...], Field(min_length=1)]
ParamName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Medium = Literal["electricity", "water", "gas", "heat"]
_NIGHTS = re.compile(r"(\d{1,3}) nights?")
LEAST = 4
"""The lowest priority."""
Level = Literal["main", "incomer", "building", "sub"]
MAX_DEPTH = 12
"""How deep a condition may nest: no person follows a deeper one."""


@dataclass(frozen=True, slots=True)
class RuleFault:
    """One thing wrong with a rule; `path` is the way to the key at fault, from the top of what was given."""

    path: Path
    message: str


class RuleError(Exception):
    """What was given is no valid rule; `faults` holds all that was found."""

    def __init__(self, faults: tuple[RuleFault, ...]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, f.path))}: {f.message}" for f in faults))
        self.faults = faults


class Where(Settings):
    """Which of the scope's candidates a rule is for; all given parts must hold.

    `kind` (or `type`, the same) is the kind of the space or device; `has` names roles
    that must be bound; `tags` are those of the space, or of the device's space; `in`
    names spaces that it must lie in. `level` is that of a meter: `main` (or `incomer`) has none of its
    kind above it, `sub` has one, `building` stands in the building itself.
    """

    kind: str | Names | None = None
    type: str | Names | None = None
    has: Annotated[tuple[Role, ...], Field(min_length=1)] | None = None
    tags: dict[str, Tag | tuple[Tag, ...]] | None = None
    medium: Medium | Annotated[tuple[Medium, ...], Field(min_length=1)] | None = None
    level: Level | Annotated[tuple[Level, ...], Field(min_length=1)] | None = None
    in_: str | Names | None = Field(default=None, alias="in")

    @model_validator(mode="after")
    def _one_word(self) -> Self:
        if self.kind is not None and self.type is not None:
            raise ValueError("kind and type mean the same: give one")
        return self

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds named by `kind` or `type`; empty for any."""
        return as_names(self.kind if self.kind is not None else self.type)


class Scope(Settings):
    """What a rule is instantiated for: one instance for each.

    `each` is `site`, `space`, `room`, `device`, `meter`, a space kind or a device kind.
    """

    each: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
    where: Where = Where()


class Param(Settings):
    """A number that the school may change; `overrides` sets it for a space and all inside it."""

    default: float
    unit: str = ""
    min: float | None = None
    max: float | None = None
    overrides: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if self.min is not None and self.max is not None and self.min >= self.max:
            raise ValueError("min must be below max")
        for name, value in {"default": self.default, **self.overrides}.items():
            if (self.min is not None and value < self.min) or (self.max is not None and value > self.max):
                raise ValueError(f"{name} is {value:g}, outside {self.min} to {self.max}")
        return self


def _nights(value: object) -> object:
    match = _NIGHTS.fullmatch(value) if isinstance(value, str) else None
    return value if match is None else timedelta(days=int(match[1]))


class Confirm(Settings):
    """An alarm only at the `occurrences`-th episode within so long; those before are sightings.

    `within` may be written as `3 nights`, which is three days.
    """

    occurrences: Annotated[int, Field(ge=2, le=50)]
    within: Annotated[Duration, BeforeValidator(_nights), Field(gt=timedelta(0), le=timedelta(days=90))]


class SuppressWhen(Node):
    """While this holds, and for `extend` after, nothing is raised; what was raised goes on and may clear."""

    extend: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(days=1))] = timedelta(0)


class AlarmSpec(Settings):
    """Who must do what, and why: an alarm without these is refused (ISA-18.2, rationalisation)."""

    prio: Annotated[int, Field(ge=1, le=4, description="1 life safety ... 4 comfort and waste")]
    owner: Annotated[str, Field(min_length=1)]
    title: Text
    consequence: Text
    guide: Text
    respond_within: Annotated[Duration, Field(gt=timedelta(0))]


class Rule(WithActions):
    """One rule: for `each` of its scope, an alarm while `when` holds."""

    id: Id
    scope: Scope
    params: dict[ParamName, Param] = Field(default_factory=dict)
    active: ActiveTime | None = None
    when: Node
    for_: Annotated[Duration, Field(ge=timedelta(0))] = Field(default=timedelta(0), alias="for")
    clear_for: Annotated[Duration, Field(ge=timedelta(0))] = timedelta(0)
    min_active: Annotated[Duration, Field(ge=timedelta(0))] = timedelta(0)
    realarm: Annotated[Duration, Field(ge=timedelta(minutes=1))] | None = Field(
        default=None, description="acknowledged and still there after so long: unacknowledged again"
    )
    confirm: Confirm | None = None
    suppress_when: SuppressWhen | None = None
    parent_of: tuple[Id, ...] = Field(
        default=(), description="rules whose alarms on the devices of this scope it explains and hides"
    )
    supervise: tuple[Id, ...] = Field(
        default=(), description="rules of priority 1: this one is only for the devices that they watch"
    )
    latch: bool = Field(default=False, description="after clearing it waits for an explicit reset")
    shelvable: bool = True
    nodata: NoData = NoData()
    alarm: AlarmSpec | None = None
    finding: FindingSpec | None = Field(
        default=None, description="what is wasted or odd while the condition holds; alone, nobody is called"
    )
    source: Annotated[str, Field(description="where the figures come from")] = ""
    verified: bool = Field(default=False, description="the figures were read in the source")
    tests: tuple[Trial, ...] = Field(default=(), description="played at load; a rule that fails is not armed")

    @field_validator("when", mode="after")
    @classmethod
    def _not_too_deep(cls, when: Node) -> Node:
        if when.depth > MAX_DEPTH:
            raise ValueError(f"nested {when.depth} levels deep; at most {MAX_DEPTH} are allowed")
        return when

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.alarm is None:
            if self.finding is None and not self.actions:
                raise ValueError("a rule needs an alarm, a finding, or something to do")
            told = {"latch", "realarm", "confirm", "parent_of", "supervise"} & self.model_fields_set
            if told:
                raise ValueError(f"{min(told)} belongs to an alarm, and this rule has none")
        return self

    @model_validator(mode="after")
    def _excess_has_a_baseline(self) -> Self:
        found = self.finding
        if found is None or (found.est != EXCESS and found.suspects is None):
            return self
        if self.excess_leaf is None:
            raise ValueError("finding: excess and suspects need a leaf that is compared with a baseline")
        return self

    @model_validator(mode="after")
    def _life_safety(self) -> Self:
        if self.alarm is None:
            return self
        if self.alarm.prio == 1 and self.shelvable:
            raise ValueError("a priority 1 alarm cannot be shelved: write shelvable: false")
        if self.alarm.prio == 1 and self.nodata.then in ("clear", "ignore"):
            raise ValueError(
                "a priority 1 alarm may not take lost data for normal: nodata.then hold or raise"
            )
        if self.supervise and self.alarm.prio != 1:
            raise ValueError("a rule that supervises life safety has priority 1")
        if self.supervise and self.scope.each != "device":
            raise ValueError("a rule that supervises is for each device")
        if self.id in self.parent_of:
            raise ValueError("a rule cannot be its own parent")
        return self

    @cached_property
    def core(self) -> str:
        """Scope, condition and timing as canonical JSON: what makes the rule that rule.

        Texts, priority, sources and per-space overrides are left out: changing them
        keeps a running alarm.
        """
        kept = self.model_dump(
            mode="json",
            by_alias=True,
            exclude={
                "alarm", "source", "verified", "shelvable", "id", "params", "tests", "parent_of", "realarm",
                "finding", "do", "steps", "restore", "interlocks",
            },
            exclude_defaults=True,
        )  # fmt: skip
        if self.alarm is None:
            kept["untold"] = True
        return json.dumps(kept, sort_keys=True, ensure_ascii=False)

    @cached_property
    def deeds(self) -> str:
        """What it does as canonical JSON. `core` is without it: an alarm outlives a changed action."""
        kept = self.model_dump(
            mode="json",
            by_alias=True,
            include={"do", "steps", "restore", "interlocks"},
            exclude_defaults=True,
        )
        return json.dumps(kept, sort_keys=True, ensure_ascii=False)

    @property
    def priority(self) -> int:
        """The alarm's; of a rule that calls nobody the lowest."""
        return LEAST if self.alarm is None else self.alarm.prio

    @property
    def title(self) -> Text:
        """What it is called: the alarm's title, else the finding's, else its id."""
        if self.alarm is not None:
            return self.alarm.title
        own = None if self.finding is None else self.finding.title
        return Text(zh=self.id, en=self.id) if own is None else own

    @property
    def excess_leaf(self) -> Node | None:
        """The first leaf that is compared with a baseline: what a finding's excess is counted by."""
        named = (leaf for _, leaf in self.when.leaves())
        return next((one for one in named if any(r.kind == "baseline" for r in one.references)), None)

    @property
    def for_ms(self) -> int:
        """`for` in milliseconds."""
        return millis(self.for_)

    @property
    def clear_for_ms(self) -> int:
        """`clear_for` in milliseconds."""
        return millis(self.clear_for)


class RuleFile(Settings):
    """A file of several rules, and the interlocks that they share."""

    rules: tuple[Rule, ...]
    interlocks: dict[InterlockName, Interlock] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        ids = [rule.id for rule in self.rules]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"the rule id {twice[0]} is used twice")
        return self

    @property
    def complete(self) -> tuple[Rule, ...]:
        """The rules, each with those of the file's interlocks that its actions name."""
        return tuple(_with(rule, self.interlocks) for rule in self.rules)


def parse_rules(data: object) -> tuple[Rule, ...]:
    """The rules of one file's data: `rules:` with a list, or one rule alone. Raises RuleError."""
    try:
        if isinstance(data, Mapping) and "rules" in data:
            return RuleFile.model_validate(data).complete
        return (Rule.model_validate(data),)
    except ValidationError as error:
        raise RuleError(tuple(_faults(error))) from error


def _with(rule: Rule, shared: Mapping[str, Interlock]) -> Rule:
    named = {name for placed in rule.actions for name in placed.action.unless}
    taken = {name: one for name, one in shared.items() if name in named}
    return rule.model_copy(update={"interlocks": {**taken, **rule.interlocks}}) if taken else rule


def _faults(error: ValidationError) -> Iterator[RuleFault]:
    """Pydantic's errors as faults; the steps that name a union's member are no keys and go."""
    seen: set[tuple[Path, str]] = set()
    for found in error.errors(include_url=False):
        path = tuple(step for step in found["loc"] if not _is_member(step))
        message = found["msg"].removeprefix("Value error, ")
        if found["type"] == "extra_forbidden":
            message = "this key is not known here"
        if (path, message) not in seen:
            seen.add((path, message))
            yield RuleFault(path, message)


def _is_member(step: str | int) -> bool:
    return isinstance(step, str) and (
        step in {"float", "bool", "str", "none", "condition", "measure"}
        or "[" in step
        or step.startswith(("constrained", "literal"))
    )


def as_names(names: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """One name, several or none, as a tuple."""
    if names is None:
        return ()
    return (names,) if isinstance(names, str) else names
