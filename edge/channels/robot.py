"""Chat robots: an HTTP 200 proves nothing, a code in the body decides."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

import httpx
import msgspec

from edge.channels.channel import Notice, Undelivered
from edge.channels.http import client, post
from edge.channels.text import text_of


class Verdict(msgspec.Struct):
    """The fields by which the three providers say yes or no."""

    errcode: int | None = None  # 企业微信, 钉钉
    errmsg: str = ""
    code: int | None = None  # 飞书
    msg: str = ""
    status_code: int | None = msgspec.field(default=None, name="StatusCode")  # 飞书, older


class RobotChannel(ABC):
    """Sends text messages to one robot; each provider says how it wants to be asked."""

    text_limit: ClassVar[int]
    """Bytes of UTF-8."""
    busy: ClassVar[Mapping[int, float]]
    """Codes worth another try -> after how many seconds."""

    def __init__(self, name: str, url: str, priorities: frozenset[int]) -> None:
        self.name = name
        self.priorities = priorities
        self._url = url
        self._http = client()

    @abstractmethod
    def order(self, text: str) -> tuple[str, Mapping[str, object]]:
        """The URL and the message, signed where a secret is known."""

    async def send(self, notice: Notice) -> str:
        """Delivered only when the body says code 0."""
        url, message = self.order(text_of(notice, self.text_limit))
        return await ask_robot(self._http, url, message, self.busy)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()


class SignedRobot(RobotChannel):
    """A robot with a token in its address that checks signatures where a secret is agreed."""

    def __init__(
        self,
        name: str,
        url: str,
        token: str,
        secret: str | None,
        priorities: frozenset[int],
        seconds: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(name, url.rstrip("/") + self.path(token), priorities)
        self._secret = secret
        self._seconds = seconds

    @staticmethod
    @abstractmethod
    def path(token: str) -> str:
        """The address behind the provider's host."""


async def ask_robot(http: httpx.AsyncClient, url: str, message: object, busy: Mapping[int, float]) -> str:
    """Posts a message; returns what the robot answered. Raises Undelivered: codes in `busy`
    may be tried again after that many seconds, every other code but 0 is final."""
    body = msgspec.json.encode(message)
    content = await post(http, url, body, {"content-type": "application/json"})
    try:
        answer = msgspec.json.decode(content, type=Verdict)
    except msgspec.MsgspecError as error:
        raise Undelivered("HTTP 200 with a body that is no robot's answer") from error
    code = next((c for c in (answer.errcode, answer.code, answer.status_code) if c is not None), None)
    if code is None:
        raise Undelivered("HTTP 200 without a verdict in its body")
    if code == 0:
        return "code 0"
    detail = f"code {code} {(answer.errmsg or answer.msg)[:120]}".strip()
    raise Undelivered(detail, final=code not in busy, retry_after_s=busy.get(code))
