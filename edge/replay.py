"""Readings out of the past, for rehearsals of rules: from a data folder, or from a CSV file."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from drivers.mqtt.settings import MqttDevice
from drivers.reading import Millis, Quality, Reading, Value

if TYPE_CHECKING:
    from edge.config.configuration import Configuration
    from edge.slabs import StoredSlab
    from rules.rehearsal import Wanted


class Unreadable(Exception):
    """There is nothing to replay; the message says why."""


class StoredReadings:
    """`rules.rehearsal.Readings` and `Columns` over a data folder, which a gateway may be writing to.

    `backfill_ms` says of devices that keep a log of their own how late a reading may be and still be
    live; see `late_by`.
    """

    def __init__(self, data: Path, backfill_ms: Mapping[str, Millis] | None = None) -> None:
        self._data = data
        self._backfill_ms = backfill_ms or {}
        if not (data / "telemetry.db").is_file():
            raise Unreadable(f"there are no readings in {data}")

    def newest(self) -> Millis | None:
        """When the last reading was measured; None when there is none. Raises Unreadable."""
        from edge.store import catalogue, spans
        from edge.store.sealing import telemetry

        try:
            with closing(telemetry(self._data)) as connection:
                hot = spans.bounds(connection)
                ends = [day.last_at for day in catalogue.days(connection) if day.raw]
        except sqlite3.DatabaseError as error:
            raise self._unreadable(error) from error
        return max([*ends, *([] if hot is None else [hot[1]])], default=None)

    def between(self, since: Millis, until: Millis) -> Iterator[Reading]:
        """See the protocol; raises Unreadable for a broken file."""
        for slab in self._slabs(since, until, None):
            yield from slab.everything()

    def slabs(self, since: Millis, until: Millis, wanted: Wanted) -> Iterator[StoredSlab]:
        """See the protocol; raises Unreadable for a broken file."""
        return self._slabs(since, until, wanted)

    def _slabs(self, since: Millis, until: Millis, wanted: Wanted | None) -> Iterator[StoredSlab]:
        from edge.slabs import Slabs  # with numpy

        try:
            yield from Slabs(self._data, since, until, wanted, self._backfill_ms)
        except sqlite3.DatabaseError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: sqlite3.DatabaseError) -> Unreadable:
        return Unreadable(f"telemetry.db cannot be read: {error}")


def late_by(configuration: Configuration) -> Mapping[str, Millis]:
    """How late readings of the devices that send their own time may come and still be live, in ms."""
    return {
        name: device.settings.late_ms
        for name, device in configuration.devices.items()
        if isinstance(device.settings, MqttDevice)
    }


class CsvReadings:
    """`rules.rehearsal.Readings` over a CSV file with a header: device, point, at and value; also
    quality and reason. `at` is RFC 3339 or epoch milliseconds. `units` are those of the points.

    A file that is not by time is sorted first, on disk.
    """

    def __init__(self, path: Path, units: Mapping[str, str]) -> None:
        self._path = path
        self._units = units
        self._known: tuple[Millis | None, bool] | None = None

    def newest(self) -> Millis | None:
        """When the last reading was measured; None when there is none. Raises Unreadable."""
        return self._look()[0]

    def between(self, since: Millis, until: Millis) -> Iterator[Reading]:
        """See the protocol; raises Unreadable with the line at fault."""
        wanted = (reading for reading in self._read() if since <= reading.at < until)
        return wanted if self._look()[1] else _by_time(wanted)

    def _look(self) -> tuple[Millis | None, bool]:
        """The newest time, and whether the file is by time."""
        if self._known is None:
            newest, ordered = None, True
            for reading in self._read():
                if newest is None or reading.at >= newest:
                    newest = reading.at
                else:
                    ordered = False
            self._known = newest, ordered
        return self._known

    def _read(self) -> Iterator[Reading]:
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                yield from map(self._reading, csv.DictReader(file))
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


def _by_time(readings: Iterable[Reading]) -> Iterator[Reading]:
    """Readings sorted by a file that goes away with its connection."""
    with closing(sqlite3.connect("", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("CREATE TABLE readings(id INTEGER PRIMARY KEY, at INTEGER, body BLOB)")
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO readings(at, body) VALUES(?, ?)",
            ((reading.at, msgspec.msgpack.encode(reading)) for reading in readings),
        )
        for (body,) in connection.execute("SELECT body FROM readings ORDER BY at, id"):
            yield _READING.decode(body)


_READING = msgspec.msgpack.Decoder(Reading)


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
