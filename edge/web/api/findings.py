"""GET /findings: what was wasted or odd, and how much; GET /baselines: what is usual, and how surely."""

from __future__ import annotations

from fastapi import APIRouter

from edge.web.api.context import Cursor, Here, Limit, Name, number_cursor
from edge.web.api.instants import Time, instant
from edge.web.auth import VIEWER
from edge.web.views.base import Page
from edge.web.views.findings import BaselineView, FindingView
from edge.web.views.texts import TextView

router = APIRouter(tags=["alarms"], dependencies=[VIEWER])
USUAL_MS = 30 * 86_400_000


@router.get("/findings")
async def findings(
    here: Here,
    space: Name = None,
    since: Time = None,
    until: Time = None,
    limit: Limit = 500,
    cursor: Cursor = None,
) -> Page[FindingView]:
    """Findings of a time (default: the last 30 days), newest first; a space stands for all inside it."""
    school, now = here.schools.now(), here.services.clock()
    end = now + 1 if until is None else instant("until", until)
    begin = end - USUAL_MS if since is None else instant("since", since)
    scopes = None if space is None else school.scopes_below(space)
    start = number_cursor(cursor)
    found = await here.services.findings.list(begin, end, scopes, limit + 1, start)
    items = [
        FindingView(
            **{name: getattr(one.finding, name) for name in FindingView.COPIED},
            title=TextView.model_validate(one.title),
            conclusive=not one.finding.weak,
            suspects=[{"device": s.device, "excess": s.excess} for s in one.finding.suspects],
        )
        for one in found[:limit]
    ]
    return Page(items=items, next=str(start + limit) if len(found) > limit else None)


@router.get("/baselines")
async def baselines(here: Here) -> Page[BaselineView]:
    """What was last learned of each counter that rules compare with its usual."""
    return Page(items=[BaselineView.model_validate(one) for one in here.services.findings.baselines()])
