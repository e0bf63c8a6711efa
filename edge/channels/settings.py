"""Settings of the ways to tell a person."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from drivers.settings import Duration, Id, SecretRef, Settings


def _http_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected http://host... or https://host...")
    if parts.username or parts.password:
        raise ValueError("credentials do not belong in a URL")
    return url


def _mail_address(address: str) -> str:
    name, at, host = address.rpartition("@")
    if not name or not at or not host or any(c.isspace() or c in "<>,;" for c in address):
        raise ValueError("expected an address such as desk@school.example")
    return address


HttpUrl = Annotated[str, AfterValidator(_http_url)]
MailAddress = Annotated[str, AfterValidator(_mail_address)]


class WebhookSettings(Settings):
    """A Standard Webhooks receiver; signed when a secret is named. SMS gateways are reached so."""

    url: HttpUrl
    secret: SecretRef | None = None


class WecomSettings(Settings):
    """A 企业微信 group robot; `url` only differs behind a proxy or in a test."""

    key: SecretRef
    url: HttpUrl = "https://qyapi.weixin.qq.com"


class DingtalkSettings(Settings):
    """A 钉钉 robot with the signature that its security settings demand (加签)."""

    token: SecretRef
    secret: SecretRef | None = None
    url: HttpUrl = "https://oapi.dingtalk.com"


class FeishuSettings(Settings):
    """A 飞书 robot; signed when a secret is named (签名校验)."""

    token: SecretRef
    secret: SecretRef | None = None
    url: HttpUrl = "https://open.feishu.cn"


class EmailSettings(Settings):
    """A mail server that takes submissions, and who is written to."""

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 465
    security: Literal["tls", "starttls", "none"] = "tls"
    username: str | None = None
    password: SecretRef | None = None
    sender: MailAddress
    to: Annotated[tuple[MailAddress, ...], Field(min_length=1, max_length=20)]


class MqttPushSettings(Settings):
    """A topic on a broker: notices as JSON, QoS 1, not retained."""

    url: Annotated[str, Field(pattern=r"^mqtts?://[^/?#@\s]+$", description="mqtt://host:port")]
    topic: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^+#\x00]+$")]
    username: str | None = None
    password: SecretRef | None = None


ChannelKind = Literal["webhook", "wecom", "dingtalk", "feishu", "email", "mqtt"]
KINDS: tuple[ChannelKind, ...] = ("webhook", "wecom", "dingtalk", "feishu", "email", "mqtt")


class ChannelSettings(Settings):
    """One channel of a desk: exactly one of the kinds.

    A `fallback` channel is silent until another channel of its desk has failed for good.
    """

    webhook: WebhookSettings | None = None
    wecom: WecomSettings | None = None
    dingtalk: DingtalkSettings | None = None
    feishu: FeishuSettings | None = None
    email: EmailSettings | None = None
    mqtt: MqttPushSettings | None = None
    priorities: frozenset[int] = Field(
        default=frozenset({1, 2, 3, 4}), description="alarm priorities that this channel carries"
    )
    fallback: bool = False

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(getattr(self, kind) is not None for kind in KINDS) != 1:
            raise ValueError(f"a channel is exactly one of: {', '.join(KINDS)}")
        return self

    @property
    def kind(self) -> ChannelKind:
        """Which of the kinds it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)


class EscalationStep(Settings):
    """Who hears of an alarm that nobody has acknowledged `after` this long."""

    after: Annotated[Duration, Field(ge=timedelta(seconds=10))]
    to: Annotated[Id, Field(description="a desk of notify, which then hears of nothing else")]


class HeartbeatSettings(Settings):
    """A daily word that the watch is kept: its absence tells that it is not."""

    at: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="local time")]
    to: Annotated[tuple[Id, ...], Field(min_length=1, description="desks of notify")]


class PushSettings(Settings):
    """What goes beyond telling each desk once."""

    escalation: dict[Literal["1", "2", "3", "4"], tuple[EscalationStep, ...]] = Field(
        default_factory=dict, description="for each alarm priority the steps, the soonest first"
    )
    heartbeat: HeartbeatSettings | None = None
