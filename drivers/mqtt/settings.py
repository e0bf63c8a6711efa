"""Settings of MQTT brokers and of the devices that speak through them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from drivers.line.settings import LineSettings
from drivers.mqtt.profile import Pointer
from drivers.settings import DeviceSettings, Duration, SecretRef, Settings, millis

MAX_TOPIC_BYTES = 256
MAX_TOPIC_LEVELS = 8
_PORTS = {"mqtt": 1883, "mqtts": 8883}


def _broker_url(url: str) -> str:
    parts = urlsplit(url)
    try:
        wrong = parts.port == 0
    except ValueError as error:
        raise ValueError(f"expected mqtt://host:port or mqtts://host:port ({error})") from error
    if parts.scheme not in _PORTS or not parts.hostname or parts.path or parts.query or wrong:
        raise ValueError("expected mqtt://host:port or mqtts://host:port")
    if parts.username is not None or parts.password is not None:
        raise ValueError("credentials do not belong in the url: use username and password")
    return url


def _topic_name(topic: str) -> str:
    if "+" in topic or "#" in topic:
        raise ValueError("a topic without wildcards is needed here")
    return _topic_filter(topic)


def _topic_filter(topic: str) -> str:
    levels = topic.split("/")
    if len(topic.encode()) > MAX_TOPIC_BYTES or len(levels) > MAX_TOPIC_LEVELS:
        raise ValueError(f"a topic has at most {MAX_TOPIC_BYTES} bytes and {MAX_TOPIC_LEVELS} levels")
    if "#" in topic or any("+" in level and level != "+" for level in levels):
        raise ValueError("only + may stand for a level, and # is not allowed: one device, one topic")
    if all(level in ("+", "") for level in levels) or levels[0].startswith("$") or "\0" in topic:
        raise ValueError("the topic must name the device")
    return topic


TopicName = Annotated[str, AfterValidator(_topic_name)]
TopicFilter = Annotated[str, AfterValidator(_topic_filter)]


class MqttLine(LineSettings):
    """One broker: one connection with a persistent session, kept open."""

    url: Annotated[str, AfterValidator(_broker_url)]
    timeout: Duration = Field(default=timedelta(seconds=10), description="longest wait for the broker")
    username: str | None = None
    password: SecretRef | None = None
    client_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = Field(
        default=None, description="stable and unique on the broker; made from site and line when absent"
    )
    ca: str | None = Field(default=None, description="file with the broker's certificate authority (mqtts)")
    max_payload: Annotated[int, Field(ge=256, le=1_048_576)] = 65_536

    @model_validator(mode="after")
    def _password_needs_user(self) -> Self:
        if self.password is not None and self.username is None:
            raise ValueError("a password needs a username")
        if self.ca is not None and not self.tls:
            raise ValueError("ca needs an mqtts:// url")
        return self

    @property
    def tls(self) -> bool:
        """True for mqtts."""
        return self.url.startswith("mqtts:")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or _PORTS[parts.scheme]


class ExpectedIdentity(Settings):
    """What every message with values must say at `pointer`, to be taken for the device's own."""

    pointer: Annotated[Pointer, Field(min_length=1)]
    value: Annotated[str, Field(min_length=1, max_length=200)]


class MqttDevice(DeviceSettings):
    """A device behind a broker.

    `topic` is where its profile's suffixes are hung on; a level may be +. `availability`
    is its last-will topic where that is not the one that the profile knows. Messages that lack
    or contradict `identity` are counted and refused.
    """

    protocol: Literal["mqtt"]
    topic: TopicFilter
    availability: TopicName | None = None
    identity: ExpectedIdentity | None = None

    @property
    def late_ms(self) -> int:
        """What comes so much (ms) behind the device's own time is out of its log: history, no news."""
        return max(2 * millis(self.every), 300_000)
