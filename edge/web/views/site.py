"""The school and its spaces, as JSON."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edge.web.views.base import Instant, View


class SiteView(View):
    """The school and the gateway in it."""

    id: str
    name: str
    district: str
    timezone: str
    version: str
    started_at: Instant
    now: Instant
    demo: bool


class SpaceView(View):
    """One place; `in` is the space that holds it."""

    id: str
    name: str
    kind: str
    kind_zh: str
    kind_en: str
    parent: Annotated[str | None, Field(alias="in")]
    area_m2: float | None
    seats: int | None
