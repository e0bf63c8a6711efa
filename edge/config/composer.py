"""Builds a document of YAML events, without recursion and within limits.

Works on events, not on YAML objects, so no tag is ever acted upon and a bomb is stopped
where it begins.
"""

from __future__ import annotations

from dataclasses import dataclass

from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from edge.config.fault import ConfigError, Fault, Place, fault
from edge.config.scalars import CONTROL, Scalar, resolve
from edge.config.spots import Data, Document, Spot, Step

MAX_NODES = 20_000
"""Keys and values in one file, enough for 1,200 devices: the parser takes some 30 us for each."""
MAX_DEPTH = 32
MAX_FAULTS = 20
"""Faults of form reported for one file."""


_NOWHERE = Place("", 1, 1)


@dataclass(slots=True)
class _OpenMapping:
    """A mapping while its keys and values come in; `key` waits for its value."""

    data: dict[str, Data]
    spot: Spot
    key: str | None = None
    key_place: Place = _NOWHERE
    key_bad: bool = False

    def attach(self, value: Data, place: Place, bad: bool) -> Spot:
        """Puts a value behind the waiting key; a second value for one key is dropped."""
        key = self.key or ""
        spot = Spot(key, self.key_place, place, bad or self.key_bad)
        if key not in self.data:
            self.data[key] = value
            self.spot.entries[key] = spot
        self.key = None
        return spot


@dataclass(slots=True)
class _OpenList:
    """A list while its items come in."""

    data: list[Data]
    spot: Spot

    def attach(self, value: Data, place: Place, bad: bool) -> Spot:
        """Appends an item."""
        spot = Spot(len(self.data), place, place, bad)
        self.data.append(value)
        self.spot.items.append(spot)
        return spot


def _absent(event: Event) -> bool:
    """Whether nothing is written where a value should be; parsers do not agree where that is."""
    return isinstance(event, ScalarEvent) and event.value == "" and not event.style


class Composer:
    """Takes the events of one file in order; `faults` holds what was wrong so far and
    `last` is the place of the last event that is written out."""

    def __init__(self, file: str) -> None:
        self.faults: list[Fault] = []
        self.last = Place(file, 1, 1)
        self._open: list[_OpenMapping | _OpenList] = []
        self._nodes = 0
        self._documents = 0
        self._root: tuple[Data, Spot] | None = None

    def take(self, event: Event) -> None:
        """Takes the next event; raises `ConfigError` where reading on makes no sense."""
        mark = event.start_mark
        if mark is not None and not _absent(event):
            self.last = Place(self.last.file, mark.line + 1, mark.column + 1)
        if isinstance(event, DocumentStartEvent):
            self._begin(event)
        elif isinstance(event, NodeEvent):
            self._nodes += 1
            if self._nodes > MAX_NODES:
                self._stop(f"more than {MAX_NODES} keys and values: split the file with include")
            self._node(event)
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            self._open.pop()

    def finish(self) -> Document:
        """The document; `ConfigError` when the file holds no mapping."""
        if self._root is None or (self._root[0] is None and not self.faults):
            raise ConfigError(
                [fault(Place(self.last.file, 1, 1), "", "the file is empty: expected 'key: value'")]
            )
        data, spot = self._root
        if not isinstance(data, dict):
            self.faults.append(fault(spot.value, "", "expected a mapping of keys and values ('key: value')"))
            raise ConfigError(self.faults)
        return Document(data, spot, self.faults)

    def _begin(self, event: DocumentStartEvent) -> None:
        self._documents += 1
        if self._documents > 1:
            self._stop("a second document begins here: one file holds one, remove the '---'")
        if event.version or event.tags:
            self._stop("directives ('%...') are not supported: remove them")

    def _node(self, event: NodeEvent) -> None:
        level = self._open[-1] if self._open else None
        if isinstance(level, _OpenMapping) and level.key is None:
            self._key(event, level)
            return
        bad = self._forbidden(event)
        if isinstance(event, ScalarEvent):
            value, refused = self._scalar(event)
            self._attach(value, bad or refused)
        elif len(self._open) >= MAX_DEPTH and not isinstance(event, AliasEvent):
            self._stop(f"nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, MappingStartEvent):
            entries: dict[str, Data] = {}
            self._open.append(_OpenMapping(entries, self._attach(entries, bad)))
        elif isinstance(event, SequenceStartEvent):
            items: list[Data] = []
            self._open.append(_OpenList(items, self._attach(items, bad)))
        else:
            self._attach(None, True)

    def _attach(self, value: Data, bad: bool) -> Spot:
        if self._open:
            return self._open[-1].attach(value, self.last, bad)
        spot = Spot("", self.last, self.last, bad)
        self._root = (value, spot)
        return spot

    def _key(self, event: NodeEvent, level: _OpenMapping) -> None:
        if not isinstance(event, ScalarEvent):
            self._forbidden(event)
            self._stop("a key must be plain text")
            return
        key: str = event.value
        level.key, level.key_place, level.key_bad = key, self.last, self._forbidden(event)
        if not event.style and key == "<<":
            self._report("merge keys ('<<') are not supported: write the keys out")
            level.key_bad = level.spot.bad = True
        elif CONTROL.search(key):
            level.key, level.key_bad = "", True
            self._report("a control character in a key: remove it")
        elif not event.style and key in ("", "~"):
            self._report("a key is missing before the ':'")
            level.key_bad = True
        elif key in level.data:
            line = level.spot.entries[key].key.line
            self._report(f"the key {key} stands here twice (first in line {line}): remove one")
            level.key_bad = True

    def _forbidden(self, event: NodeEvent) -> bool:
        if isinstance(event, AliasEvent):
            self._report(f"alias *{event.anchor}: aliases are not supported, repeat the text")
            return True
        if event.anchor:
            self._report(f"anchor &{event.anchor}: anchors are not supported, remove it")
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._report(f"tag {tag}: tags are not supported, remove it")
        return bool(event.anchor) or tag is not None

    def _scalar(self, event: ScalarEvent) -> tuple[Scalar, bool]:
        text: str = event.value
        control = CONTROL.search(text)
        if control:
            self._report(f"control character U+{ord(control[0]):04X} in the text: remove it")
            return "", True
        if event.style:
            return text, False
        try:
            return resolve(text), False
        except ValueError as error:
            self._report(str(error))
            return text, True

    def _report(self, message: str) -> None:
        self.faults.append(fault(self.last, self._path(), message))
        if len(self.faults) >= MAX_FAULTS:
            self._stop("too many faults; the rest of the file was not read")

    def _stop(self, message: str) -> None:
        raise ConfigError([*self.faults, fault(self.last, self._path(), message)])

    def _path(self) -> str:
        steps: list[Step] = [level.spot.step for level in self._open[1:]]
        if self._open:
            level = self._open[-1]
            if isinstance(level, _OpenList):
                steps.append(len(level.data))
            elif level.key is not None:
                steps.append(level.key)
        return ".".join(str(step) for step in steps)
