"""The ground of all settings models: strict, frozen, durations and secrets."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str) -> timedelta:
    """`500ms 30s 5m 2h 7d` as a timedelta; ValueError for anything else."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("expected a duration such as 500ms, 30s, 5m, 2h or 7d")
    return timedelta(seconds=float(match[1]) * _UNIT[match[2]])


def _duration(value: Any) -> Any:
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, timedelta):
        return value
    raise ValueError("expected a duration such as 500ms, 30s, 5m, 2h or 7d")


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration, json_schema_input_type=str),
]
Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


def millis(duration: timedelta) -> int:
    """A duration in whole milliseconds."""
    return round(duration.total_seconds() * 1000)


class Settings(BaseModel):
    """A frozen model that refuses unknown keys and does not coerce types. What checks it is built with
    its first use: of a hundred models that are parts of others, few are ever read by themselves."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, defer_build=True)


class SecretRef(Settings):
    """Names a secret that lives outside the configuration: `{secret: name}`."""

    secret: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class DeviceSettings(Settings):
    """What every device's settings share; each protocol adds its own."""

    id: Id
    space: Id
    line: Id
    protocol: str
    profile: Id
    every: Duration = Field(default=timedelta(seconds=60), description="polling period")
    priority: Literal["emergency", "normal"] = "normal"
