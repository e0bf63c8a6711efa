"""A fault in a configuration: where it stands and what mends it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

_MOST_NAMES = 30
"""A longer list in a message helps nobody."""


class Place(NamedTuple):
    """A position in a file; line and column count characters from 1."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong (or, as a warning, odd) in one place.

    `path` is the key path inside the file (`devices.3.address`), empty for the file as
    a whole. `message` is a sentence that says what is allowed.
    """

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        path = f"{self.path}: " if self.path else ""
        return f"{self.file}:{self.line}:{self.column}: {path}{self.message}"


class ConfigError(Exception):
    """A configuration cannot be used; `faults` holds all that were found, in file order."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


def fault(place: Place, path: str, message: str) -> Fault:
    """A fault at a place."""
    return Fault(place.file, place.line, place.column, path, message)


def suggestion(word: str, known: Iterable[str]) -> str:
    """What was probably meant, or what there is: a clause that ends a message."""
    names = sorted(set(known))
    if not names:
        return "; there is none yet"
    close = get_close_matches(word, names, n=3, cutoff=0.6)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return f"; known: {', '.join(names)}" if len(names) <= _MOST_NAMES else ""
