"""Rule files and a school's configuration, as the commands about rules take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.cli_options import fail

if TYPE_CHECKING:
    from edge.config.rulefiles import RuleShelf
    from rules.verbs import Verbs

FilesArgument = Annotated[list[Path], typer.Argument(help="rule files")]


def shelf_of(paths: Sequence[Path]) -> RuleShelf:
    """The rules of files; ends with exit 2 and all faults where any has some."""
    from edge.config.rulefiles import RuleShelf

    shelf = RuleShelf()
    for path in paths:
        if not path.is_file():
            raise fail(f"there is no file {path}", 2)
        shelf.add(path)
    if shelf.faults:
        raise fail("\n".join(str(fault) for fault in shelf.faults), 2)
    return shelf


def words() -> tuple[Mapping[str, str], frozenset[str], Verbs]:
    """The built-in vocabulary: point -> unit, those of the gateway itself too, the kinds of spaces, and the
    commands."""
    from edge.config.library import read_vocabulary
    from edge.config.resources import builtin_configs
    from edge.pipeline.self_watch import POINTS

    vocabulary, faults = read_vocabulary(builtin_configs() / "vocabulary.yaml")
    if vocabulary is None:
        raise fail("\n".join(str(fault) for fault in faults))
    units = {**POINTS, **{name: spec.unit for name, spec in vocabulary.points.items()}}
    return units, frozenset(vocabulary.space_kinds), vocabulary.commands
