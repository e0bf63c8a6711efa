"""Settings of the ways to tell a person."""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from drivers.settings import SecretRef, Settings


def _http_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected http://host... or https://host...")
    if parts.username or parts.password:
        raise ValueError("credentials do not belong in a URL")
    return url


HttpUrl = Annotated[str, AfterValidator(_http_url)]


class WebhookSettings(Settings):
    """A Standard Webhooks receiver; signed when a secret is named."""

    url: HttpUrl
    secret: SecretRef | None = None


class WecomSettings(Settings):
    """A 企业微信 group robot; `url` only differs behind a proxy or in a test."""

    key: SecretRef
    url: HttpUrl = "https://qyapi.weixin.qq.com"


class ChannelSettings(Settings):
    """One channel of a desk: exactly one of the kinds."""

    webhook: WebhookSettings | None = None
    wecom: WecomSettings | None = None
    priorities: frozenset[int] = Field(
        default=frozenset({1, 2, 3, 4}), description="alarm priorities that this channel carries"
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.webhook is None) == (self.wecom is None):
            raise ValueError("a channel is exactly one of: webhook, wecom")
        return self

    @property
    def kind(self) -> str:
        """`webhook` or `wecom`."""
        return "webhook" if self.webhook else "wecom"
