"""Instants in queries: RFC 3339 with a zone."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Query

from drivers.reading import Millis
from edge.web.problems import Problem

Time = Annotated[str | None, Query(max_length=40, description="RFC 3339 with a zone")]


def instant(name: str, text: str) -> Millis:
    """Epoch milliseconds of a query parameter; raises a 422 problem."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise invalid(name, "expected RFC 3339 with a zone, such as 2026-09-01T08:00:00Z (write + as %2B)")
    return round(at.timestamp() * 1000)


def invalid(name: str, message: str) -> Problem:
    """422 for a query parameter."""
    return Problem(
        422, "invalid", f"query.{name}: {message}", errors=[{"path": f"query.{name}", "message": message}]
    )
