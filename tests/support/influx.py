"""A real InfluxDB 1.6 behind the `/api/v2/write` face of 2.x, with faults to order.

`InfluxServer` starts its own influxd on loopback in a folder of its own and puts a facade
before it, which checks token and bucket, translates answers to those of 2.x and injects
faults. What it counts is what really is in the database.

    async with InfluxServer(tmp_path) as influx:
        influx.faults += [Status(503, {"Retry-After": "1"}), DropResponse()]
        ... let the gateway write to influx.url, influx.org, influx.bucket, influx.token ...
        assert await influx.count("electricity_meter", "active_power") == 5_000

Differences of 1.6 from OSS 2.x to remember: it stores the good lines of a malformed batch
(2.x stores none), and it knows no Flux.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx

from cloud_sync.loopback import Answer, BadRequest, LoopbackServer, Request, unpack
from tests.support.ports import free_port

_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
  logging-enabled = false
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{http}"
  log-enabled = false
  max-body-size = 0
[subscriber]
  enabled = false
[continuous_queries]
  enabled = false
"""
_PRECISION = {"ns": "ns", "us": "u", "ms": "ms", "s": "s"}
_START_S = 20.0


@dataclass(frozen=True, slots=True)
class Status:
    """Answers with this status instead of writing; `body` is an InfluxDB error unless given."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class DropResponse:
    """Writes, then breaks the connection without an answer: the outcome is unknown outside."""


@dataclass(frozen=True, slots=True)
class Swallow:
    """204 and nothing written: a server that queues what it takes, and refuses it later."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Waits, then goes on as if nothing was."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Html200:
    """A captive portal: 200 with a login page, nothing written."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """A captive portal of the other kind: 302 to its login page."""

    location: str = "http://portal.invalid/login"


Fault = Status | DropResponse | Swallow | Delay | Html200 | Redirect


class Seen(NamedTuple):
    """One write that came in, and the status it was answered with (0: none)."""

    lines: int
    body: bytes
    status: int


class InfluxServer:
    """influxd, its facade and a bucket; an async context manager.

    `faults` are used up one by one, one for each write. `down` refuses every write with
    503 while true; `body_limit` is a proxy's limit on the body as sent; changing `token`
    locks out who knows only the old one. `seen` are the writes that came in.
    """

    org = "linwei"
    bucket = "schools"
    bucket_hourly = "schools_hourly"

    def __init__(self, folder: Path, retention: str = "30d") -> None:
        self._folder = folder / "influxd"
        self._retention = retention
        self._http_port, rpc_port = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._stack = AsyncExitStack()
        self._facade = LoopbackServer(self._answer, max_body=64_000_000)
        self._client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self._http_port}", trust_env=False)
        self.token = "token-of-the-district"
        self.read_token = "token-that-may-read"
        self.faults: deque[Fault] = deque()
        self.down = False
        self.body_limit = 64_000_000
        self.seen: list[Seen] = []
        self._folder.mkdir(parents=True)
        config = _CONFIG.format(folder=self._folder, http=self._http_port, rpc=rpc_port)
        (self._folder / "influxdb.conf").write_text(config)

    @property
    def url(self) -> str:
        """The facade: what a destination's `url` must be."""
        return self._facade.url

    @property
    def pid(self) -> int:
        """The process id of the running influxd."""
        assert self._process is not None, "influxd is not running"
        return self._process.pid

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._client.aclose)
            stack.callback(self.kill)
            await self.start()
            await self.create_bucket(self.bucket, self._retention)
            await self.create_bucket(self.bucket_hourly, "INF")
            await stack.enter_async_context(self._facade)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def start(self) -> None:
        """Starts influxd (again) on the same data and waits until it answers."""
        command = ["influxd", "run", "-config", str(self._folder / "influxdb.conf")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        async with asyncio.timeout(_START_S):
            while not await self._alive():
                assert self._process.poll() is None, (self._folder / "log").read_text()
                await asyncio.sleep(0.02)

    async def _alive(self) -> bool:
        try:
            return (await self._client.get("/ping")).status_code == 204
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """SIGKILL to this server's own influxd; it stays down until `start()`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT behind `freeze()`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def create_bucket(self, name: str, retention: str = "30d") -> None:
        """Creates a bucket whose points expire after `retention`."""
        await self._query(f'CREATE DATABASE "{name}" WITH DURATION {retention} NAME rp', database="")

    async def write(self, lines: bytes) -> None:
        """Puts lines straight into influxd, times in ms, past the facade and its faults."""
        answer = await self._client.post(
            "/write", params={"db": self.bucket, "precision": "ms"}, content=lines
        )
        assert answer.status_code == 204, answer.text

    async def count(self, measurement: str, name: str, where: str = "") -> int:
        """How many values the field has, over all series or where the tags are so."""
        return int(await self._number(f'count("{name}")', measurement, where))

    async def total(self, measurement: str, name: str, where: str = "") -> float:
        """The sum of the field's values."""
        return await self._number(f'sum("{name}")', measurement, where)

    async def count_by(self, measurement: str, name: str, tag: str) -> dict[str, int]:
        """Counts of the field for each value of a tag."""
        query = f'SELECT count("{name}") FROM "{measurement}" GROUP BY "{tag}"'
        return {one["tags"][tag]: int(one["values"][0][1]) for one in await self._query(query)}

    async def rows(self, measurement: str, where: str = "") -> list[dict[str, Any]]:
        """All points of a measurement, fields and tags by name, `time` in ms."""
        rows = []
        for one in await self._query(f'SELECT * FROM "{measurement}" {_where(where)}'):
            rows += [dict(zip(one["columns"], values, strict=True)) for values in one["values"]]
        return rows

    async def query(self, query: str) -> Sequence[dict[str, Any]]:
        """The series that an InfluxQL query answers with."""
        return await self._query(query)

    async def _number(self, selection: str, measurement: str, where: str) -> float:
        series = await self._query(f'SELECT {selection} FROM "{measurement}" {_where(where)}')
        return float(series[0]["values"][0][1]) if series else 0.0

    async def hourly(self, query: str) -> Sequence[dict[str, Any]]:
        """The series of the bucket of hourly figures that a query answers with."""
        return await self._query(query, self.bucket_hourly)

    async def _query(self, query: str, database: str | None = None) -> Sequence[dict[str, Any]]:
        parameters = {"q": query, "epoch": "ms", "db": self.bucket if database is None else database}
        answer = await self._client.post("/query", params=parameters)
        result = json.loads(answer.text)["results"][0]
        assert "error" not in result, result["error"]
        found: Sequence[dict[str, Any]] = result.get("series", ())
        return found

    async def delete(self, measurement: str, where: str) -> None:
        """Deletes points, as somebody at the district might."""
        await self._query(f'DELETE FROM "{measurement}" WHERE {where}')

    async def _answer(self, request: Request) -> Answer | None:
        if request.path == "/query" and request.method == "POST":
            return await self._asked(request)
        if request.path != "/api/v2/write" or request.method != "POST":
            return _error(404, "path not found")
        try:
            body = unpack(request, 256_000_000)
        except BadRequest as error:
            return _error(400, str(error))
        fault = self.faults.popleft() if self.faults else None
        answer = await self._injected(fault)
        if answer is None:
            answer = await self._forward(request, body)
        dropped = isinstance(fault, DropResponse)
        self.seen.append(Seen(len(body.splitlines()), body, 0 if dropped else answer.status))
        return None if dropped else answer

    async def _asked(self, request: Request) -> Answer:
        if request.headers.get("authorization") not in (f"Token {self.token}", f"Token {self.read_token}"):
            return _error(401, "unauthorized access")
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            upstream = await self._client.post(
                "/query", params=dict(request.query), content=request.body, headers=headers, timeout=60
            )
        except httpx.HTTPError as error:
            return _error(503, f"upstream: {type(error).__name__}")
        return Answer(upstream.status_code, upstream.content, {"Content-Type": "application/json"})

    async def _injected(self, fault: Fault | None) -> Answer | None:
        if self.down:
            return _error(503, "service unavailable", {"Retry-After": "1"})
        match fault:
            case Status(status, headers, body):
                if body is None:
                    return _error(status, "ordered by the test", headers)
                return Answer(status, body, headers)
            case Swallow():
                return Answer(204)
            case Html200():
                return Answer(200, b"<html><body>Sign in</body></html>", {"Content-Type": "text/html"})
            case Redirect(location):
                return Answer(302, b"", {"Location": location})
            case Delay(seconds):
                await asyncio.sleep(seconds)
        return None

    async def _forward(self, request: Request, body: bytes) -> Answer:
        if request.headers.get("authorization") != f"Token {self.token}":
            return _error(401, "unauthorized access")
        if len(request.body) > self.body_limit:
            page = b"<html><body>413 Request Entity Too Large</body></html>"
            return Answer(413, page, {"Content-Type": "text/html"})
        parameters = {
            "db": request.query.get("bucket", ""),
            "precision": _PRECISION.get(request.query.get("precision", "ns"), "invalid"),
        }
        try:
            upstream = await self._client.post("/write", params=parameters, content=body, timeout=60)
        except httpx.HTTPError as error:
            return _error(503, f"upstream: {type(error).__name__}")
        return _translated(upstream, parameters["db"])


def _translated(upstream: httpx.Response, bucket: str) -> Answer:
    """The answer of 2.x to what 1.6 answered."""
    if upstream.status_code == 204:
        return Answer(204)
    message = str(upstream.json().get("error", "")) if upstream.content else upstream.reason_phrase
    if upstream.status_code == 404:
        return _error(404, f'bucket "{bucket}" not found')
    dropped = re.search(r"dropped=(\d+)", message)
    if upstream.status_code == 400 and dropped and int(dropped[1]) > 0:
        return _error(422, f"failure writing points to database: {message}")
    return _error(upstream.status_code, message)


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Answer:
    return Answer.json(status, {"code": "error", "message": message}, headers or {})


def _where(condition: str) -> str:
    return f"WHERE {condition}" if condition else ""
