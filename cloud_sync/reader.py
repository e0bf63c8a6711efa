"""Asks the district what it holds: counts and sums of a time by series, and single points.

Two languages behind one interface: InfluxQL (`/query`: 1.x, 3 Core, 2.x with a mapping) and Flux
(`/api/v2/query`: 2.x). Nothing is written; a token that may read is enough.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from cloud_sync.answers import explain
from cloud_sync.settings import InfluxDestination
from drivers.reading import Millis, Value

if TYPE_CHECKING:
    import httpx

Tags = tuple[tuple[str, str], ...]
"""The tags of a series that have a value, sorted."""
_LIMIT_S = 120.0
_FLUX_OWN = frozenset({"", "result", "table"})


class ReadFailed(Exception):
    """The district did not answer the question; the message says why and never holds the token."""


class Series(NamedTuple):
    """One field of one series of a measurement."""

    tags: Tags
    field: str


class Sum(NamedTuple):
    """How many values, and of numbers what they add up to."""

    number: int
    total: float | None = None

    def same(self, other: Sum) -> bool:
        """Equal numbers, and totals equal but for the order of adding."""
        if self.number != other.number:
            return False
        if self.total is None or other.total is None:
            return True
        return abs(self.total - other.total) <= 1e-9 * max(1.0, abs(self.total), abs(other.total))


class Question(NamedTuple):
    """A measurement of one school in [since, until), and which of its fields are numbers; of some devices,
    or of all where none is named."""

    measurement: str
    school: str
    numbers: frozenset[str]
    since: Millis
    until: Millis
    devices: frozenset[str] = frozenset()


class Reader(Protocol):
    """A district that can be asked."""

    async def sums(self, question: Question) -> Mapping[Series, Sum]:
        """What it holds, by series; raises ReadFailed."""
        ...

    async def value(self, measurement: str, series: Series, at: Millis) -> Value | None:
        """One point's value; `None` when it is not there. Raises ReadFailed."""
        ...


class _Asking:
    """The connection to one bucket; an async context manager."""

    def __init__(self, destination: InfluxDestination, token: str) -> None:
        self._bucket = destination.bucket
        self._org = destination.org
        self._url = destination.url
        self._token = token
        self._connect_s = destination.connect_timeout.total_seconds()
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connection; the next question opens another."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _ask(self, path: str, **how: Any) -> str:
        import httpx  # loaded by those who ask only

        if self._client is None:
            self._client = httpx.AsyncClient(
                headers={"Authorization": f"Token {self._token}"},
                timeout=httpx.Timeout(60.0, connect=self._connect_s), trust_env=False,
            )  # fmt: skip
        try:
            async with asyncio.timeout(_LIMIT_S):
                answer = await self._client.post(f"{self._url}{path}", **how)
        except (TimeoutError, httpx.HTTPError) as error:
            raise ReadFailed(f"no answer: {type(error).__name__}: {error}"[:300]) from error
        if answer.status_code != httpx.codes.OK:
            said = explain(answer.headers, answer.text) or "refused"
            raise ReadFailed(f"{answer.status_code}: {said}")
        return answer.text


class InfluxQlReader(_Asking):
    """Asks in InfluxQL."""

    async def sums(self, question: Question) -> Mapping[Series, Sum]:
        """See `Reader`."""
        span = f"time >= {question.since}ms AND time < {question.until}ms"
        where = f'"school" = {_text(question.school)} AND {span}'
        if question.devices:
            devices = " OR ".join(f'"device" = {_text(one)}' for one in sorted(question.devices))
            where += f" AND ({devices})"
        found: dict[Series, Sum] = {}
        for one in await self._series(
            f"SELECT count(*), sum(*) FROM {_name(question.measurement)} WHERE {where} GROUP BY *"
        ):
            tags = _tags(one.get("tags") or {})
            row = dict(zip(one["columns"], one["values"][0], strict=True))
            for column, number in row.items():
                if column.startswith("count_") and number:
                    name = column.removeprefix("count_")
                    total = row.get(f"sum_{name}") if name in question.numbers else None
                    found[Series(tags, name)] = Sum(int(number), None if total is None else float(total))
        return found

    async def value(self, measurement: str, series: Series, at: Millis) -> Value | None:
        """See `Reader`."""
        where = [f"{_name(key)} = {_text(value)}" for key, value in series.tags]
        where.append(f"time = {at}ms")
        query = f"SELECT {_name(series.field)} FROM {_name(measurement)} WHERE {' AND '.join(where)}"
        for one in await self._series(query):
            value: Value | None = one["values"][0][1]
            return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
        return None

    async def _series(self, query: str) -> Sequence[dict[str, Any]]:
        parameters = {"db": self._bucket, "epoch": "ms"}
        text = await self._ask("/query", params=parameters, data={"q": query})
        try:
            result = json.loads(text)["results"][0]
            series: Sequence[dict[str, Any]] = result.get("series", ())
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ReadFailed("answered, but not as InfluxDB does") from error
        if "error" in result:
            raise ReadFailed(str(result["error"])[:300])
        return series


