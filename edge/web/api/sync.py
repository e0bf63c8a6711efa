"""GET /sync: what waits for the district, and what it refused."""

from __future__ import annotations

from fastapi import APIRouter

from edge.web.api.context import Here
from edge.web.auth import VIEWER
from edge.web.school import sync_view
from edge.web.views.base import Page
from edge.web.views.sync import SyncView

router = APIRouter(tags=["gateway"], dependencies=[VIEWER])


@router.get("/sync")
async def sync(here: Here) -> Page[SyncView]:
    """All destinations."""
    return Page(items=[sync_view(status) for status in await here.services.sync()])
