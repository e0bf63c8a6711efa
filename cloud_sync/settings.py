"""Where the time series go: one InfluxDB bucket of the district, and the limits of one write."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from drivers.settings import Duration, Id, SecretRef, Settings

STAND_IN_ORG = "stand-in"
"""The organisation that marks a destination as a stand-in, so that nobody takes it for a district."""


def _plain_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected http://HOST[:PORT][/PATH] or https://...")
    if parts.username is not None or parts.password is not None:
        raise ValueError("credentials do not belong in the url: use `token: {secret: NAME}`")
    if parts.query or parts.fragment:
        raise ValueError("the url ends with its path: no `?` and no `#`")
    if parts.port == 0:  # reading it also refuses a port that is no number
        raise ValueError("port must be 1 to 65535")
    return url.rstrip("/")


Positive = Annotated[Duration, Field(gt=timedelta(0))]


class InfluxDestination(Settings):
    """A bucket behind `/api/v2/write` (InfluxDB 1.8+, 2.x, 3 Core).

    Limits are those of reliability practice: nginx refuses bodies over 1 MB by default.
    """

    id: Id
    url: Annotated[str, AfterValidator(_plain_url), Field(description="http or https, no credentials")]
    org: Annotated[str, Field(min_length=1)]
    bucket: Annotated[str, Field(min_length=1)]
    token: SecretRef
    interval: Positive = Field(default=timedelta(seconds=5), description="pause when nothing waits")
    max_lines: Annotated[int, Field(ge=1, le=5_000)] = 5_000
    max_bytes: Annotated[int, Field(ge=10_000, le=10_000_000)] = 900_000  # before gzip
    connect_timeout: Positive = timedelta(seconds=5)
    read_timeout: Positive = timedelta(seconds=15)
    retry_min: Positive = timedelta(seconds=1)
    retry_max: Positive = timedelta(minutes=5)
    blocked_retry: Positive = Field(
        default=timedelta(minutes=5), description="pause after a refused token or a missing bucket"
    )
    drain: Annotated[
        float, Field(gt=0, le=1, description="share of the time spent sending while a backlog drains")
    ] = 0.5

    @property
    def stand_in(self) -> bool:
        """Whether the district is the demo's stand-in."""
        return self.org == STAND_IN_ORG

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.retry_min > self.retry_max:
            raise ValueError("retry_min must not be above retry_max")
        return self
