"""GET /lines: how busy and how sound each field line is."""

from __future__ import annotations

from fastapi import APIRouter

from edge.web.api.context import Here
from edge.web.auth import VIEWER
from edge.web.problems import unknown
from edge.web.school import line_view
from edge.web.views.base import Page
from edge.web.views.lines import LineView

router = APIRouter(tags=["gateway"], dependencies=[VIEWER])


@router.get("/lines")
async def lines(here: Here) -> Page[LineView]:
    """All lines."""
    return Page(items=[line_view(status) for status in here.services.lines()])


@router.get("/lines/{line}")
async def one_line(line: str, here: Here) -> LineView:
    """One line."""
    found = {status.id: status for status in here.services.lines()}
    if line not in found:
        raise unknown("line", line, list(found))
    return line_view(found[line])
