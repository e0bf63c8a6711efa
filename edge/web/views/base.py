"""The JSON that the API answers with, as pydantic models; OpenAPI is made from them.

Times are RFC 3339 in UTC with milliseconds, lists are `{items, next}`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema

from drivers.reading import Millis
from edge.clock import rfc3339

T = TypeVar("T")


@lru_cache(maxsize=4096)
def instant(at: Millis) -> str:
    """RFC 3339 text of an instant; cached, because the readings of one tick share theirs."""
    return rfc3339(at) or ""


Instant = Annotated[
    Millis,
    PlainSerializer(instant, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class View(BaseModel):
    """One JSON object of the API, made from the attributes of what the gateway holds."""

    model_config = ConfigDict(frozen=True, from_attributes=True, populate_by_name=True)


class Page(View, Generic[T]):
    """A list; `next` is the `cursor` of the following page, null on the last."""

    items: list[T]
    next: str | None = None
