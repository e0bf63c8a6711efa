"""The condition of a rule as written: leaves over points, joined by all, any, not and n_of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from drivers.settings import Duration, Settings
from rules import arithmetic
from rules.nodata import NoData
from rules.slot import SlotWindow

Agg = Literal[
    "last",
    "avg",
    "min",
    "max",
    "sum",
    "count",
    "count_true",
    "delta",
    "rate",
    "slope",
    "min_rate",
    "stddev",
    "p95",
    "since_change",
    "absent",
    "unchanged",
]
Op = Literal["gt", "ge", "lt", "le", "eq", "ne", "between", "in"]
Pick = Literal["max", "min", "avg", "any", "all"]
Role = Annotated[str, Field(pattern=r"^(\*|([a-z][a-z0-9_]{0,47}\.)?[a-z][a-z0-9_]{0,47})$")]
Scalar = float | bool | str
Operand = Scalar | tuple[Scalar, ...]
Step = str | int
Path = tuple[Step, ...]
"""A place in a rule file: keys and list indexes from the top of the rule down."""

WINDOWED = frozenset(
    {
        "avg", "min", "max", "sum", "count", "count_true", "delta", "rate", "slope", "min_rate", "stddev",
        "p95",
    }
)  # fmt: skip
"""Aggregations over a stretch of time: they need `over`."""
ABSENCE = frozenset({"absent", "unchanged"})
"""Aggregations that are true or false by themselves: they take no `op` and no `val`."""
UPWARD = frozenset({"gt", "ge"})
DOWNWARD = frozenset({"lt", "le"})
_LONGEST = timedelta(days=7)
_OF_LEAVES = frozenset({"agg", "over", "bucket", "window", "unit", "pick", "optional", "nodata"})
_PARAM = re.compile(r"param:[a-z][a-z0-9_]*")


def param_name(operand: object) -> str | None:
    """`param:hi` -> `hi`; None for a plain value."""
    if isinstance(operand, str) and operand.startswith("param:"):
        return operand[6:]
    return None


def _known_form(operand: Operand) -> Operand:
    for part in operand if isinstance(operand, tuple) else (operand,):
        if not isinstance(part, str) or _PARAM.fullmatch(part):
            continue
        if arithmetic.references(part):
            if isinstance(operand, tuple):
                raise ValueError(f"{part!r}: a list holds no baselines and no other points")
            arithmetic.parse(part)
        elif part.startswith(("baseline:", "point:")):
            raise ValueError(f"{part!r}: baselines and points have small letters, such as point:setpoint")
        elif arithmetic.is_expression(part):
            arithmetic.parse(part)
    return operand


def _measures(of: object) -> str:
    """Which of the two forms a group's `of` has: a leaf with nothing to compare with is a value."""
    if isinstance(of, dict):
        bare = "p" in of and not {"op", "val", "clear"} & set(of)
        return "measure" if bare and of.get("agg") not in ABSENCE else "condition"
    return "measure" if isinstance(of, Measure) else "condition"


class NOf(Settings):
    """True when at least `n` of the conditions are."""

    n: Annotated[int, Field(ge=1)]
    of: tuple[Node, ...]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.n > len(self.of):
            raise ValueError(f"n is {self.n} but only {len(self.of)} conditions are given")
        return self


class Across(Settings):
    """How many of a group fulfil a condition, or what they measure together: `each` names the members
    as a scope does; they lie in the rule's own scope, or in its building, or anywhere at the site (`in`).
    `submeter` are the meters of the same kind right below the rule's own.

    `count_true` is their number, `share` their part of all that can be watched, 0 to 1; `avg` and
    `sum` are of the value that `of` measures.
    """

    each: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
    in_: Literal["scope", "building", "site"] = Field(default="scope", alias="in")
    agg: Literal["count_true", "share", "avg", "sum"] = "count_true"
    of: Annotated[
        Annotated[Node, Tag("condition")] | Annotated[Measure, Tag("measure")], Discriminator(_measures)
    ]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.measures and not isinstance(self.of, Measure):
            raise ValueError(f"across with agg {self.agg} needs a value in of: p and agg, without op and val")
        if not self.measures and isinstance(self.of, Measure):
            raise ValueError(f"across with agg {self.agg} needs a condition in of: it lacks op and val")
        return self

    @property
    def measures(self) -> bool:
        """Whether values are put together, not truths."""
        return self.agg in ("avg", "sum")


