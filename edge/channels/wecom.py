"""企业微信 group robots: an HTTP 200 proves nothing, the body's `errcode` decides.

Limits: 20 messages a minute and robot, text at most 2048 bytes (rules.md 4.2).
Codes: 0 taken; 45009 and -1 (system busy) may be tried again; 93000 and 4xxxx are final.
"""

from __future__ import annotations

import msgspec

from edge.channels.channel import Notice, Undelivered
from edge.channels.http import client, post

TEXT_LIMIT = 2048
BUSY = {45009: 60.0, -1: 5.0, 50001: 30.0}
"""Codes worth another try, and after how many seconds."""


class _Answer(msgspec.Struct):
    errcode: int
    errmsg: str = ""


def text_of(notice: Notice) -> str:
    """The message as people read it, cut to the provider's limit in bytes."""
    head = "【已恢复】" if notice.change == "cleared" else f"【{notice.priority}级报警】"
    lines = [f"{head}{notice.title}", f"位置:{notice.place}", f"情况:{notice.message}"]
    if notice.change == "raised" and notice.guide:
        lines.append(f"处置:{notice.guide}")
    lines.append(f"时间:{notice.when}  {notice.site}")
    text = "\n".join(lines).encode()
    return text[:TEXT_LIMIT].decode(errors="ignore")


class WecomChannel:
    """Sends text messages to one robot."""

    def __init__(self, name: str, url: str, key: str, priorities: frozenset[int]) -> None:
        self.name = name
        self.priorities = priorities
        self._url = f"{url.rstrip('/')}/cgi-bin/webhook/send?key={key}"
        self._http = client()

    async def send(self, notice: Notice) -> str:
        """Delivered only when the body says `errcode` 0."""
        body = msgspec.json.encode({"msgtype": "text", "text": {"content": text_of(notice)}})
        content = await post(self._http, self._url, body, {"content-type": "application/json"})
        try:
            answer = msgspec.json.decode(content, type=_Answer)
        except msgspec.MsgspecError as error:
            raise Undelivered("HTTP 200 without an errcode") from error
        if answer.errcode == 0:
            return "errcode 0"
        detail = f"errcode {answer.errcode} {answer.errmsg[:120]}"
        wait = BUSY.get(answer.errcode)
        raise Undelivered(detail, final=wait is None, retry_after_s=wait)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()
