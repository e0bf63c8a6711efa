"""Putting alarms aside over the API."""

from __future__ import annotations

import httpx

from edge.store.accounts import Role
from edge.web.services.gateway import Services
from tests.edge.web.school import Pipeline, alarm, token

API = "/api/v1"


async def test_an_operator_shelves_for_a_reason_until_a_time_and_takes_it_back(
    client: httpx.AsyncClient, gateway: Services, pipeline: Pipeline
) -> None:
    pipeline.records["o-1"] = alarm("o-1")
    operator = await token(gateway, Role.OPERATOR)
    body = {"note": "探头在换", "until": "2026-11-24T12:00:00Z"}
    done = await client.post(f"{API}/alarms/o-1/shelve", json=body, headers=operator)
    assert done.status_code == 200, done.text
    assert (done.json()["shelved_until"], done.json()["shelved_reason"]) == (
        "2026-11-24T12:00:00.000Z",
        "探头在换",
    )
    back = await client.post(f"{API}/alarms/o-1/unshelve", json={"note": ""}, headers=operator)
    assert back.json()["shelved_until"] is None


async def test_without_reason_time_or_rights_nothing_is_shelved(
    client: httpx.AsyncClient, gateway: Services, pipeline: Pipeline
) -> None:
    pipeline.records["o-1"] = alarm("o-1")
    operator, viewer = await token(gateway, Role.OPERATOR), await token(gateway, Role.VIEWER)
    path = f"{API}/alarms/o-1/shelve"
    for body in (
        {"note": "x"},
        {"until": "2026-11-24T12:00:00Z"},
        {"note": "x", "until": "2026-11-24T12:00"},
    ):
        assert (await client.post(path, json=body, headers=operator)).status_code == 422
    body = {"note": "x", "until": "2026-11-24T12:00:00Z"}
    assert (await client.post(path, json=body, headers=viewer)).status_code == 403
    assert (await client.post(f"{API}/alarms/o-9/shelve", json=body, headers=operator)).status_code == 404