class Node(Settings):
    """One node: a leaf (`p` ...), or exactly one of `all`, `any`, `not`, `n_of`, `across`.

    A leaf compares the aggregate `agg` of role `p` over the last `over` with `val`;
    once true it stays true until `clear` is passed with the same comparison. `unit`
    repeats the unit of the compared number, and is required for `rate` and `slope`. `val` and
    `clear` may name baselines and other roles (`baseline:NAME`, `point:ROLE`), which are aggregated
    as `p` is. `min_rate` is the least rate of any whole `bucket`. `window` goes with `absent` in rules
    for each slot of a plan.
    `across` is compared with `op`, `val` and `clear` too. A node with `for` is true once it
    was so long.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": [key]} for key in ("p", "all", "any", "not", "n_of", "across")]
        }
    )

    p: Role | None = None
    agg: Agg = "last"
    over: Annotated[Duration, Field(gt=timedelta(0), le=_LONGEST)] | None = None
    bucket: Annotated[Duration, Field(ge=timedelta(minutes=1), le=timedelta(days=1))] | None = None
    window: SlotWindow | None = None
    op: Op | None = None
    val: Operand | None = None
    clear: Operand | None = None
    unit: str | None = None
    pick: Pick | None = None
    optional: bool = False
    nodata: NoData | None = None
    all_: tuple[Node, ...] | None = Field(default=None, alias="all")
    any_: tuple[Node, ...] | None = Field(default=None, alias="any")
    not_: Node | None = Field(default=None, alias="not")
    n_of: NOf | None = None
    across: Across | None = None
    for_: Annotated[Duration, Field(gt=timedelta(0), le=_LONGEST)] | None = Field(default=None, alias="for")

    @field_validator("val", "clear", mode="after")
    @classmethod
    def _plain(cls, operand: Operand | None) -> Operand | None:
        return None if operand is None else _known_form(operand)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = (self.p, self.all_, self.any_, self.not_, self.n_of, self.across)
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError("expected exactly one of: p (a leaf), all, any, not, n_of, across")
        if () in (self.all_, self.any_):
            raise ValueError("all and any need at least one condition")
        if self.p is not None:
            self._check_leaf()
        elif self.across is not None:
            if self.op not in (*UPWARD, *DOWNWARD) or self.val is None:
                raise ValueError("across needs op gt, ge, lt or le, and val")
            if self.model_fields_set & _OF_LEAVES:
                raise ValueError("agg, over, unit, pick and optional belong to a leaf, with p")
            self._check_comparison()
        elif self.model_fields_set & {*_OF_LEAVES, "op", "val", "clear"}:
            raise ValueError("agg, over, op, val, clear, unit, pick and optional belong to a leaf, with p")
        return self

    def _check_leaf(self) -> None:
        self._check_buckets()
        if self.agg in WINDOWED and self.over is None:
            raise ValueError(f"agg {self.agg} needs over, the length of its window")
        if self.agg == "unchanged" and self.over is None:
            raise ValueError("agg unchanged needs over, how long the value may stand still")
        if self.agg in ("last", "since_change") and self.over is not None:
            raise ValueError(f"agg {self.agg} takes no over")
        if self.agg in ABSENCE:
            if self.op is not None or self.val is not None or self.clear is not None:
                raise ValueError(f"agg {self.agg} is true or false by itself: it takes no op, val or clear")
            if self.pick in ("max", "min", "avg"):
                raise ValueError(f"agg {self.agg} over several points needs pick any or all")
        else:
            self._check_comparison()
        if self.agg in ("rate", "slope") and self.unit is None:
            raise ValueError(f"agg {self.agg} needs unit, such as m3/h or Cel/min")
        if self.p == "*" and self.agg != "absent":
            raise ValueError("p * (any point of the device) goes with agg absent only")

    def _check_buckets(self) -> None:
        if (self.bucket is None) is (self.agg == "min_rate"):
            raise ValueError("bucket goes with agg min_rate, which needs it")
        if self.bucket is not None and self.over is not None and self.over < 2 * self.bucket:
            raise ValueError("over must hold at least two buckets")
        if self.window is not None and (self.agg != "absent" or self.over is not None):
            raise ValueError("window goes with agg absent, and without over")

    def _check_comparison(self) -> None:
        if self.op is None or self.val is None:
            raise ValueError("a leaf needs op and val")
        several = isinstance(self.val, tuple)
        if self.op in ("between", "in") and not several:
            raise ValueError(f"op {self.op} needs a list as val")
        if self.op not in ("between", "in") and several:
            raise ValueError(f"op {self.op} compares with one value, not with a list")
        if self.clear is None:
            return
        if self.op in ("eq", "ne", "in"):
            raise ValueError(f"op {self.op} takes no clear: there is no side to come back from")
        if isinstance(self.clear, tuple) != several:
            raise ValueError("clear must have the same form as val")

    @property
    def references(self) -> tuple[arithmetic.Reference, ...]:
        """The baselines and other roles that its `val` and `clear` name."""
        return tuple(dict.fromkeys((*arithmetic.references(self.val), *arithmetic.references(self.clear))))

    @property
    def roles(self) -> tuple[str, ...]:
        """Its own role, and those that it is compared with."""
        others = (reference.name for reference in self.references if reference.kind == "point")
        return tuple(dict.fromkeys((*(() if self.p is None else (self.p,)), *others)))

    @property
    def children(self) -> tuple[tuple[Path, Node], ...]:
        """The conditions right below, each with its path from this node."""
        if self.all_ is not None:
            return tuple((("all", i), node) for i, node in enumerate(self.all_))
        if self.any_ is not None:
            return tuple((("any", i), node) for i, node in enumerate(self.any_))
        if self.n_of is not None:
            return tuple((("n_of", "of", i), node) for i, node in enumerate(self.n_of.of))
        return () if self.not_ is None else ((("not",), self.not_),)

    @property
    def depth(self) -> int:
        """How many levels the condition has; 1 for a leaf."""
        within = () if self.across is None else (self.across.of.depth,)
        return 1 + max((*(child.depth for _, child in self.children), *within), default=0)

    def leaves(self, at: Path = ()) -> Iterator[tuple[Path, Node]]:
        """All leaves about the scope itself with their paths, in the order written."""
        if self.p is not None:
            yield at, self
        for step, child in self.children:
            yield from child.leaves(at + step)

    def groups(self, at: Path = ()) -> Iterator[tuple[Path, Node]]:
        """All nodes that look across a group, with their paths, in the order written."""
        if self.across is not None:
            yield at, self
        for step, child in self.children:
            yield from child.groups(at + step)


class Measure(Node):
    """A leaf that gives a value and compares it with nothing."""

    def _check_comparison(self) -> None:
        if self.model_fields_set & {"op", "val", "clear", "for_"}:
            raise ValueError("a value to put together takes no op, val, clear and for")


Node.model_rebuild()
