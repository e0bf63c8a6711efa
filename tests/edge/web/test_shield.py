"""Limits, headers, problem documents, and the way to the file system."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from edge.store.accounts import Role
from edge.web.app import create_app
from edge.web.limits import MOST_CLIENTS, Buckets
from edge.web.live import LiveHub
from edge.web.services.gateway import Services
from edge.web.services.health import HealthReport
from edge.web.shield import BODY_LIMIT, Limits
from tests.edge.web.conftest import ORIGIN
from tests.edge.web.school import Clock, add_user, token

API = "/api/v1"


def is_problem(response: httpx.Response, status: int) -> bool:
    body = response.json()
    return (
        response.status_code == body["status"] == status
        and response.headers["content-type"] == "application/problem+json"
        and body["type"].endswith(body["code"])
        and bool(body["title"] and body["detail"])
    )


async def test_a_client_may_ask_fifty_times_at_once_and_then_ten_times_a_second(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    assert [(await client.get(f"{API}/health")).status_code for _ in range(50)] == [200] * 50
    refused = await client.get(f"{API}/health")
    assert is_problem(refused, 429)
    assert refused.headers["retry-after"] == "1"
    clock.move(seconds=1)
    codes = [(await client.get(f"{API}/health")).status_code for _ in range(11)]
    assert codes == [200] * 10 + [429]


async def test_clients_that_proved_who_they_are_do_not_share_the_limit_of_their_address(
    client: httpx.AsyncClient, gateway: Services
) -> None:
    first, second = await token(gateway, Role.VIEWER), await token(gateway, Role.OPERATOR)
    for headers in (first, second):
        assert (await client.get(f"{API}/site", headers=headers)).status_code == 200
    for headers in (first, second):
        codes = {(await client.get(f"{API}/site", headers=headers)).status_code for _ in range(50)}
        assert codes == {200}
    assert (await client.get(f"{API}/site", headers=first)).status_code == 429


async def test_made_up_cookies_do_not_get_round_the_limit(client: httpx.AsyncClient) -> None:
    for number in range(50):
        await client.get(f"{API}/health", headers={"Cookie": f"campus_session={number}"})
    refused = await client.get(f"{API}/health", headers={"Cookie": "campus_session=fresh"})
    assert refused.status_code == 429


def test_the_limiter_remembers_a_bounded_number_of_clients() -> None:
    buckets = Buckets(1, 1, lambda: 0.0)
    for number in range(MOST_CLIENTS):
        assert buckets.take(str(number)) == 0
    assert buckets.take("1") == 1  # still known
    assert buckets.take("new") == 0
    assert buckets.take("0") == 0  # quiet for longest, forgotten


async def test_every_answer_carries_the_security_headers(client: httpx.AsyncClient) -> None:
    for path in ("/", "/nowhere", f"{API}/health", f"{API}/nowhere", f"{API}/site"):
        headers = (await client.get(path)).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'self'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["date"].endswith("GMT")
        if path.startswith(API):
            assert headers["cache-control"] == "no-store"


async def test_tls_is_remembered_by_browsers_that_used_it(client: httpx.AsyncClient) -> None:
    assert "strict-transport-security" not in (await client.get("/")).headers
    client.base_url = httpx.URL("https://gateway.test")
    assert "max-age" in (await client.get("/")).headers["strict-transport-security"]


async def test_the_dashboard_is_open_and_only_hashed_names_are_kept(client: httpx.AsyncClient) -> None:
    index = await client.get("/")
    assert (index.status_code, index.headers["cache-control"]) == (200, "no-cache")
    assert "dashboard" in index.text
    bundle = await client.get("/assets/app-AB12CD34.js")
    assert bundle.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert bundle.headers["content-encoding"] == "gzip"
    missing = await client.get("/assets/app-00000000.js")
    assert is_problem(missing, 404)
    assert missing.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/..%5csecret.txt",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/index.html%00.js",
        "/%00",
        "/escape/secret.txt",
        "/" + "a" * 300,
        "/api/v1/devices/..%2f..%2fsecret.txt",
        "/api/v1/lines/%00",
    ],
)
async def test_no_path_leads_out_of_the_dashboards_folder(
    viewer: httpx.AsyncClient, static: Path, path: str
) -> None:
    (static / "escape").symlink_to(static.parent)
    # httpx would tidy the path; the raw target reaches the application as uvicorn hands it on.
    request = viewer.build_request("GET", "/")
    request.url = request.url.copy_with(raw_path=path.encode())
    response = await viewer.send(request)
    assert is_problem(response, 404)
    assert "canary" not in response.text


async def test_a_body_of_more_than_a_megabyte_is_refused_before_it_is_read(
    client: httpx.AsyncClient,
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 100_000
            yield b" " * 100_000

    told = await client.post(f"{API}/session", content=b" " * (BODY_LIMIT + 1))
    assert is_problem(told, 413)
    untold = await client.post(f"{API}/session", content=endless())
    assert is_problem(untold, 413)
    assert sent <= BODY_LIMIT + 200_000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b'{"user": ' + b"9" * 5000 + b', "password": ""}',
        b'{"user": "a", "password": "\\ud800"}',
        b'{"user": "\\ud800", "password": "x"}',
        b'{"user": "a", "password": NaN}',
        b'{"user": "a", "password": 1}',
        b'{"user": "a", "password": "x", "role": "admin"}',
        b'{"user": {"a": 1}, "password": "x"}',
        b"\xff\xfe",
        b"null",
    ],
)
async def test_a_malformed_body_is_a_problem_and_never_a_crash(
    client: httpx.AsyncClient, body: bytes
) -> None:
    headers = {"Content-Type": "application/json"}
    response = await client.post(f"{API}/session", content=body, headers=headers)
    assert is_problem(response, response.status_code)
    assert response.status_code in (400, 422)


async def test_a_refused_body_is_not_repeated_in_the_answer(client: httpx.AsyncClient) -> None:
    body = {"user": "a", "password": {"deep": "canary-secret"}}
    response = await client.post(f"{API}/session", json=body)
    assert response.status_code == 422
    assert "canary" not in response.text
    assert response.json()["errors"][0]["path"] == "body.password"


async def test_wrong_paths_and_methods_are_problems_too(client: httpx.AsyncClient, gateway: Services) -> None:
    assert is_problem(await client.get(f"{API}/nowhere"), 404)
    assert is_problem(await client.get("/api/v2/site"), 404)
    wrong = await client.post(f"{API}/health")
    assert is_problem(wrong, 405)
    await add_user(gateway, "anna", Role.VIEWER)
    assert is_problem(await client.get(f"{API}/site"), 401)


async def test_a_crash_is_a_problem_without_details(gateway: Services, hub: LiveHub, limits: Limits) -> None:
    def broken() -> HealthReport:
        raise RuntimeError("canary")

    app: FastAPI = create_app(replace(gateway, health=broken), hub, None, limits)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        response = await client.get(f"{API}/health")
    assert is_problem(response, 500)
    assert "canary" not in response.text
    assert "default-src 'self'" in response.headers["content-security-policy"]


async def test_a_disk_that_refuses_is_a_problem_of_its_own_to_be_tried_again(
    gateway: Services, hub: LiveHub, limits: Limits
) -> None:
    def refused() -> HealthReport:
        raise sqlite3.OperationalError("disk I/O error")

    transport = httpx.ASGITransport(create_app(replace(gateway, health=refused), hub, None, limits))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        response = await client.get(f"{API}/health")
    assert is_problem(response, 503)
    assert response.json()["code"] == "storage_failed"
    assert response.headers["retry-after"] == "5"


async def test_the_api_page_is_there_only_where_it_was_built_in(
    viewer: httpx.AsyncClient, static: Path
) -> None:
    assert is_problem(await viewer.get(f"{API}/docs"), 404)
    (static / "swagger").mkdir()
    (static / "swagger" / "swagger-ui-bundle.js").write_text("x")
    page = (await viewer.get(f"{API}/docs")).text
    assert "<script>" not in page
    assert "http" not in page
    assert "SwaggerUIBundle" in (await viewer.get(f"{API}/docs/start.js")).text


async def test_openapi_shows_no_secret_and_is_valid_json(viewer: httpx.AsyncClient) -> None:
    document = json.loads((await viewer.get(f"{API}/openapi.json")).content)
    assert document["openapi"].startswith("3.")
