"""One row for what a device measured in one instant: its values side by side.

    sources   a device's points under the tags they had when stored: a row never changes
    moments   id (the cursor of outboxes) | source | at | received_at | body
    ...       where in time they are: `edge.store.spans`; what is sealed: `edge.store.catalogue`

Points that are read together share one time and one row: a twentieth of the rows, and of
their cost, that one row a reading would take. The body is msgpack: the values in the
order of the source's points, `nil` where the instant has none; where any is not good,
a pair of these values and `{index: [quality, reason]}`. Behind a byte C1 whole numbers are
hundredths: 200.1 takes three bytes instead of nine (earlier versions had neither).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import copysign
from typing import Any, NamedTuple

import msgspec

from drivers.reading import Millis, Quality, Value
from edge.store import catalogue, cursors, spans

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE sources(
            id INTEGER PRIMARY KEY, device TEXT NOT NULL, kind TEXT NOT NULL, space TEXT NOT NULL,
            building TEXT NOT NULL, points TEXT NOT NULL, UNIQUE(device, kind, space, building, points))""",
        """CREATE TABLE moments(
            id INTEGER PRIMARY KEY AUTOINCREMENT, source INTEGER NOT NULL REFERENCES sources(id),
            at INTEGER NOT NULL, received_at INTEGER NOT NULL, body BLOB NOT NULL)""",
        "CREATE INDEX moments_source_at ON moments(source, at)",
        """CREATE TABLE cursors(
            destination TEXT PRIMARY KEY, position INTEGER NOT NULL, sent INTEGER NOT NULL)
            WITHOUT ROWID""",
    ),
    catalogue.SCHEMA,
    cursors.SCHEMA,
    spans.SCHEMA,
)

QUALITIES = (Quality.GOOD, Quality.STALE, Quality.BAD)
_QUALITY_CODE = {quality: code for code, quality in enumerate(QUALITIES)}
_SHORT = b"\xc1"
_HUNDREDTHS = float(1 << 32)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode

Mark = tuple[Quality, str]
"""Why a value is not good: quality and reason."""


class Shape(NamedTuple):
    """What the vocabulary says of a point: its unit and type are fixed with the source."""

    name: str
    unit: str
    type: str


@dataclass(frozen=True)
class Source:
    """A device and its points, as tagged in the cloud."""

    device: str
    kind: str
    space: str
    building: str
    points: tuple[Shape, ...]

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Where each point's value stands in a body."""
        return {shape.name: number for number, shape in enumerate(self.points)}


@dataclass(slots=True)
class Moment:
    """The values of one instant; `marks` say which are not good, by index."""

    source: Source
    at: Millis
    received_at: Millis
    values: list[Value | None]
    marks: dict[int, Mark]

    def holds(self, index: int) -> bool:
        """Whether the instant says anything of a point."""
        return self.values[index] is not None or index in self.marks

    def body(self) -> bytes:
        """As stored."""
        values = [_short(value) for value in self.values]
        if not self.marks:
            return _SHORT + _encode(values)
        marks = {index: (_QUALITY_CODE[quality], reason) for index, (quality, reason) in self.marks.items()}
        return _SHORT + _encode((values, marks))


def _short(value: Value | None) -> Value | None:
    """A number as hundredths where these give every bit back."""
    if not isinstance(value, float):
        return value
    hundredths = value * 100.0
    if not -_HUNDREDTHS < hundredths < _HUNDREDTHS:
        return value
    whole = round(hundredths)
    return whole if whole / 100 == value and (whole or copysign(1.0, value) > 0) else value


def values_of(body: bytes) -> tuple[list[Value | None], Mapping[int, Mark]]:
    """A body's values, and the marks of those that are not good."""
    short = body[:1] == _SHORT
    raw: Any = _decode(body[1:] if short else body)
    values, marks = (raw, {}) if not raw or not isinstance(raw[0], list) else raw
    if short:
        values = [value / 100 if value.__class__ is int else value for value in values]
    return values, {index: (QUALITIES[code], reason) for index, (code, reason) in marks.items()}


def source_of(connection: sqlite3.Connection, source: Source) -> int:
    """The id of a source, made when it is new."""
    row = (source.device, source.kind, source.space, source.building, _points(source))
    connection.execute(
        "INSERT INTO sources(device, kind, space, building, points) VALUES(?,?,?,?,?) ON CONFLICT DO NOTHING",
        row,
    )
    found = connection.execute(
        "SELECT id FROM sources WHERE (device, kind, space, building, points) = (?,?,?,?,?)", row
    ).fetchone()
    return int(found[0])


def sources(connection: sqlite3.Connection, device: str | None = None) -> dict[int, Source]:
    """All sources by id, or those of one device, the oldest first."""
    where, names = ("", ()) if device is None else (" WHERE device=?", (device,))
    return {
        row[0]: Source(row[1], row[2], row[3], row[4], _shapes(row[5]))
        for row in connection.execute(
            f"SELECT id, device, kind, space, building, points FROM sources{where} ORDER BY id", names
        )
    }


def instants(
    connection: sqlite3.Connection, device: str, point: str, since: Millis, until: Millis
) -> Iterator[tuple[Millis, Value | None, Quality]]:
    """One point's values in [since, until), oldest first."""
    parts: list[Iterator[tuple[Millis, Value | None, Quality]]] = [
        _span(connection, number, index, since, until)
        for number, source in sources(connection, device).items()
        if (index := source.index.get(point)) is not None
    ]
    if len(parts) == 1:
        return parts[0]
    return iter(sorted((one for part in parts for one in part), key=lambda one: one[0]))


def _span(
    connection: sqlite3.Connection, source: int, index: int, since: Millis, until: Millis
) -> Iterator[tuple[Millis, Value | None, Quality]]:
    rows = connection.execute(
        f"SELECT m.at, m.body FROM {spans.WITHIN} AND m.source=:source ORDER BY m.at",
        {"source": source, "since": since, "until": until},
    )
    for at, body in rows:
        values, marks = values_of(body)
        value = values[index]
        if index in marks:
            yield at, value, marks[index][0]
        elif value is not None:
            yield at, value, Quality.GOOD


def _points(source: Source) -> str:
    return msgspec.json.encode(source.points).decode()


def _shapes(text: str) -> tuple[Shape, ...]:
    rows: Sequence[Sequence[str]] = msgspec.json.decode(text)
    return tuple(Shape(*row) for row in rows)
