"""Every error becomes a problem document: ours, the framework's and crashes."""

from __future__ import annotations

import logging
import sqlite3
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from edge.web.headers import NEVER_STORED, SECURITY
from edge.web.problems import Problem

_LOG = logging.getLogger(__name__)


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101  # registered for this class alone
    return error.response()


async def _framework(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for this class alone
    code = HTTPStatus(error.status_code).name.lower()
    return Problem(error.status_code, code, str(error.detail), headers=error.headers).response()


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # registered for this class alone
    # The input is not echoed: it may be a password.
    errors = [{"path": ".".join(map(str, fault["loc"])), "message": fault["msg"]} for fault in error.errors()]
    detail = "; ".join(f"{fault['path']}: {fault['message']}" for fault in errors)
    return Problem(422, "invalid", detail[:500], errors=errors[:20]).response()


async def _store(_: Request, error: Exception) -> Response:
    _LOG.error("a request failed: the disk refuses: %s", error)
    detail = "nothing was done: the gateway's disk cannot be written or read now; see the health page"
    return Problem(503, "storage_failed", detail, headers={"Retry-After": "5"}).response()


async def _crash(_: Request, __: Exception) -> Response:
    # Sent from outside the shield, which therefore cannot add its headers.
    headers = {**SECURITY, **NEVER_STORED}
    return Problem(
        500, "internal", "the gateway failed to answer; its log says why", headers=headers
    ).response()


def install(app: FastAPI) -> None:
    """Makes every error that `app` answers with a problem document."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(sqlite3.OperationalError, _store)
    app.add_exception_handler(Exception, _crash)
