"""Findings: what is wasted or odd and needs no response at once; how much it is, and how surely."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from drivers.reading import Millis, Value
from drivers.settings import Settings
from rules import arithmetic
from rules.text import Text

Kind = Literal["waste", "leak", "comfort", "quality", "event"]
EXCESS = "excess"
_AVERAGE = re.compile(r"avg\(\s*((?:[a-z][a-z0-9_]*\.)?[a-z][a-z0-9_]*)\s*\)")
_PARAM = re.compile(r"param:([a-z][a-z0-9_]*)")
HOURLY = {"kW": "kWh", "m3/h": "m3"}
"""What an average over hours adds up to."""


def averages(est: str) -> tuple[str, ...]:
    """The roles whose average an estimate asks for, in order."""
    return tuple(dict.fromkeys(_AVERAGE.findall(est)))


def average_name(role: str) -> str:
    """A role's name in the parsed estimate."""
    return "A_" + role.replace(".", "D")


def parse_estimate(est: str) -> ast.expr:
    """The tree of `avg(ROLE)*duration` and the like: averages of roles, `duration` in hours, parameters
    and numbers. ValueError says what is not allowed."""
    plain = _PARAM.sub(r"\1", _AVERAGE.sub(lambda found: average_name(found[1]), est))
    tree = arithmetic.parse(plain)
    known = {*map(average_name, averages(est)), *_PARAM.findall(est), "duration"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in known | {"min", "max", "abs"}:
            raise ValueError(f"{est!r}: {node.id} is not known; write avg(ROLE), duration or param:NAME")
    return tree


def _readable(est: str) -> str:
    if est != EXCESS:
        parse_estimate(est)
    return est


class Suspects(Settings):
    """Who may be behind it: the meters right below, by how much each exceeds its own baseline."""

    rank: Literal["submeters_by_excess"] = "submeters_by_excess"
    top: Annotated[int, Field(ge=1, le=10)] = 3


class FindingSpec(Settings):
    """What is found while a rule's condition holds; nobody is called.

    `est` is how much: `excess` over the baseline that the condition names, or arithmetic such as
    `avg(active_power)*duration` (hours). `unit` is only needed where that does not follow from the role.
    """

    kind: Kind
    title: Text | None = Field(default=None, description="default: the alarm's")
    est: Annotated[str, AfterValidator(_readable)] | None = None
    unit: Literal["kWh", "m3"] | None = None
    suspects: Suspects | None = None


@dataclass(frozen=True, slots=True)
class Suspect:
    """A sub-meter and its use beyond its own baseline, in the finding's unit."""

    device: str
    excess: float


@dataclass(frozen=True, slots=True)
class Finding:
    """One episode of a rule on one scope; `ended_at` is None while it goes on.

    `amount` (kWh or m3) may be `spread` more or less (95 %, where the baseline says so); None when
    it cannot be told: then `weak` says why. `basis` is the baseline that it stands on, in words.
    `value` and `message` are what the condition saw at the beginning.
    """

    id: str
    rule: str
    scope: str
    kind: Kind
    began_at: Millis
    ended_at: Millis | None = None
    amount: float | None = None
    spread: float | None = None
    unit: str = ""
    device: str = ""
    point: str = ""
    value: Value | None = None
    message: str = ""
    basis: str = ""
    weak: str = ""
    suspects: tuple[Suspect, ...] = ()
