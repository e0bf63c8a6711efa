"""The gateway that runs on this machine, asked through its own API by the command line.

It is found by the configuration's listen address; the key to it is an API token made in
the data folder for this one command, and revoked behind it.
"""

from __future__ import annotations

import getpass
import secrets
import sqlite3
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from edge.clock import now
from edge.config.configuration import Configuration
from edge.store.accounts import Accounts, Role
from edge.store.database import connect, transact

T = TypeVar("T")

ANSWER_S = 90.0
"""A write may wait for its line and a slow device before it is answered."""
CONNECT_S = 3.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  # to be called, not bound


class NoAgent(Exception):
    """No gateway answers at the configuration's address."""


class Turned(Exception):
    """The gateway answered no; `code` is its stable word, the text its sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RunningAgent:
    """An open connection to the gateway, with an engineer's rights."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def get(self, path: str, **query: str | int) -> Any:
        """A resource below /api/v1; raises Turned, NoAgent."""
        return self._request("GET", path, params=query)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """A change; raises Turned, NoAgent."""
        return self._request("POST", path, json=body)

    def delete(self, path: str) -> None:
        """An end; raises Turned, NoAgent."""
        self._request("DELETE", path)

    def _request(self, method: str, path: str, **options: Any) -> Any:
        try:
            answer = self._client.request(method, f"/api/v1{path}", **options)
        except httpx.HTTPError as error:
            raise NoAgent(f"the gateway stopped answering: {error}") from error
        if answer.is_success:
            return answer.json() if answer.content else None
        try:
            problem = answer.json()
        except ValueError:
            problem = {}
        code = str(problem.get("code", answer.status_code))
        raise Turned(code, str(problem.get("detail", answer.reason_phrase)))


def url_of(configuration: Configuration) -> str:
    """Where the gateway of this configuration is reached from this machine."""
    from edge.web.server import is_loopback

    web = configuration.settings.web
    host = _EVERYWHERE.get(web.host, web.host)
    shown = f"[{host}]" if ":" in host else host
    secure = web.tls == "auto" and not is_loopback(web.host)
    return f"{'https' if secure else 'http'}://{shown}:{web.port}"


@contextmanager
def running_agent(configuration: Configuration, data: Path) -> Iterator[RunningAgent]:
    """The gateway of this configuration and data folder; raises NoAgent when none answers.

    PermissionError and sqlite3.DatabaseError where the data folder cannot be written.
    """
    url = url_of(configuration)
    with httpx.Client(
        base_url=url,
        verify=_trust(url, data),
        timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
        trust_env=False,
    ) as client:
        try:
            client.get("/api/v1/health", timeout=CONNECT_S)
        except httpx.HTTPError as error:
            raise NoAgent(f"no gateway answers on {url}: {error}") from error
        name = f"{getpass.getuser()}@console-{secrets.token_hex(3)}"
        token = _in_core(data, lambda c: Accounts(now).create_token(c, name, Role.ENGINEER))
        client.headers["Authorization"] = f"Bearer {token}"
        try:
            yield RunningAgent(client)
        finally:
            _in_core(data, lambda c: Accounts(now).revoke_token(c, name))


def _trust(url: str, data: Path) -> ssl.SSLContext | bool:
    """Trusts the gateway's own certificate, which names the machine and not 127.0.0.1 alone."""
    own = data / "tls" / "server.crt"
    if not url.startswith("https") or not own.is_file():
        return True
    context = ssl.create_default_context(cafile=str(own))
    context.check_hostname = False
    return context


def _in_core(data: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    from edge.agent import CORE_MIGRATIONS

    path = data / "core.db"
    if not path.is_file():
        raise NoAgent(f"{data} holds no gateway's data: name its folder with --data")
    connection = connect(path, CORE_MIGRATIONS)
    try:
        return transact(connection, work)
    finally:
        connection.close()
