"""Stored readings as CSV or line protocol, streamed: memory does not grow with the time asked for.

csv   time,device,space,point,value,unit,quality,reason      RFC 3339 in UTC, one reading a row
lp    kind,building=...,device=...,space=... point=value,... ms    good values only, as the district gets them
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from cloud_sync.errors import NotALine
from cloud_sync.line_protocol import format_entry
from cloud_sync.outbox import Entry
from drivers.reading import Millis, Quality, Value
from edge.store.history import Snapshot
from edge.store.series import StoredRow, rows_of

Format = Literal["csv", "lp"]
HEADER = "time,device,space,point,value,unit,quality,reason\n"
_GOOD = (Quality.GOOD, "")


def count_moments(data: Path, since: Millis, until: Millis, device: str | None = None) -> int:
    """About how many moments an export walks over, for its progress."""
    with Snapshot(data) as snapshot:
        return snapshot.count(since, until, device)


def export(
    data: Path,
    since: Millis,
    until: Millis,
    form: Format,
    device: str | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Iterator[str]:
    """Text in pieces: readings with since <= at < until, by day of storing and device. `advance` is
    told how many moments each piece took."""
    if form == "csv":
        yield HEADER
    with Snapshot(data) as snapshot:
        for source, block in snapshot.blocks(since, until, device):
            for low in range(0, len(block), 2000):
                rows = rows_of(source, block, low, min(low + 2000, len(block)))
                inside = [row for row in rows if since <= row.at < until]
                yield _csv(inside) if form == "csv" else _lines(inside)
                advance(len(rows))


def _csv(rows: list[StoredRow]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        place = (_rfc3339(row.at), row.source.device, row.source.space)
        for index, (shape, value) in enumerate(zip(row.source.points, row.values, strict=True)):
            if value is not None or index in row.marks:
                quality, reason = row.marks.get(index, _GOOD)
                writer.writerow((*place, shape.name, _text(value), shape.unit, quality.value, reason))
    return text.getvalue()


def _lines(rows: list[StoredRow]) -> str:
    found = []
    for row in rows:
        source = row.source
        fields = {
            shape.name: value
            for index, (shape, value) in enumerate(zip(source.points, row.values, strict=True))
            if value is not None and index not in row.marks
        }
        tags = {"building": source.building, "space": source.space, "device": source.device}
        if fields:
            try:
                found.append(format_entry(Entry(row.id, source.kind, tags, fields, row.at)).decode())
            except NotALine:  # what the district would not take either
                continue
    return "".join(f"{line}\n" for line in found)


def _text(value: Value | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _rfc3339(at: Millis) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
