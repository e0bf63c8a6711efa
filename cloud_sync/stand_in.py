"""The district on loopback: `/api/v2/write` and the questions of a comparison, as InfluxDB 2 answers them.

It checks the token, parses strictly, keeps points idempotently and can be told to be down.
Its answers follow the write handler of InfluxDB OSS 2.x: 401 for the token, 404 for the
bucket, 400 for a malformed line with nothing stored, 422 for a field type conflict with
the other points stored.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Self
from urllib.parse import parse_qs

from cloud_sync.holdings import Holdings
from cloud_sync.line_parser import LineFault, Point, parse_lines
from cloud_sync.loopback import Answer, BadRequest, LoopbackServer, Request, unpack
from cloud_sync.settings import STAND_IN_ORG
from cloud_sync.stand_in_queries import flux, influxql

__all__ = ["STAND_IN_ORG", "Counts", "Outage", "StandIn"]

_BODY_BYTES = 8_000_000
_UNPACKED_BYTES = 32_000_000
_NANOSECONDS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_LATEST = 2**63 - 1


class Outage(StrEnum):
    """How the stand-in is down."""

    UNAVAILABLE = "unavailable"  # 503 with Retry-After
    CLOSED = "closed"  # connections break without an answer


@dataclass(frozen=True, slots=True)
class Counts:
    """What arrived: distinct points (series, field, time), series, writes taken and refused."""

    points: int
    series: int
    writes: int
    refused: int


class StandIn:
    """One bucket of one organisation; an async context manager that listens while open."""

    def __init__(self, org: str, bucket: str, token: str, port: int = 0) -> None:
        self._org = org
        self._bucket = bucket
        self._token = f"Token {token}".encode()
        self._server = LoopbackServer(self._answer, port, _BODY_BYTES)
        self._outage: Outage | None = None
        self._writes = 0
        self._refused = 0
        self.holdings = Holdings()

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._server.__aexit__(*exc_info)

    @property
    def url(self) -> str:
        """What a destination's `url` must be."""
        return self._server.url

    def points(self) -> int:
        """Distinct points held: one for each series, field and time."""
        return self.holdings.points

    def counts(self) -> Counts:
        """All counters."""
        return Counts(self.holdings.points, len(self.holdings), self._writes, self._refused)

    def down(self, outage: Outage = Outage.UNAVAILABLE) -> None:
        """Refuses everything in the given manner until `up()`."""
        self._outage = outage

    def up(self) -> None:
        """Serves again."""
        self._outage = None

    async def _answer(self, request: Request) -> Answer | None:
        if self._outage is Outage.CLOSED:
            return None
        if self._outage is Outage.UNAVAILABLE:
            return _error(503, "unavailable", "the district is down for a rehearsal", {"Retry-After": "2"})
        match request.method, request.path:
            case "POST", "/api/v2/write":
                answer = self._write(request)
                if answer.status == 204:
                    self._writes += 1
                else:
                    self._refused += 1
                return answer
            case "POST", "/api/v2/query" | "/query":
                return self._query(request)
            case "GET", "/health":
                return Answer.json(200, {"name": "stand-in", "status": "pass"})
            case "GET", "/counts":
                return Answer.json(200, asdict(self.counts()))
        return _error(404, "not found", "path not found")

    def _write(self, request: Request) -> Answer:
        refusal = self._admit(request)
        if refusal is not None:
            return refusal
        unit = _NANOSECONDS.get(request.query.get("precision", "ns"))
        if unit is None:
            return _error(400, "invalid", "precision must be one of ns, us, ms, s")
        try:
            points = parse_lines(unpack(request, _UNPACKED_BYTES))
            for point in points:
                if not -_LATEST <= point.at * unit <= _LATEST:
                    raise LineFault(point.line, "time outside range")
        except BadRequest as error:
            return _error(400, "invalid", str(error))
        except LineFault as error:
            return _error(400, "invalid", f"unable to parse line {error.line}: {error.reason}")
        return self._store(points, unit)

    def _query(self, request: Request) -> Answer:
        """Whoever may write here may read too."""
        authorization = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(authorization, self._token):
            return _error(401, "unauthorized", "unauthorized access")
        try:
            if request.path == "/query":
                asked = parse_qs(request.body.decode()).get("q", [""])[0]
                return Answer.json(200, influxql(asked, self.holdings))
            asked = str(json.loads(request.body)["query"])
            return Answer(200, flux(asked, self.holdings), {"Content-Type": "text/csv; charset=utf-8"})
        except (ValueError, LookupError, TypeError) as error:
            return _error(400, "invalid", str(error))

    def _admit(self, request: Request) -> Answer | None:
        authorization = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(authorization, self._token):
            return _error(401, "unauthorized", "unauthorized access")
        if request.query.get("org") != self._org:
            return _error(404, "not found", "organization name not found")
        if request.query.get("bucket") != self._bucket:
            return _error(404, "not found", f'bucket "{request.query.get("bucket", "")}" not found')
        return None

    def _store(self, points: Sequence[Point], unit: int) -> Answer:
        dropped = 0
        reason = ""
        for point in points:
            conflict = self.holdings.conflict(point)
            if conflict:
                dropped, reason = dropped + 1, conflict
            else:
                self.holdings.store(point, point.at * unit)
        if dropped:
            message = f"failure writing points to database: partial write: {reason} dropped={dropped}"
            return _error(422, "unprocessable entity", message)
        return Answer(204)


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Answer:
    return Answer.json(status, {"code": code, "message": message}, headers or {})
