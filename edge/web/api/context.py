"""What every route may reach, and the query parameters that many share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from fastapi import Depends, Query, Request

from edge.web.auth import Authority
from edge.web.live import LiveHub
from edge.web.problems import Problem
from edge.web.school import Schools
from edge.web.services.gateway import Services

T = TypeVar("T")

LONGEST_LIST = 10_000
Name = Annotated[str | None, Query(max_length=64)]
Limit = Annotated[int, Query(ge=1, le=LONGEST_LIST, description="items on one page")]
Cursor = Annotated[str | None, Query(max_length=32, description="`next` of the page before")]


@dataclass(frozen=True, slots=True)
class Context:
    """The web side's own parts, built once by `create_app`."""

    services: Services
    authority: Authority
    hub: LiveHub
    schools: Schools
    static: Path | None


async def _context(request: Request) -> Context:
    found: Context = request.app.state.context
    return found


Here = Annotated[Context, Depends(_context)]


def number_cursor(cursor: str | None) -> int:
    """A cursor that is a whole number, 0 for none; raises a 422 problem."""
    if cursor is None:
        return 0
    # Longer numbers than epoch milliseconds are not ours, and too large for the store.
    if not cursor.isascii() or not cursor.isdecimal() or len(cursor) > 15:
        raise Problem(422, "invalid", "cursor: expected the `next` of the page before")
    return int(cursor)


def cut(items: list[T], limit: int, cursor: str | None) -> tuple[list[T], str | None]:
    """One page of a list held in memory, and the cursor of the next."""
    start = number_cursor(cursor)
    following = str(start + limit) if start + limit < len(items) else None
    return items[start : start + limit], following
