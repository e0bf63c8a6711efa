"""Readings out of the past, for rehearsals of rules: from a data folder, or from a CSV file."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from drivers.reading import Millis, Quality, Reading, Value
from edge.store import moments


class Unreadable(Exception):
    """There is nothing to replay; the message says why."""


class StoredReadings:
    """`rules.rehearsal.Readings` over a data folder, which a gateway may be writing to."""

    def __init__(self, data: Path) -> None:
        self._path = data / "telemetry.db"
        if not self._path.is_file():
            raise Unreadable(f"there are no readings in {data}")

    def between(self, since: Millis, until: Millis) -> Iterator[Reading]:
        """See the protocol; raises Unreadable for a broken file."""
        try:
            with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as connection:
                for one in moments.walk(connection):
                    if since <= one.at < until:
                        yield Reading(
                            one.source.device, one.point.name, one.value, one.point.unit, one.at, one.at,
                            one.quality, one.reason,
                        )  # fmt: skip
        except sqlite3.DatabaseError as error:
            raise Unreadable(f"{self._path.name} cannot be read: {error}") from error


class CsvReadings:
    """`rules.rehearsal.Readings` over a CSV file with a header: device, point, at and value; also
    quality and reason. `at` is RFC 3339 or epoch milliseconds. `units` are those of the points."""

    def __init__(self, path: Path, units: Mapping[str, str]) -> None:
        self._path = path
        self._units = units

    def between(self, since: Millis, until: Millis) -> Iterator[Reading]:
        """See the protocol; raises Unreadable with the line at fault."""
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                for row in csv.DictReader(file):
                    reading = self._reading(row)
                    if since <= reading.at < until:
                        yield reading
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise Unreadable(f"{self._path}: {error}") from error

    def _reading(self, row: Mapping[str, str | None]) -> Reading:
        try:
            device, point, at = row["device"] or "", row["point"] or "", _instant(row["at"] or "")
            unit = self._units.get(point, "1")
            value = _value(row["value"] or "", unit)
            quality = Quality(row.get("quality") or ("bad" if value is None else "good"))
        except (KeyError, ValueError) as error:
            raise Unreadable(f"{self._path}: a row needs device, point, at and value: {error}") from error
        return Reading(device, point, value, unit, at, at, quality, row.get("reason") or "")


def parse_instant(text: str) -> Millis:
    """RFC 3339 with a zone, a date (UTC), or epoch milliseconds; ValueError for anything else."""
    return _instant(text)


def shown(at: Millis) -> str:
    """RFC 3339 in UTC."""
    text = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _instant(text: str) -> Millis:
    if text.isdecimal() and len(text) > 8:
        return int(text)
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return round(when.timestamp() * 1000)


def _value(text: str, unit: str) -> Value | None:
    if not text:
        return None
    if unit == "text":
        return text
    if unit == "bool":
        if text.lower() not in ("true", "false", "1", "0", "1.0", "0.0"):
            raise ValueError(f"{text!r} is neither true nor false")
        return text.lower() in ("true", "1", "1.0")
    return float(text)
