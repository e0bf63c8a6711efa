"""The desk's word and the sirens' silence, over the API."""

from __future__ import annotations

import httpx

from edge.store.accounts import Role
from edge.web.services.gateway import Services
from tests.edge.web.school import Pipeline, token

API = "/api/v1"


async def test_an_alarm_page_says_whether_it_can_be_heard_and_learns_how_things_stand(
    client: httpx.AsyncClient, gateway: Services, pipeline: Pipeline
) -> None:
    operator = await token(gateway, Role.OPERATOR)
    for audible in (False, True):
        ping = {"audio_ok": audible, "page": "wall"}
        answer = await client.post(f"{API}/desk", json=ping, headers=operator)
        assert answer.json() == {"mute": not audible, "sounding": True}
    assert pipeline.pings == [False, True]


async def test_who_may_not_acknowledge_is_no_desk(
    client: httpx.AsyncClient, gateway: Services, pipeline: Pipeline
) -> None:
    viewer = await token(gateway, Role.VIEWER)
    ping = {"audio_ok": True, "page": "wall"}
    assert (await client.post(f"{API}/desk", json=ping, headers=viewer)).status_code == 403
    operator = await token(gateway, Role.OPERATOR)
    for wrong in ({"audio_ok": True}, {"audio_ok": True, "page": "overview"}, {**ping, "more": 1}):
        assert (await client.post(f"{API}/desk", json=wrong, headers=operator)).status_code == 422
    assert pipeline.pings == []


async def test_an_operator_silences_the_sirens_and_it_is_written_down(
    client: httpx.AsyncClient, gateway: Services, pipeline: Pipeline
) -> None:
    viewer, operator = await token(gateway, Role.VIEWER), await token(gateway, Role.OPERATOR)
    listed = await client.get(f"{API}/siren", headers=viewer)
    assert listed.json()["items"] == [{"name": "security.0.relay", "sounding": True, "fault": ""}]
    path = f"{API}/siren/silence"
    assert (await client.post(path, json={}, headers=viewer)).status_code == 403
    assert pipeline.silences == 0
    done = await client.post(path, json={"note": "已到场"}, headers=operator)
    assert (done.json(), pipeline.silences) == ({"alarms": 2}, 1)
    row = await gateway.database.read(
        lambda c: c.execute("SELECT action, after, result FROM audit ORDER BY rowid DESC").fetchone()
    )
    assert tuple(row) == ("siren.silence", "已到场", "2")
