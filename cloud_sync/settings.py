"""Where the time series go, and the limits of one write: a class for each kind of destination."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

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


class Destination(Settings):
    """What all kinds of destinations have in common: where, how much at once, how long to wait.

    Limits are those of reliability practice: nginx refuses bodies over 1 MB by default.
    """

    id: Id
    url: Annotated[str, AfterValidator(_plain_url), Field(description="http or https, no credentials")]
    interval: Positive = Field(default=timedelta(seconds=5), description="pause when nothing waits")
    max_lines: Annotated[int, Field(ge=1, le=5_000)] = 5_000
    max_bytes: Annotated[int, Field(ge=10_000, le=10_000_000)] = 900_000  # before gzip
    connect_timeout: Positive = timedelta(seconds=5)
    read_timeout: Positive = timedelta(seconds=15)
    retry_min: Positive = timedelta(seconds=1)
    retry_max: Positive = Field(
        default=timedelta(minutes=5), description="longest pause between tries, each drawn at random"
    )
    retry_away: Positive = Field(
        default=timedelta(seconds=4),
        description="the same while no connection comes at all; for a thousand schools a minute",
    )
    spread: Annotated[
        Duration,
        Field(
            ge=timedelta(0),
            description="after an outage the backlog begins after a random pause up to this; "
            "for a thousand schools half an hour",
        ),
    ] = timedelta(seconds=30)
    live: Positive = Field(
        default=timedelta(minutes=10), description="what came in within this time leaves before older"
    )
    blocked_retry: Positive = Field(
        default=timedelta(minutes=5), description="pause after a refused token or a missing bucket"
    )
    drain: Annotated[
        float, Field(gt=0, le=1, description="share of the time spent sending while a backlog drains")
    ] = 0.5

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.retry_min > self.retry_max:
            raise ValueError("retry_min must not be above retry_max")
        return self


class InfluxDestination(Destination):
    """A bucket behind `/api/v2/write` (InfluxDB 1.8+, 2.x, 3 Core)."""

    kind: Literal["influx"] = "influx"
    org: Annotated[str, Field(min_length=1)]
    bucket: Annotated[str, Field(min_length=1)]
    token: SecretRef
    bucket_hourly: str = Field(
        default="schools_hourly", description="long-lived bucket of hourly figures; empty for none"
    )
    read_token: SecretRef | None = Field(
        default=None, description="may read both buckets: then what arrived is compared every night"
    )
    query: Literal["flux", "influxql"] = Field(
        default="flux", description="the language to ask in: flux for 2.x, influxql for 1.x and 3 Core"
    )

    @property
    def stand_in(self) -> bool:
        """Whether the district is the demo's stand-in."""
        return self.org == STAND_IN_ORG

    @property
    def hourly(self) -> InfluxDestination | None:
        """The destination of hourly figures; `None` where there is none."""
        if not self.bucket_hourly or self.stand_in:
            return None
        return self.model_copy(update={"id": f"{self.id}/hourly", "bucket": self.bucket_hourly})


class JsonLinesDestination(Destination):
    """A service that takes JSON lines by HTTP POST, as programmes for energy statistics do.

    `names` maps `kind.point` of the vocabulary to the service's own names; with `only_named` what is
    not named is not sent.
    """

    kind: Literal["jsonl"]
    token: SecretRef | None = Field(default=None, description="sent as `Authorization: Bearer ...`")
    names: dict[str, Annotated[str, Field(min_length=1)]] = Field(default_factory=dict)
    only_named: bool = False

    @property
    def stand_in(self) -> bool:
        """Never."""
        return False


def _kind(destination: Any) -> str:
    if isinstance(destination, dict):
        return str(destination.get("kind", "influx"))
    return str(getattr(destination, "kind", "influx"))


AnyDestination = Annotated[
    Annotated[InfluxDestination, Tag("influx")] | Annotated[JsonLinesDestination, Tag("jsonl")],
    Discriminator(
        _kind, custom_error_type="destination_kind", custom_error_message="expected kind: influx or jsonl"
    ),
]
"""One entry of `sync`; without a `kind` it is an InfluxDB."""
