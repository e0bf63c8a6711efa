"""Why an alarm is as it is: the tree with values and truths, and what is awaited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from drivers.reading import Millis, Quality, Value
from rules.alarm import Condition
from rules.cell import Cell
from rules.compiled import Branch, Crowd, Tree, judge_of, parts_of
from rules.monitor import Monitor
from rules.tree import Operand
from rules.truth import Truth

Awaiting = Literal["nothing", "raise", "clear", "data", "hours", "reset", "suppressed", "confirmation"]
_WORDS: dict[Awaiting, str] = {
    "nothing": "nothing is due",
    "raise": "raises",
    "clear": "clears",
    "data": "waits for data",
    "hours": "not active now",
    "reset": "waits for a reset",
    "suppressed": "suppressed for now",
    "confirmation": "waits to see it again",
}


@dataclass(frozen=True, slots=True)
class ExplainedLeaf:
    """One comparison as it stands. `reference` says what a baseline stands on, or that nothing may be
    concluded from it: then `val` is None. `at` is the event time of the newest good value of its points;
    `quality` is bad before the first value, stale when lost."""

    role: str
    points: tuple[str, ...]
    agg: str
    over_ms: Millis | None
    op: str
    val: Operand | None
    clear: Operand | None
    unit: str
    value: Value | None
    truth: Truth
    quality: Quality
    at: Millis | None
    reference: str = ""


@dataclass(frozen=True, slots=True)
class ExplainedBranch:
    """`all`, `any`, `not`, `n_of`, `for` or `across` over others. `n` is the number of `n_of`, and of
    `across` how many members there are."""

    kind: str
    n: int
    truth: Truth
    parts: tuple[ExplainedBranch | ExplainedLeaf, ...]


DeedState = Literal["holds", "behind", "waits", "blocked", "proposed", "leaves"]


@dataclass(frozen=True, slots=True)
class Deed:
    """One action at one point: `holds`, `behind` a stronger one (named in `detail`), `waits` until `due`,
    `blocked`, `proposed`, `leaves` at `due`; `shadow` where nothing of it is sent."""

    state: DeedState
    cmd: str
    device: str = ""
    point: str = ""
    value: Value | None = None
    prio: int | None = None
    due: Millis | None = None
    shadow: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One instance as of `at`. `in_ms` is when what is awaited comes if nothing changes."""

    rule: str
    scope: str
    at: Millis
    condition: Condition
    since: Millis
    active: bool
    stale: bool
    truth: Truth
    awaiting: Awaiting
    in_ms: Millis | None
    tree: ExplainedBranch | ExplainedLeaf
    deeds: tuple[Deed, ...] = ()
    """What its actions are up to while its alarm runs."""
    after_ms: Millis = 0
    """How long what would turn it must last: `for`, or `clear_for` of a standing alarm."""

    @property
    def sentence(self) -> str:
        """`raises in 40 s`, `waits for data`, `would clear at co2 <= 1350 [ppm] in 3 min` and the like."""
        words = _WORDS[self.awaiting]
        if self.in_ms is not None:
            return f"{words} in {_span(self.in_ms)}"
        turn = turning(self.tree) if self.awaiting == "nothing" and self.truth is not None else ""
        if not turn:
            return words
        verb = "clear" if self.truth else "raise"
        return f"would {verb} at {turn}" + (f" in {_span(self.after_ms)}" if self.after_ms else "")


_OPPOSITE = {"gt": "<=", "ge": "<", "lt": ">=", "le": ">", "eq": "is not", "ne": "is"}
_SIGN = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "is", "ne": "is not"}


def turning(tree: ExplainedBranch | ExplainedLeaf) -> str:
    """What would turn a tree's truth into the opposite, in words; empty where that is not so simple."""
    if isinstance(tree, ExplainedLeaf):
        return _turning_leaf(tree)
    if tree.truth is None or tree.kind in ("across", "n_of"):
        return ""
    parts = tree.parts
    if tree.kind in ("all", "any"):
        parts = tuple(part for part in parts if part.truth is tree.truth)
    words = [turning(part) for part in parts]
    if not words or "" in words:
        return ""
    alone = (tree.kind == "all") is tree.truth  # any one of them is enough
    return (" or " if alone else " and ").join(words)


def _turning_leaf(leaf: ExplainedLeaf) -> str:
    if leaf.truth is None or leaf.op not in _SIGN:
        return ""
    name = leaf.role if leaf.agg == "last" else f"{leaf.agg}({leaf.role})"
    limit = leaf.clear if leaf.truth and leaf.clear is not None else leaf.val
    sign = (_OPPOSITE if leaf.truth else _SIGN)[leaf.op]
    shown = f"{limit:g}" if isinstance(limit, float) else str(limit).lower()
    return f"{name} {sign} {shown}" + (f" {leaf.unit}" if leaf.unit not in ("bool", "text", "1", "") else "")


def explain(monitor: Monitor, at: Millis) -> Explanation:
    """The explanation of one monitor as of `at`."""
    awaiting, in_ms = _awaited(monitor, at)
    state = monitor.state
    return Explanation(
        rule=state.rule,
        scope=state.scope,
        at=at,
        condition=state.condition,
        since=state.since,
        active=monitor.armed,
        stale=state.stale,
        truth=judge_of(monitor.tree)(),
        awaiting=awaiting,
        in_ms=in_ms,
        tree=_node(monitor.tree, at),
        after_ms=monitor.patience,
    )


def _awaited(monitor: Monitor, at: Millis) -> tuple[Awaiting, Millis | None]:
    state = monitor.state
    runs = state.condition in (Condition.PENDING, Condition.CLEARING)
    if not monitor.armed:
        return "hours", None
    if state.hushed and not state.is_raised:
        return "suppressed", None
    if state.sighted:
        return "confirmation", None
    if monitor.doubtful or (runs and monitor.truth is None):
        return "data", None
    if runs and monitor.due is not None:
        left = max(0, monitor.due - at)
        return ("raise" if state.condition is Condition.PENDING else "clear"), left
    if state.condition is Condition.NORMAL and state.latched:
        return "reset", None
    return ("data" if monitor.truth is None else "nothing"), None


def _node(tree: Tree, at: Millis) -> ExplainedBranch | ExplainedLeaf:
    if isinstance(tree, Cell):
        return _leaf(tree, at)
    parts = tuple(_node(part, at) for part in parts_of(tree))
    if isinstance(tree, Branch):
        return ExplainedBranch(tree.kind, tree.n, judge_of(tree)(), parts)
    if isinstance(tree, Crowd):
        return ExplainedBranch("across", len(parts), judge_of(tree)(), parts)
    return ExplainedBranch("for", 0, judge_of(tree)(), parts)


def _leaf(cell: Cell, at: Millis) -> ExplainedLeaf:
    said, (val, clear) = cell.description, cell.compared(at)
    seen = [track.at for track in cell.tracks if track.at is not None]
    quality = Quality.STALE if cell.lost else Quality.GOOD if seen else Quality.BAD
    return ExplainedLeaf(
        role=said.role,
        points=tuple(f"{track.device}.{track.point}" for track in cell.tracks),
        agg=said.agg,
        over_ms=said.over_ms,
        op=said.op,
        val=val,
        clear=clear,
        unit=said.unit,
        value=cell.value(at),
        truth=cell.truth,
        quality=quality,
        at=max(seen, default=None),
        reference=cell.reference,
    )


def _span(ms: Millis) -> str:
    seconds = -(-ms // 1000)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{round(seconds / size)} {unit}"
    return f"{seconds} s"