class FluxReader(_Asking):
    """Asks in Flux."""

    async def sums(self, question: Question) -> Mapping[Series, Sum]:
        """See `Reader`."""
        data = self._data(question.measurement, question.since, question.until, [("school", question.school)])
        if question.devices:
            devices = " or ".join(f'r["device"] == {_flux(one)}' for one in sorted(question.devices))
            data += f" |> filter(fn: (r) => {devices})"
        numbers = " or ".join(f"r._field == {_flux(name)}" for name in sorted(question.numbers))
        counts, totals = await self._rows(f"{data} |> count()"), []
        if numbers:
            totals = await self._rows(f"{data} |> filter(fn: (r) => {numbers}) |> sum()")
        sums = {_series_of(row): float(row["_value"]) for row in totals}
        return {_series_of(row): Sum(int(row["_value"]), sums.get(_series_of(row))) for row in counts}

    async def value(self, measurement: str, series: Series, at: Millis) -> Value | None:
        """See `Reader`."""
        tags = [*series.tags, ("_field", series.field)]
        for row in await self._rows(f"{self._data(measurement, at, at + 1, tags)} |> last()"):
            text = row["_value"]
            if text in ("true", "false"):
                return text == "true"
            try:
                return float(text)
            except ValueError:
                return text
        return None

    def _data(self, measurement: str, since: Millis, until: Millis, tags: Sequence[tuple[str, str]]) -> str:
        wanted = [("_measurement", measurement), *tags]
        tests = " and ".join(f"r[{_flux(key)}] == {_flux(value)}" for key, value in wanted)
        span = f"start: time(v: {since * 1_000_000}), stop: time(v: {until * 1_000_000})"
        return f"from(bucket: {_flux(self._bucket)}) |> range({span}) |> filter(fn: (r) => {tests})"

    async def _rows(self, query: str) -> list[dict[str, str]]:
        body = {"query": query, "type": "flux", "dialect": {"header": True, "annotations": []}}
        text = await self._ask("/api/v2/query", params={"org": self._org}, json=body)
        try:
            return list(_csv_rows(text))
        except (csv.Error, KeyError, ValueError) as error:
            raise ReadFailed("answered, but not as InfluxDB 2.x does") from error


def _csv_rows(text: str) -> Iterator[dict[str, str]]:
    """The rows of an answer, whose tables of other columns begin behind an empty line."""
    header: list[str] | None = None
    for row in csv.reader(io.StringIO(text)):
        if not row:
            header = None
        elif header is None:
            header = row
            if not {"table", "_value", "_field"} <= set(header):
                raise ValueError("no table of values")
        else:
            yield dict(zip(header, row, strict=True))


def _series_of(row: Mapping[str, str]) -> Series:
    own = {key: value for key, value in row.items() if key not in _FLUX_OWN and not key.startswith("_")}
    return Series(_tags(own), row["_field"])


def _tags(found: Mapping[str, str]) -> Tags:
    return tuple(sorted((key, value) for key, value in found.items() if value))


def _name(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _flux(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${") + '"'


def reader(destination: InfluxDestination, token: str) -> InfluxQlReader | FluxReader:
    """The reader of a destination's own language."""
    kind = FluxReader if destination.query == "flux" else InfluxQlReader
    return kind(destination, token)
