"""Channels against a real HTTP receiver: only the receiver's own yes is a delivery."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from cloud_sync.loopback import Answer
from edge.channels.channel import Notice, Undelivered
from edge.channels.webhook import WebhookChannel
from edge.channels.wecom import TEXT_LIMIT, WecomChannel, text_of
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
    assert await channel.send(NOTICE) == "errcode 0"
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
    text = text_of(replace(NOTICE, guide="处" * 2000))
    assert len(text.encode()) <= TEXT_LIMIT
    assert text.startswith("【4级报警】")
