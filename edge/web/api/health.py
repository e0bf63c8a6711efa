"""GET /health: whether data moves; open to everyone."""

from __future__ import annotations

from fastapi import APIRouter

from edge.web.api.context import Here
from edge.web.auth import OPEN
from edge.web.views.health import CheckView, HealthView

router = APIRouter(tags=["gateway"])


@router.get("/health", dependencies=[OPEN])
async def health(here: Here) -> HealthView:
    """The gateway's state in one word, and what it rests on."""
    services = here.services
    report = services.health()
    return HealthView(
        status=report.status,
        version=services.about.version,
        uptime_s=max(0, services.clock() - services.about.started_at) // 1000,
        checks=[CheckView.model_validate(check) for check in report.checks],
    )
