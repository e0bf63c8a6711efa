"""An error, as JSON."""

from __future__ import annotations

from pydantic import ConfigDict

from edge.web.views.base import View


class ProblemView(View):
    """An error (RFC 9457). `code` is stable; further members depend on it."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: str
    detail: str
