"""Errors as RFC 9457 problem details; `handlers.py` makes all of them so.

Nothing here loads the framework: what answers a dashboard is known before there is one to ask."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.responses import Response


class Problem(Exception):
    """An answer other than what was asked for.

    `code` is stable and for programs, `detail` is a sentence for people; `extra` members
    stand beside them in the body.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **extra: object,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers
        self.extra = extra

    def response(self) -> Response:
        """The problem as an HTTP response."""
        from starlette.responses import Response

        body = {
            "type": f"urn:campus-edge:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            **self.extra,
        }
        return Response(
            json.dumps(body, ensure_ascii=False),
            self.status,
            self.headers,
            media_type="application/problem+json",
        )


def unknown(kind: str, name: str, allowed: list[str]) -> Problem:
    """404 for a name that does not exist; `allowed` are those that do, the first 50 are shown."""
    return Problem(
        404, f"unknown_{kind}", f"there is no {kind} {name[:80]!r}", allowed=allowed[:50], known=len(allowed)
    )
