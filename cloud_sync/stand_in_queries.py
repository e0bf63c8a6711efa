"""Answers the questions of `cloud_sync.reader` from what the stand-in holds; no other queries.

from(bucket: "b") |> range(start: time(v: 1), stop: time(v: 2)) |> filter(fn: (r) => r["k"] == "v" ...)
    [|> filter(fn: (r) => r["device"] == "d" or ...)] [|> filter(fn: (r) => r._field == "f" ...)]
    |> count() | sum() | last()
SELECT count(*), sum(*) FROM "m" WHERE "school" = 's' AND time >= 1ms AND time < 2ms
    [AND ("device" = 'd' OR ...)] GROUP BY *
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from typing import Any

from cloud_sync.holdings import Holdings, Part

_FLUX = re.compile(
    r'from\(bucket: "(?P<bucket>[^"]+)"\) \|> range\(start: time\(v: (?P<since>-?\d+)\), '
    r"stop: time\(v: (?P<until>-?\d+)\)\) \|> filter\(fn: \(r\) => (?P<tags>.*?)\)"
    r"( \|> filter\(fn: \(r\) => (?P<devices>r\[\"device\"\].*?)\))?"
    r"( \|> filter\(fn: \(r\) => (?P<fields>.*?)\))? \|> (?P<what>count|sum|last)\(\)"
)
_TAG = re.compile(r'r\["(\w+)"\] == "([^"]*)"')
_FIELD = re.compile(r'r\._field == "([^"]*)"')
_INFLUXQL = re.compile(
    r'SELECT count\(\*\), sum\(\*\) FROM "(?P<measurement>[^"]+)" WHERE "school" = \'(?P<school>[^\']*)\''
    r" AND time >= (?P<since>-?\d+)ms AND time < (?P<until>-?\d+)ms"
    r"( AND \((?P<devices>.*)\))? GROUP BY \*"
)
_DEVICE = re.compile(r"\"device\" = '([^']*)'")
_MILLION = 1_000_000


class NotUnderstood(ValueError):
    """A query of another form."""


def flux(query: str, holdings: Holdings) -> bytes:
    """The answer as CSV, a table with its own header for each series."""
    match = _FLUX.fullmatch(query)
    if match is None:
        raise NotUnderstood("the stand-in does not understand this query")
    tags = dict(_TAG.findall(match["tags"]))
    measurement, field = tags.pop("_measurement", ""), tags.pop("_field", None)
    wanted = set(_FIELD.findall(match["fields"] or ""))
    devices = {device for _, device in _TAG.findall(match["devices"] or "")}
    out = io.StringIO()
    writer = csv.writer(out)
    table = 0
    for own, name, part in holdings.within(measurement, tags, int(match["since"]), int(match["until"])):
        if field not in (None, name) or (match["fields"] and name not in wanted):
            continue
        if devices and own.get("device") not in devices:
            continue
        names = sorted(own)
        head = ["", "result", "table", "_value", "_field", "_measurement"]
        writer.writerow([*head, *names])
        value = _told(part, match["what"])
        writer.writerow(["", "_result", table, value, name, measurement, *(own[key] for key in names)])
        out.write("\r\n")
        table += 1
    return out.getvalue().encode()


def _told(part: Part, what: str) -> str:
    if what == "last":
        return str(part.last).lower() if part.type is bool else str(part.last)
    return str(part.number if what == "count" else part.total)


def influxql(query: str, holdings: Holdings) -> Mapping[str, Any]:
    """The answer as JSON has it."""
    match = _INFLUXQL.fullmatch(query)
    if match is None:
        raise NotUnderstood("the stand-in does not understand this query")
    span = int(match["since"]) * _MILLION, int(match["until"]) * _MILLION
    devices = set(_DEVICE.findall(match["devices"] or ""))
    by_tags: dict[tuple[tuple[str, str], ...], dict[str, float | int]] = {}
    for own, name, part in holdings.within(match["measurement"], {"school": match["school"]}, *span):
        if devices and own.get("device") not in devices:
            continue
        row = by_tags.setdefault(tuple(sorted(own.items())), {})
        row[f"count_{name}"] = part.number
        if part.type is float:
            row[f"sum_{name}"] = part.total
    series = [
        {
            "name": match["measurement"], "tags": dict(own), "columns": ["time", *row],
            "values": [[int(match["since"]), *row.values()]],
        }
        for own, row in by_tags.items()
    ]  # fmt: skip
    return {"results": [{"statement_id": 0, **({"series": series} if series else {})}]}
