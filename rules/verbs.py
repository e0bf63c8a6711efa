"""What the words for commands (`ac.off`, `siren.on`) come to: the value that is written."""

from __future__ import annotations

from collections.abc import Mapping

from drivers.reading import Value
from drivers.vocabulary import CommandSpec

Verbs = Mapping[str, CommandSpec]


def value_of(verb: CommandSpec, args: Mapping[str, Value], base: Value | None) -> Value | None:
    """What a command writes; `base` is what the point holds without it. None for a shift from an
    unknown base."""
    if verb.value is not None:
        return verb.value
    given = args[verb.argument or ""]
    if verb.shift is None:
        return given
    if isinstance(base, bool | str) or base is None or isinstance(given, bool | str):
        return None
    return base + given
