"""A channel as one desk uses it, and how the configured ones are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.settings import SecretRef
from edge.channels.bucket import RATES, Rate
from edge.channels.channel import Channel
from edge.channels.settings import ChannelSettings

if TYPE_CHECKING:
    from edge.channels.modem import Modem

Secret = Callable[[SecretRef], str]


@dataclass(frozen=True, slots=True)
class Route:
    """`fallback` routes are used when another of the desk has failed for good."""

    desk: str
    channel: Channel
    rate: Rate
    fallback: bool = False


def routes(desks: Mapping[str, Sequence[ChannelSettings]], secret: Secret) -> list[Route]:
    """All channels of all desks but relays, which follow the alarms by themselves; a channel's name
    is `desk.number.kind`. Desks that name the same modem share it."""
    modems: dict[str, Modem] = {}
    return [
        Route(desk, _channel(channel_name(desk, number, one), one, secret, modems), _rate(one), one.fallback)
        for desk, settings in desks.items()
        for number, one in enumerate(settings)
        if one.relay is None
    ]


def channel_name(desk: str, number: int, one: ChannelSettings) -> str:
    """The name of a desk's channel, by its place in the list."""
    return f"{desk}.{number}.{one.kind}"


def _rate(one: ChannelSettings) -> Rate:
    if one.sms is not None:
        return Rate(one.sms.per_minute, one.sms.burst, one.sms.burst // 2)
    return RATES[one.kind]


def _channel(name: str, one: ChannelSettings, secret: Secret, modems: dict[str, Modem]) -> Channel:
    """Imports only what is configured: each way has its own libraries."""

    def known(reference: SecretRef | None) -> str | None:
        return secret(reference) if reference is not None else None

    if one.webhook is not None:
        from edge.channels.webhook import WebhookChannel

        return WebhookChannel(name, one.webhook.url, known(one.webhook.secret), one.priorities)
    if one.wecom is not None:
        from edge.channels.wecom import WecomChannel

        return WecomChannel(name, one.wecom.url, secret(one.wecom.key), one.priorities)
    if one.dingtalk is not None:
        from edge.channels.dingtalk import DingtalkChannel

        robot = one.dingtalk
        return DingtalkChannel(name, robot.url, secret(robot.token), known(robot.secret), one.priorities)
    if one.feishu is not None:
        from edge.channels.feishu import FeishuChannel

        group = one.feishu
        return FeishuChannel(name, group.url, secret(group.token), known(group.secret), one.priorities)
    if one.email is not None:
        from edge.channels.email import EmailChannel

        return EmailChannel(name, one.email, known(one.email.password), one.priorities)
    if one.sms is not None:
        from edge.channels.modem import Modem
        from edge.channels.sms import SmsChannel

        modem = modems.setdefault(one.sms.url, Modem(one.sms, known(one.sms.pin)))
        return SmsChannel(name, one.sms, modem, one.priorities)
    from edge.channels.mqtt import MqttPushChannel

    assert one.mqtt is not None  # noqa: S101  # ChannelSettings has exactly one kind
    return MqttPushChannel(name, one.mqtt, known(one.mqtt.password), one.priorities)
