"""What the chat robots share: an HTTP 200 proves nothing, a code in the body decides."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import msgspec

from edge.channels.channel import Undelivered
from edge.channels.http import post


class Verdict(msgspec.Struct):
    """The fields by which the three providers say yes or no."""

    errcode: int | None = None  # 企业微信, 钉钉
    errmsg: str = ""
    code: int | None = None  # 飞书
    msg: str = ""
    status_code: int | None = msgspec.field(default=None, name="StatusCode")  # 飞书, older


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
