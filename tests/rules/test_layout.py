"""The rooms of the rules: who reads one file need not read in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

RULES = Path(__file__).parents[2] / "rules"


def imported(path: Path) -> Iterator[str]:
    """The modules of `rules` that one of them names, for types alone and inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            package, _, module = node.module.partition(".")
            if package == "rules":
                yield from (module,) if module else (name.name for name in node.names)


def test_no_module_of_the_rules_comes_back_to_itself() -> None:
    known = {path.stem: set(imported(path)) for path in RULES.glob("*.py")}
    assert len(list(TopologicalSorter(known).static_order())) >= len(known)  # raises CycleError


def test_the_rules_open_nothing_and_ask_no_clock() -> None:
    for path in RULES.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not {"asyncio", "socket", "time", "os", "sqlite3"} & set(names), path
