"""A school's web side, called in process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from edge.config.configuration import Configuration
from edge.store.accounts import Role
from edge.store.database import Database
from edge.web.app import create_app
from edge.web.limits import Buckets
from edge.web.live import LiveHub
from edge.web.services.gateway import Services
from edge.web.shield import Limits
from tests.edge.web.school import Clock, Pipeline, open_database, services, token, write_configuration

ORIGIN = "http://gateway.test"


@pytest.fixture(scope="session")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    return write_configuration(tmp_path_factory.mktemp("school"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database(tmp_path / "core.db")
    yield opened
    await opened.close()


@pytest.fixture
def gateway(pipeline: Pipeline, configuration: Configuration, database: Database, clock: Clock) -> Services:
    return services(pipeline, configuration, database, clock)


@pytest.fixture
def hub(gateway: Services) -> LiveHub:
    return LiveHub(gateway.clock, gateway.configuration, gateway.latest, flush_ms=10, beat_ms=50)


@pytest.fixture
def static(tmp_path: Path) -> Path:
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>dashboard</title>")
    (folder / "assets" / "app-AB12CD34.js").write_text("export {};" * 300)
    (tmp_path / "secret.txt").write_text("canary")
    return folder


@pytest.fixture
def limits(clock: Clock) -> Limits:
    return Limits(Buckets(10, 50, clock.seconds), Buckets(5 / 60, 5, clock.seconds))


@pytest.fixture
def app(gateway: Services, hub: LiveHub, static: Path, limits: Limits) -> FastAPI:
    return create_app(gateway, hub, static, limits)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Nobody in particular, from another machine."""
    transport = httpx.ASGITransport(app, client=("192.0.2.7", 40000), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as made:
        yield made


@pytest.fixture
async def viewer(client: httpx.AsyncClient, gateway: Services) -> httpx.AsyncClient:
    """The same client with a viewer's token."""
    client.headers.update(await token(gateway, Role.VIEWER))
    return client
