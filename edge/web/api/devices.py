"""GET /devices: what measures and switches, and how well it answers."""

from __future__ import annotations

from fastapi import APIRouter

from edge.web.api.context import LONGEST_LIST, Cursor, Here, Limit, cut
from edge.web.auth import VIEWER
from edge.web.views.base import Page
from edge.web.views.devices import DeviceView

router = APIRouter(tags=["school"], dependencies=[VIEWER])


@router.get("/devices")
async def devices(here: Here, limit: Limit = LONGEST_LIST, cursor: Cursor = None) -> Page[DeviceView]:
    """All devices, in the order of the configuration."""
    school = here.schools.now()
    names, following = cut(list(school.configuration.devices), limit, cursor)
    items = [school.device_view(name, here.services.device_health(name)) for name in names]
    return Page(items=items, next=following)


@router.get("/devices/{device}")
async def one_device(device: str, here: Here) -> DeviceView:
    """One device."""
    school = here.schools.now()
    school.device(device)
    return school.device_view(device, here.services.device_health(device))
