"""Channels against a real HTTP receiver: only the receiver's own yes is a delivery."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import replace
from email import policy
from email.parser import BytesParser
from pathlib import Path

import aiomqtt
import msgspec
import pytest

from cloud_sync.loopback import Answer
from edge.channels.bucket import RATES, Bucket, Rate
from edge.channels.channel import Notice, Undelivered
from edge.channels.dingtalk import DingtalkChannel
from edge.channels.email import EmailChannel
from edge.channels.feishu import FeishuChannel
from edge.channels.mqtt import MqttPushChannel
from edge.channels.settings import ChannelKind, EmailSettings, MqttPushSettings
from edge.channels.text import text_of
from edge.channels.webhook import WebhookChannel
from edge.channels.wecom import TEXT_LIMIT, WecomChannel
from tests.support.mosquitto import Mosquitto
from tests.support.push_receiver import PushReceiver

ALL = frozenset({1, 2, 3, 4})
NOTICE = Notice(
    id="co2.r301.abc.raised", change="raised", occurrence="co2.r301.abc", rule="co2", priority=4,
    title="二氧化碳超标", place="三〇一教室", message="二氧化碳 1620 ppm", guide="开窗或开新风",
    site="尚德中学", device="env-301", point="co2", value=1620.0, unit="[ppm]", at=1_700_000_000_000,
    when="2023-11-15 06:13:20+08:00",
)  # fmt: skip


@pytest.fixture
async def receiver() -> AsyncIterator[PushReceiver]:
    async with PushReceiver() as server:
        yield server


async def test_a_webhook_is_signed_as_standard_webhooks_say(receiver: PushReceiver) -> None:
    secret = "whsec_" + base64.b64encode(b"thirty-two-bytes-of-test-secret!").decode()
    channel = WebhookChannel("desk.0", receiver.url + "/hook", secret, ALL, lambda: 1_700_000_001.9)
    await channel.send(NOTICE)
    await channel.close()
    (request,) = receiver.requests
    signed = b"co2.r301.abc.raised.1700000001." + request.body
    expected = base64.b64encode(
        hmac.new(b"thirty-two-bytes-of-test-secret!", signed, hashlib.sha256).digest()
    ).decode()
    assert request.headers["webhook-id"] == NOTICE.id
    assert request.headers["webhook-timestamp"] == "1700000001"
    assert request.headers["webhook-signature"] == f"v1,{expected}"
    assert receiver.bodies[0]["type"] == "alarm.raised"
    assert receiver.bodies[0]["data"]["value"] == 1620.0


@pytest.mark.parametrize(
    ("answer", "final"),
    [
        (Answer(200, b"<html>login</html>", {"Content-Type": "text/html"}), False),
        (Answer(302, b"", {"Location": "http://127.0.0.1:1/"}), False),
        (Answer(404, b""), True),
        (Answer(429, b"", {"Retry-After": "7"}), False),
        (Answer(503, b""), False),
        (None, False),
    ],
)
async def test_anything_but_a_plain_2xx_is_no_delivery(
    receiver: PushReceiver, answer: Answer | None, final: bool
) -> None:
    receiver.answers.append(answer)
    channel = WebhookChannel("desk.0", receiver.url, None, ALL)
    with pytest.raises(Undelivered) as caught:
        await channel.send(NOTICE)
    await channel.close()
    assert caught.value.final is final
    assert len(receiver.requests) == 1, "no redirect is followed, nothing is retried in here"
    if answer is not None and answer.status == 429:
        assert caught.value.retry_after_s == 7


async def test_wecom_takes_errcode_zero_for_a_delivery(receiver: PushReceiver) -> None:
    channel = WecomChannel("desk.1", receiver.url, "the-key", ALL)
    assert await channel.send(NOTICE) == "code 0"
    await channel.close()
    (request,) = receiver.requests
    assert request.path == "/cgi-bin/webhook/send"
    assert request.query == {"key": "the-key"}
    text = receiver.bodies[0]["text"]["content"]
    for part in ("4级报警", "二氧化碳超标", "三〇一教室", "1620 ppm", "开窗或开新风"):
        assert part in text


@pytest.mark.parametrize(
    ("body", "final"),
    [
        ({"errcode": 45009, "errmsg": "api freq out of limit"}, False),
        ({"errcode": 93000, "errmsg": "invalid webhook url"}, True),
        ({"errcode": 40058, "errmsg": "content exceed max length"}, True),
        ({"ok": True}, False),
    ],
)
async def test_wecom_refusals_inside_http_200_are_seen(
    receiver: PushReceiver, body: dict[str, object], final: bool
) -> None:
    receiver.answers.append(Answer.json(200, body))
    channel = WecomChannel("desk.1", receiver.url, "the-key", ALL)
    with pytest.raises(Undelivered) as caught:
        await channel.send(NOTICE)
    await channel.close()
    assert caught.value.final is final
    assert "the-key" not in str(caught.value)


async def test_a_provider_that_is_not_there_is_told_without_the_key() -> None:
    channel = WecomChannel("desk.1", "http://127.0.0.1:9", "the-key", ALL)
    with pytest.raises(Undelivered) as caught:
        await channel.send(NOTICE)
    await channel.close()
    assert not caught.value.final
    assert "the-key" not in str(caught.value)


def test_a_long_text_is_cut_to_the_providers_bytes_and_stays_valid() -> None:
    text = text_of(replace(NOTICE, guide="处" * 2000), TEXT_LIMIT)
    assert len(text.encode()) <= TEXT_LIMIT
    assert text.startswith("【4级报警】")


async def test_dingtalk_is_signed_in_the_query(receiver: PushReceiver) -> None:
    channel = DingtalkChannel("desk.2", receiver.url, "tok/en", "SEC1", ALL, lambda: 1_700_000_000.5)
    assert await channel.send(NOTICE) == "code 0"
    await channel.close()
    (request,) = receiver.requests
    assert request.path == "/robot/send"
    digest = hmac.new(b"SEC1", b"1700000000500\nSEC1", hashlib.sha256).digest()
    assert request.query == {
        "access_token": "tok/en", "timestamp": "1700000000500", "sign": base64.b64encode(digest).decode(),
    }  # fmt: skip


async def test_feishu_is_signed_in_the_body_the_other_way_round(receiver: PushReceiver) -> None:
    receiver.answers.append(Answer.json(200, {"code": 0, "msg": "success"}))
    channel = FeishuChannel("desk.3", receiver.url, "hook", "SEC2", ALL, lambda: 1_700_000_000.5)
    assert await channel.send(NOTICE) == "code 0"
    await channel.close()
    (body,) = receiver.bodies
    digest = hmac.new(b"1700000000\nSEC2", b"", hashlib.sha256).digest()
    assert (body["timestamp"], body["sign"]) == ("1700000000", base64.b64encode(digest).decode())
    assert receiver.requests[0].path == "/open-apis/bot/v2/hook/hook"


@pytest.mark.parametrize(
    ("kind", "body", "final"),
    [
        ("dingtalk", {"errcode": 310000, "errmsg": "sign not match"}, True),
        ("dingtalk", {"errcode": 130101, "errmsg": "send too fast"}, False),
        ("feishu", {"code": 19021, "msg": "sign match fail"}, True),
        ("feishu", {"code": 11232, "msg": "frequency limited"}, False),
    ],
)
async def test_refusals_of_the_other_robots_inside_http_200_are_seen(
    receiver: PushReceiver, kind: str, body: dict[str, object], final: bool
) -> None:
    receiver.answers.append(Answer.json(200, body))
    made = DingtalkChannel if kind == "dingtalk" else FeishuChannel
    channel = made("desk", receiver.url, "t", "s", ALL)
    with pytest.raises(Undelivered) as caught:
        await channel.send(NOTICE)
    await channel.close()
    assert caught.value.final is final


class _MailServer:
    """An SMTP server that speaks just enough of RFC 5321, on a thread."""

    def __init__(self, refuse: bytes = b"") -> None:
        self.mails: list[bytes] = []
        self._refuse = refuse

    async def __aenter__(self) -> _MailServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 test\r\n")
        while line := await reader.readline():
            word = line[:4].upper()
            if word == b"DATA":
                writer.write(b"354 go\r\n")
                self.mails.append(await reader.readuntil(b"\r\n.\r\n"))
                writer.write(self._refuse or b"250 taken\r\n")
            elif word == b"QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                writer.write(b"250 ok\r\n")
        writer.close()


async def test_a_mail_is_delivered_when_the_server_takes_it() -> None:
    async with _MailServer() as server:
        settings = EmailSettings(
            host="127.0.0.1", port=server.port, security="none", sender="gw@school.example",
            to=("desk@school.example", "head@school.example"),
        )  # fmt: skip
        channel = EmailChannel("desk.4", settings, None, ALL)
        assert await channel.send(NOTICE) == "accepted"
        await channel.close()
        mail = BytesParser(policy=policy.default).parsebytes(server.mails[0].replace(b"\r\n.\r\n", b""))
        assert mail["Subject"] == "【4级报警】二氧化碳超标 三〇一教室"
        assert mail["Message-ID"] == f"<{NOTICE.id}@school.example>"
        assert "开窗或开新风" in mail.get_content()


@pytest.mark.parametrize(("answer", "final"), [(b"451 later\r\n", False), (b"552 too big\r\n", True)])
async def test_a_mail_that_the_server_refuses_is_no_delivery(answer: bytes, final: bool) -> None:
    async with _MailServer(answer) as server:
        settings = EmailSettings(
            host="127.0.0.1", port=server.port, security="none", sender="gw@school.example",
            to=("desk@school.example",),
        )  # fmt: skip
        channel = EmailChannel("desk.4", settings, None, ALL)
        with pytest.raises(Undelivered) as caught:
            await channel.send(NOTICE)
        await channel.close()
        assert caught.value.final is final


async def test_a_notice_on_a_broker_is_delivered_when_it_acknowledges(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        heard: list[bytes] = []
        async with aiomqtt.Client("127.0.0.1", broker.port) as listener:
            await listener.subscribe("campus/desk", qos=1)
            channel = MqttPushChannel(
                "desk.5", MqttPushSettings(url=broker.url, topic="campus/desk"), None, ALL
            )
            assert await channel.send(NOTICE) == "acknowledged by the broker"
            async with asyncio.timeout(10):
                async for message in listener.messages:
                    heard.append(bytes(message.payload))
                    break
        assert msgspec.json.decode(heard[0], type=Notice) == NOTICE
        broker.stop()
        with pytest.raises(Undelivered) as caught:
            await channel.send(NOTICE)
        assert not caught.value.final


@pytest.mark.parametrize(
    ("kind", "a_minute", "a_second"), [("wecom", 20, 20), ("dingtalk", 20, 20), ("feishu", 100, 5)]
)
def test_whatever_is_asked_a_providers_limit_holds_in_every_minute_and_second(
    kind: ChannelKind, a_minute: int, a_second: int
) -> None:
    at, sent = 0, []
    bucket = Bucket(RATES[kind], at)
    for step in range(5 * 60_000 // 20):
        at = step * 20
        for priority in (4, 1, 1):
            if bucket.wait_ms(priority, at) == 0:
                sent.append(at)
    for window, most in ((60_000, a_minute), (1_000, a_second)):
        assert max(sum(begin <= other < begin + window for other in sent) for begin in sent) <= most


def test_a_bucket_keeps_its_reserve_for_emergencies_and_says_how_long_to_wait() -> None:
    bucket = Bucket(Rate(60, 6, 5), 0)
    assert bucket.wait_ms(4, 0) == 0
    assert bucket.wait_ms(4, 0) == 1001
    assert [bucket.wait_ms(1, 0) for _ in range(5)] == [0] * 5
    assert bucket.wait_ms(1, 0) == 1001
    assert bucket.wait_ms(1, 1001) == 0
