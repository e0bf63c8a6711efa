"""A condition at work: leaves, joined by branches, inner timers and groups."""

from __future__ import annotations

from dataclasses import dataclass

from rules import truth as kleene
from rules.cell import Cell
from rules.delay import Delay
from rules.group import Group
from rules.truth import Judge


@dataclass(frozen=True, slots=True)
class Branch:
    """An inner node at work: `all`, `any`, `not` or `n_of` over others."""

    kind: str
    parts: tuple[Tree, ...]
    n: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A part of a condition with a `for` of its own."""

    part: Tree
    delay: Delay


@dataclass(frozen=True, slots=True)
class Crowd:
    """A group that a condition looks across, one tree for each member."""

    parts: tuple[Tree, ...]
    scopes: tuple[str, ...]
    group: Group


Tree = Branch | Cell | Waiting | Crowd


def judge_of(tree: Tree) -> Judge:
    """The closure that gives a tree's present truth."""
    if isinstance(tree, Cell):
        return lambda: tree.truth
    if isinstance(tree, Waiting):
        return tree.delay.judge
    if isinstance(tree, Crowd):
        return tree.group.judge
    parts = [judge_of(part) for part in tree.parts]
    if tree.kind == "not":
        return kleene.not_of(parts[0])
    if tree.kind == "n_of":
        return kleene.n_of(tree.n, parts)
    if len(parts) == 1:
        return parts[0]
    return kleene.all_of(parts) if tree.kind == "all" else kleene.any_of(parts)


def cells_of(tree: Tree) -> tuple[Cell, ...]:
    """All leaves of a tree, in the order written."""
    if isinstance(tree, Cell):
        return (tree,)
    return tuple(cell for part in parts_of(tree) for cell in cells_of(part))


def parts_of(tree: Tree) -> tuple[Tree, ...]:
    """The trees right below."""
    if isinstance(tree, Cell):
        return ()
    return (tree.part,) if isinstance(tree, Waiting) else tree.parts


def delays_of(tree: Tree) -> tuple[Delay, ...]:
    """All inner timers, the innermost first."""
    inner = tuple(delay for part in parts_of(tree) for delay in delays_of(part))
    return (*inner, tree.delay) if isinstance(tree, Waiting) else inner


def groups_of(tree: Tree) -> tuple[Group, ...]:
    """All groups that are looked across, the innermost first."""
    inner = tuple(group for part in parts_of(tree) for group in groups_of(part))
    return (*inner, tree.group) if isinstance(tree, Crowd) else inner
