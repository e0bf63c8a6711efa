"""A channel as one desk uses it, and how the configured ones are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from drivers.settings import SecretRef
from edge.channels.bucket import RATES, Rate
from edge.channels.channel import Channel
from edge.channels.settings import ChannelSettings

Secret = Callable[[SecretRef], str]


@dataclass(frozen=True, slots=True)
class Route:
    """`fallback` routes are used when another of the desk has failed for good."""

    desk: str
    channel: Channel
    rate: Rate
    fallback: bool = False


def routes(desks: Mapping[str, Sequence[ChannelSettings]], secret: Secret) -> list[Route]:
    """All channels of all desks; a channel's name is `desk.number.kind`."""
    return [
        Route(desk, _channel(f"{desk}.{number}.{one.kind}", one, secret), RATES[one.kind], one.fallback)
        for desk, settings in desks.items()
        for number, one in enumerate(settings)
    ]


def _channel(name: str, one: ChannelSettings, secret: Secret) -> Channel:
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
    from edge.channels.mqtt import MqttPushChannel

    assert one.mqtt is not None  # noqa: S101  # ChannelSettings has exactly one kind
    return MqttPushChannel(name, one.mqtt, known(one.mqtt.password), one.priorities)
