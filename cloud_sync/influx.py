"""One write = one request through influxdb-client's low-level write service.

The library is imported with the first write (it costs 50 MB and a third of a second), in
the one worker thread that all calls run in. It neither retries nor follows redirects here;
certificates are always verified.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

from cloud_sync.answers import judge
from cloud_sync.errors import NoConnection, Rejected, Unreachable
from cloud_sync.settings import InfluxDestination
from drivers.reading import Millis
from drivers.settings import millis

if TYPE_CHECKING:
    from urllib3 import PoolManager

_GZIP_LEVEL = 1  # line protocol shrinks tenfold at any level; the library's own 9 costs 5 x the time
_TRICKLE = 3  # a whole answer may take this many read timeouts


class InfluxWriter:
    """The connection to one destination; an async context manager that owns its thread."""

    def __init__(self, destination: InfluxDestination, token: str) -> None:
        if not token or not token.isascii() or not token.isprintable():
            raise ValueError("the token must be printable ASCII on one line")
        self._destination = destination
        self._token = token
        self._connect_ms = millis(destination.connect_timeout)
        self._read_ms = millis(destination.read_timeout)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=f"influx-{destination.id}")
        self._client: Any = None  # kept: the library's client closes its connections when collected
        self._service: Any = None
        self._pools: PoolManager | None = None
        self._socket: socket.socket | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def write(self, lines: bytes) -> None:
        """Sends the lines (without a final newline, times in ms) in one request.

        Cancelling breaks the connection; the outcome is then unknown, as after any
        UploadError but Rejected.
        """
        loop = asyncio.get_running_loop()
        deadline = (self._connect_ms + _TRICKLE * self._read_ms) / 1000
        try:
            async with asyncio.timeout(deadline):
                await loop.run_in_executor(self._worker, self._write, lines)
        except TimeoutError as error:
            self._abort()
            raise Unreachable(f"no complete answer within {deadline:.0f} s", timed_out=True) from error
        except asyncio.CancelledError:
            self._abort()
            raise

    async def aclose(self) -> None:
        """Breaks a request under way, closes the connection and joins the thread."""
        self._closed = True
        self._abort()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._worker.shutdown)
        self._drop_connection()

    def _abort(self) -> None:
        connected = self._socket
        if connected is not None:
            with contextlib.suppress(OSError):  # closed meanwhile
                # the plain socket's shutdown: a TLS socket's own forgets its session under the reader
                socket.socket.shutdown(connected, socket.SHUT_RDWR)

    def _drop_connection(self) -> None:
        self._socket = None
        if self._pools is not None:
            self._pools.clear()

    # Everything below runs in the worker thread.

    def _write(self, lines: bytes) -> None:
        if self._closed:
            raise Unreachable("closed")
        try:
            self._request(lines)
        except Rejected:
            raise  # a clean answer: the connection is fine
        except BaseException:
            self._drop_connection()
            raise

    def _request(self, lines: bytes) -> None:
        from influxdb_client.rest import ApiException
        from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError

        if self._service is None:
            self._service = self._open()
        body = gzip.compress(lines, _GZIP_LEVEL, mtime=0)  # no time inside: identical on every try
        try:
            _, status, headers = self._service.post_write_with_http_info(
                self._destination.org,
                self._destination.bucket,
                body,
                precision="ms",
                content_encoding="gzip",
                urlopen_kw={"redirect": False},
            )
            text = ""
        except ApiException as error:
            status, headers, text = error.status, error.headers, error.body
            if not status:  # the library's wrapping of a TLS failure
                raise Unreachable(_certificate(str(error.reason))) from error
        except UnicodeDecodeError as error:
            raise Unreachable("answered with bytes that are no text: uplink intercepted") from error
        except (NewConnectionError, ConnectTimeoutError) as error:
            raise NoConnection(_network(error)) from error
        except HTTPError as error:
            slow = isinstance(error, ReadTimeoutError) or any(
                isinstance(one, TimeoutError) for one in error.args
            )
            raise Unreachable(_network(error), timed_out=slow) from error
        except OSError as error:
            raise Unreachable(f"connection lost: {error}") from error
        failure = judge(status, headers or _NO_HEADERS, text or "", _now())
        if failure is not None:
            raise failure

    def _open(self) -> Any:
        # Not InfluxDBClient, which loads 170 modules for queries, tasks and users beside it.
        from influxdb_client._sync.api_client import ApiClient
        from influxdb_client.configuration import Configuration
        from influxdb_client.service.write_service import WriteService

        libraries: Any = ApiClient, Configuration, WriteService  # not annotated
        client_of, configuration_of, service_of = libraries
        configuration = configuration_of()
        configuration.host = self._destination.url.removesuffix("/")
        configuration.timeout = (self._connect_ms, self._read_ms)
        configuration.verify_ssl = True
        configuration.connection_pool_maxsize = 1
        client = self._client = client_of(
            configuration, "Authorization", f"Token {self._token}", retries=False
        )
        self._pools = client.rest_client.pool_manager
        _record_sockets(self._pools, self._remember)
        return service_of(client)

    def _remember(self, connected: socket.socket | None) -> None:
        self._socket = connected


_NO_HEADERS: Mapping[str, str] = {}


def _now() -> Millis:
    return time.time_ns() // 1_000_000


def _certificate(reason: str) -> str:
    return f"certificate or TLS: {' '.join(reason.split())[:300]}"


def _network(error: Exception) -> str:
    """urllib3's words without the object's address that they begin with."""
    words = str(error).split(": ", 1)
    return f"{type(error).__name__}: {words[-1][:300]}"


def _record_sockets(pools: PoolManager, remember: Callable[[socket.socket | None], None]) -> None:
    """Has each new connection of these pools tell its socket, so that it can be broken."""
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            remember(self.sock)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            remember(self.sock)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    pools.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
