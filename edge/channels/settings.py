"""Settings of the ways to tell a person."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from drivers.line.settings import Baudrate
from drivers.settings import Duration, Id, SecretRef, Settings
from drivers.vocabulary import PointName


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
LocalTime = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="local time")]
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


def _modem_url(url: str) -> str:
    serial = re.fullmatch(r"serial:/[^\s?#]+", url)
    if serial is None and re.fullmatch(r"tcp://[^\s/?#@]+:[0-9]{1,5}", url) is None:
        raise ValueError("expected serial:/dev/... or tcp://host:port")
    return url


PhoneNumber = Annotated[str, Field(pattern=r"^\+?[0-9]{3,20}$", description="as dialled, quoted")]


class SmsSettings(Settings):
    """A GSM or LTE modem on a port of its own, by AT commands, and who gets the messages.

    `per_minute` and `burst` bound what it costs; half of the burst is kept for priority 1.
    """

    url: Annotated[str, AfterValidator(_modem_url)]
    baudrate: Baudrate = 115_200
    pin: SecretRef | None = None
    numbers: Annotated[tuple[PhoneNumber, ...], Field(min_length=1, max_length=20)]
    per_minute: Annotated[float, Field(gt=0, le=60, description="notices, each to all numbers")] = 4
    burst: Annotated[int, Field(ge=2, le=100)] = 10


class PointRef(Settings):
    """One point of one device."""

    device: Id
    point: PointName


class WeeklyTest(Settings):
    """When the siren is tried, in local time, and for how long it sounds."""

    day: Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    at: LocalTime
    lasts: Annotated[Duration, Field(ge=timedelta(milliseconds=200), le=timedelta(seconds=5))] = timedelta(
        seconds=1
    )


class RelaySettings(PointRef):
    """A siren or stack light on a relay: on while an alarm of its priorities is not acknowledged.

    `pulse` is a number in seconds where the device has a timer of its own: it is then written
    again and again, and a gateway that dies leaves silence. `feedback` is closed while the siren
    really sounds; `silence` is a button that mutes it.
    """

    max_on: Annotated[Duration, Field(ge=timedelta(seconds=5), le=timedelta(minutes=30))] = timedelta(
        seconds=180
    )
    pulse: PointRef | None = None
    feedback: PointRef | None = None
    silence: PointRef | None = None
    test: WeeklyTest | None = None


ChannelKind = Literal["webhook", "wecom", "dingtalk", "feishu", "email", "mqtt", "sms", "relay"]
KINDS: tuple[ChannelKind, ...] = ("webhook", "wecom", "dingtalk", "feishu", "email", "mqtt", "sms", "relay")
SIREN_PRIORITIES = frozenset({1})


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
    sms: SmsSettings | None = None
    relay: RelaySettings | None = None
    priorities: frozenset[int] = Field(
        default=frozenset({1, 2, 3, 4}),
        description="alarm priorities that this channel carries; a relay: only 1 unless said",
    )
    fallback: bool = False

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(getattr(self, kind) is not None for kind in KINDS) != 1:
            raise ValueError(f"a channel is exactly one of: {', '.join(KINDS)}")
        if self.relay is not None and self.fallback:
            raise ValueError("a relay is no fallback: it follows the alarms at once")
        return self

    @property
    def carries(self) -> frozenset[int]:
        """The priorities it carries: a siren is for emergencies unless somebody says otherwise."""
        unsaid = self.relay is not None and "priorities" not in self.model_fields_set
        return SIREN_PRIORITIES if unsaid else self.priorities

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

    at: LocalTime
    to: Annotated[tuple[Id, ...], Field(min_length=1, description="desks of notify")]


class PushSettings(Settings):
    """What goes beyond telling each desk once."""

    escalation: dict[Literal["1", "2", "3", "4"], tuple[EscalationStep, ...]] = Field(
        default_factory=dict, description="for each alarm priority the steps, the soonest first"
    )
    heartbeat: HeartbeatSettings | None = None


class DeskSettings(Settings):
    """When somebody is to sit before an alarm page with its sound on; without this nobody is missed."""

    staffed: Annotated[
        tuple[LocalTime, LocalTime],
        Field(description="from and until, local time; until before from goes over midnight"),
    ]
    patience: Annotated[Duration, Field(ge=timedelta(seconds=30), le=timedelta(hours=1))] = timedelta(
        seconds=60
    )
