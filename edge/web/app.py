"""The web application: routes, their guard, and the dashboard's files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from edge.store.accounts import Role
from edge.web.api import (
    actions,
    alarms,
    commands,
    commissioning,
    desk,
    devices,
    docs,
    findings,
    health,
    history,
    lines,
    maintenance,
    metrics,
    readings,
    rules,
    sessions,
    site,
    stream,
    sync,
)
from edge.web.api.context import Context
from edge.web.auth import Authority, Needs
from edge.web.handlers import install
from edge.web.live import LiveHub
from edge.web.school import Schools
from edge.web.services.gateway import Services
from edge.web.shield import Limits, Shield, default_limits
from edge.web.views.problem import ProblemView

PREFIX = "/api/v1"
DASHBOARD = "dashboard"
RESOURCES = (
    health,
    sessions,
    site,
    devices,
    readings,
    history,
    alarms,
    findings,
    commands,
    actions,
    desk,
    commissioning,
    maintenance,
    rules,
    lines,
    sync,
    stream,
    docs,
)


class UndeclaredRole(Exception):
    """A route does not say who may use it."""


def create_app(
    services: Services, hub: LiveHub, static: Path | None = None, limits: Limits | None = None
) -> FastAPI:
    """The application; `static` is the folder of the built dashboard, `None` for the API alone.
    Raises UndeclaredRole."""
    authority = Authority(services)
    app = FastAPI(
        title="campus-edge",
        version=services.about.version,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={"default": {"model": ProblemView, "description": "a problem (RFC 9457)"}},
    )
    app.state.context = Context(services, authority, hub, Schools(services.configuration), static)
    for resource in RESOURCES:
        app.include_router(resource.router, prefix=PREFIX)
    app.include_router(metrics.router)
    check_roles(app)
    install(app)
    app.add_middleware(Shield, authority=authority, limits=limits or default_limits())
    if static is not None:
        # Bundles are compressed here and kept by browsers; the API's answers are not worth the CPU.
        files = StaticFiles(directory=static, html=True)
        app.mount("/", GZipMiddleware(files, minimum_size=1024), name=DASHBOARD)
    return app


def roles(app: FastAPI) -> dict[tuple[str, str], Role | None]:
    """(method, path) -> minimal role of every route, `None` for open ones; the dashboard's
    files are open and not among them. Raises UndeclaredRole."""
    found: dict[tuple[str, str], Role | None] = {}
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, Mount) and route.name == DASHBOARD:
            continue
        dependant: Dependant | None = getattr(route, "dependant", None)
        needs = list(_needs(dependant)) if dependant is not None else []
        declared = {need.role for need in needs}
        if len(declared) != 1:
            raise UndeclaredRole(f"{route.path}: a route declares one minimal role, found {len(declared)}")
        for method in route.methods or ():
            found[method, route.path or ""] = next(iter(declared))
    return found


def check_roles(app: FastAPI) -> None:
    """Refuses an application with a route whose minimal role is not declared."""
    roles(app)


def _needs(dependant: Dependant) -> Iterator[Needs]:
    for below in dependant.dependencies:
        if isinstance(below.call, Needs):
            yield below.call
        yield from _needs(below)
