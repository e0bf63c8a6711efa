"""JSON Schema (draft 2020-12) of every file kind, for editors and for other people's checks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from drivers.vocabulary import Vocabulary
from edge.config.library import AnyProfile
from edge.config.models import GatewayConfig, IncludedConfig
from rules.rulebook import Rule, RuleFile
from rules.timetable import Calendar

_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))
_KINDS: dict[str, Callable[[], Any]] = {
    "config": lambda: GatewayConfig,
    "include": lambda: IncludedConfig,
    "profile": lambda: AnyProfile,
    "rules": lambda: RuleFile | Rule,
    "calendar": lambda: Calendar,
    "vocabulary": lambda: Vocabulary,
}
KINDS = tuple(_KINDS)
"""The file kinds that have a schema."""


def schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of a file kind; KeyError for an unknown kind."""
    made = TypeAdapter(_KINDS[kind]()).json_schema(by_alias=True, schema_generator=_Generator)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"campus-edge {kind}", **made}


def spell_duration(duration: timedelta) -> str:
    """A duration as it is written in a file: the largest unit that fits, `90s`, `400d`."""
    millis = round(duration.total_seconds() * 1000)
    unit, size = next(((unit, size) for unit, size in _UNITS if millis % size == 0), _UNITS[-1])
    return f"{millis // size}{unit}" if millis else "0s"


class _Generator(GenerateJsonSchema):
    """Writes durations in defaults and bounds as files do, not in ISO 8601."""

    def encode_default(self, dft: Any) -> Any:
        """A default as JSON."""
        return spell_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)
