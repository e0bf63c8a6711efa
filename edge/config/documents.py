"""Strict YAML 1.2 with positions: one plain mapping per file, or all that is wrong with it.

Refused with line and column: duplicate keys, anchors, aliases, merge keys, tags,
directives, several documents, tabs, control characters, bad UTF-8, the scalars that
`scalars.py` refuses, and what exceeds `MAX_BYTES` or the composer's limits.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import Event

from edge.config.composer import MAX_FAULTS, Composer
from edge.config.fault import ConfigError, Fault, Place, fault
from edge.config.scalars import CONTROL
from edge.config.spots import Document

MAX_BYTES = 256 * 1024

_NOTES: ContextVar[dict[Path, str] | None] = ContextVar("notes", default=None)

_FULL_WIDTH = {
    "\uff1a": ":",
    "\uff0c": ",",
    "\u201c": '"',
    "\u201d": '"',
    "\uff3b": "[",
    "\uff3d": "]",
    "\uff5b": "{",
    "\uff5d": "}",
    "\u3000": " ",
}
_KEY_WITH_FULL_WIDTH_COLON = re.compile("[ -]*[{]?[A-Za-z0-9_]+\uff1a")
_SYNTAX = (
    ("unexpected end of stream", "a quote is opened here and never closed"),
    ("unknown escape", 'an unknown \\ escape in "...": write \\\\ for a backslash'),
    (
        "mapping values are not allowed",
        "a ':' where no key can stand: check the indentation, or quote the text",
    ),
    ("could not find expected ':'", "expected 'key: value' with a space behind the colon"),
    ("expected <block end>", "the indentation does not fit the lines above"),
    ("expected ',' or '}'", "expected ',' or the closing '}'"),
    ("expected ',' or ']'", "expected ',' or the closing ']'"),
    ("cannot start any token", "text cannot begin with this character: quote it"),
    ("expected '<document start>'", "a key or a '- ' is missing before this"),
    (
        "sequence entries are not allowed",
        "a '- ' where no list can stand: give it a line of its own, indented",
    ),
    ("expected the node content", "a value is missing here"),
    ("block scalar", "a text block with | or > needs its lines below it, evenly indented"),
)
"""A part of ruamel's message, and our words for it: the first that fits."""


def read(path: Path, limit: int = MAX_BYTES) -> Document:
    """Reads one file of at most `limit` bytes.

    Raises `ConfigError` when the file cannot be read to its end; faults of single nodes
    (a duplicate key, a plain `on`) are collected in `Document.faults`.
    """
    return parse(_text(path, limit), str(path))


@contextmanager
def noted() -> Iterator[dict[Path, str]]:
    """Notes the files that are read while it lasts: as they are spelled -> SHA-256 of their bytes."""
    notes: dict[Path, str] = {}
    token = _NOTES.set(notes)
    try:
        yield notes
    finally:
        _NOTES.reset(token)


def parse(text: str, file: str) -> Document:
    """Reads the text of a file; `file` is its name in places. Raises as `read`."""
    refused = _refused_characters(text, file)
    if refused:
        raise ConfigError(refused)
    return _read_quickly(text, file) or _read_carefully(text, file)


def _read_quickly(text: str, file: str) -> Document | None:
    """The document by libyaml, six times as fast; none where anything is wrong with it."""
    composer = Composer(file)
    try:
        for event in _events(text, pure=False):
            composer.take(event)
        document = composer.finish()
    except (YAMLError, ConfigError):
        return None
    return None if document.faults else document


def _read_carefully(text: str, file: str) -> Document:
    """The document by the parser that has the better places and messages for what is wrong."""
    composer = Composer(file)
    try:
        for event in _events(text, pure=True):
            composer.take(event)
    except MarkedYAMLError as error:
        raise ConfigError([*composer.faults, _syntax_fault(error, text, file)]) from error
    except (YAMLError, ValueError, IndexError, OverflowError) as error:
        # the parser lets these through for a few malformed escapes and directives
        message = f"not valid YAML behind this place: {error}"
        raise ConfigError([*composer.faults, fault(composer.last, "", message)]) from error
    return composer.finish()


def _events(text: str, *, pure: bool) -> Iterator[Event]:
    events: Iterator[Event] = YAML(typ="safe", pure=pure).parse(text)
    return events


def _text(path: Path, limit: int) -> str:
    start = Place(str(path), 1, 1)
    try:
        with path.open("rb") as file:
            raw = file.read(limit + 1)
    except FileNotFoundError as error:
        raise ConfigError([fault(start, "", "there is no such file")]) from error
    except IsADirectoryError as error:
        raise ConfigError([fault(start, "", "this is a folder: name a YAML file")]) from error
    except OSError as error:
        raise ConfigError([fault(start, "", f"cannot be read: {error.strerror}")]) from error
    if len(raw) > limit:
        raise ConfigError([fault(start, "", f"larger than {limit // 1024} kB: split it with include")])
    notes = _NOTES.get()
    if notes is not None:
        notes[path] = hashlib.sha256(raw).hexdigest()
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        return raw.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8").replace("\r\n", "\n")
        message = "not UTF-8 (binary, or text in GBK or UTF-16?): save the file as UTF-8"
        raise ConfigError([fault(_place(before, len(before), str(path)), "", message)]) from error


def _place(text: str, index: int, file: str) -> Place:
    line_start = text.rfind("\n", 0, index) + 1
    return Place(file, text.count("\n", 0, index) + 1, index - line_start + 1)


def _refused_characters(text: str, file: str) -> list[Fault]:
    control = CONTROL.search(text)
    if control:
        code = f"U+{ord(control[0]):04X}"
        return [fault(_place(text, control.start(), file), "", f"control character {code}: remove it")]
    found: list[Fault] = []
    for number, line in enumerate(text.split("\n") if "\t" in text else (), start=1):
        column = line.find("\t") + 1
        if column and not line.lstrip(" \t").startswith("#") and len(found) < MAX_FAULTS:
            message = "a tab: indent and separate with spaces (in quoted text write \\t)"
            found.append(fault(Place(file, number, column), "", message))
    return found


def _syntax_fault(error: MarkedYAMLError, text: str, file: str) -> Fault:
    problem = f"{error.context or ''} {error.problem or ''}".strip()
    unclosed = "quoted scalar" in problem and "end of stream" in problem
    mark = error.context_mark if unclosed or error.problem_mark is None else error.problem_mark
    place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file, 1, 1)
    message = next((words for part, words in _SYNTAX if part in problem), f"not valid YAML: {problem}")
    return _full_width(place, message, text.split("\n"))


def _full_width(place: Place, message: str, lines: list[str]) -> Fault:
    """The fault, told as one of full-width punctuation where that is what made it.

    A full-width colon behind a key swallows its line, so that the parser stumbles over the next.
    """
    for number in (place.line - 1, place.line):
        line = lines[number - 1].partition(" #")[0] if 1 <= number <= len(lines) else ""
        colon = _KEY_WITH_FULL_WIDTH_COLON.match(line)
        if colon:
            place = Place(place.file, number, colon.end())
            return fault(place, "", "a full-width '\uff1a' is no punctuation to YAML: write ':'")
        sign = next((sign for sign in _FULL_WIDTH if sign in line), None)
        if sign is not None and number == place.line:
            message += f" (a full-width '{sign}' is no punctuation to YAML: write '{_FULL_WIDTH[sign]}')"
    return fault(place, "", message)
