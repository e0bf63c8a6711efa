"""GET /site and /spaces: the school and its places."""

from __future__ import annotations

from fastapi import APIRouter

from edge.web.api.context import Here
from edge.web.auth import VIEWER
from edge.web.views.base import Page
from edge.web.views.site import SiteView, SpaceView

router = APIRouter(tags=["school"], dependencies=[VIEWER])


@router.get("/site")
async def site(here: Here) -> SiteView:
    """The school, and the gateway in it."""
    settings, about = here.services.configuration().settings.site, here.services.about
    return SiteView(
        id=settings.id,
        name=settings.name,
        district=settings.district,
        timezone=settings.timezone,
        version=about.version,
        started_at=about.started_at,
        now=here.services.clock(),
        demo=about.demo,
    )


@router.get("/spaces")
async def spaces(here: Here) -> Page[SpaceView]:
    """All places; `in` makes them a tree."""
    return Page(items=here.schools.now().spaces)
