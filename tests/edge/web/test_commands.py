"""The two-step door over HTTP: prepare, confirm, and everything that is turned away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest

from edge.pipeline.dispatcher import Dispatcher
from edge.store.accounts import Role
from edge.web.services.gateway import Services
from tests.edge.web.school import Clock, Pipeline, token

API = "/api/v1"
WISH = {"device": "env-301", "point": "open", "value": True, "reason": "通风"}


@pytest.fixture(autouse=True)
async def carried_out(gateway: Services) -> AsyncIterator[None]:
    """Commands are carried out meanwhile."""
    assert isinstance(gateway.commands, Dispatcher)
    task = asyncio.create_task(gateway.commands.run())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.fixture
async def operator(client: httpx.AsyncClient, gateway: Services) -> httpx.AsyncClient:
    client.headers.update(await token(gateway, Role.OPERATOR))
    return client


async def audited(gateway: Services) -> list[tuple[str, str, str]]:
    rows = await gateway.database.read(
        lambda c: c.execute(
            "SELECT action, object, result FROM audit WHERE action LIKE 'command%'"
        ).fetchall()
    )
    return [tuple(row) for row in rows]


async def test_a_command_is_prepared_confirmed_carried_out_and_written_down(
    operator: httpx.AsyncClient, pipeline: Pipeline, gateway: Services
) -> None:
    prepared = await operator.post(f"{API}/commands", json=WISH)
    assert prepared.status_code == 201
    body = prepared.json()
    assert (body["device"], body["point"], body["value"], body["unit"]) == ("env-301", "open", True, "bool")
    assert pipeline.written == []
    seen = {name: body[name] for name in ("token", "device", "point", "value")}
    done = await operator.post(f"{API}/commands/confirm", json=seen)
    assert (done.status_code, done.json()["state"], done.json()["found"]) == (200, "confirmed", True)
    assert pipeline.written == [("open", True)]
    (listed,) = (await operator.get(f"{API}/commands")).json()["items"]
    assert (listed["who"], listed["reason"], listed["state"]) == ("test-operator", "通风", "confirmed")
    assert await audited(gateway) == [
        ("command.prepare", "env-301/open", "ok"),
        ("command.send", "env-301/open", "sent: 通风"),
        ("command.end", "env-301/open", "confirmed"),
    ]
    assert await gateway.database.read(gateway.accounts.verify) is None


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"device": "none"}, 404, "unknown_device"),
        ({"point": "none"}, 404, "unknown_point"),
        ({"point": "co2", "value": 5}, 422, "not_writable"),
        ({"value": 1}, 422, "wrong_type"),
        ({"reason": "  "}, 422, "reason_missing"),
    ],
)
async def test_what_may_not_be_is_turned_away_and_written_down(
    operator: httpx.AsyncClient,
    pipeline: Pipeline,
    gateway: Services,
    change: dict[str, object],
    status: int,
    code: str,
) -> None:
    answer = await operator.post(f"{API}/commands", json={**WISH, **change})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert pipeline.written == []
    assert [result for _, _, result in await audited(gateway)] == [f"refused:{code}"]
    (listed,) = (await operator.get(f"{API}/commands")).json()["items"]
    assert listed["state"] == "refused"


async def test_a_silent_device_is_not_written_to(
    operator: httpx.AsyncClient, pipeline: Pipeline, gateway: Services
) -> None:
    prepared = (await operator.post(f"{API}/commands", json=WISH)).json()
    pipeline.online = False
    answer = await operator.post(f"{API}/commands/confirm", json={"token": prepared["token"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "device_offline")
    answer = await operator.post(f"{API}/commands", json=WISH)
    assert (answer.status_code, answer.json()["code"]) == (409, "device_offline")
    assert pipeline.written == []
    states = [item["state"] for item in (await operator.get(f"{API}/commands")).json()["items"]]
    assert states == ["refused", "refused"]


async def test_a_token_serves_once_for_its_user_its_value_and_half_a_minute(
    operator: httpx.AsyncClient, pipeline: Pipeline, gateway: Services, clock: Clock
) -> None:
    async def confirm(**body: object) -> tuple[int, str]:
        answer = await operator.post(f"{API}/commands/confirm", json=body)
        return answer.status_code, answer.json().get("code", answer.json().get("state"))

    async def prepare() -> str:
        clock.move(seconds=3)
        made = await operator.post(f"{API}/commands", json=WISH)
        return str(made.json()["token"])

    assert await confirm() == (403, "invalid_token")
    assert await confirm(token="guessed") == (403, "invalid_token")
    secret = await prepare()
    assert await confirm(token=secret, value=False) == (409, "changed_value")
    assert await confirm(token=secret, value=1) == (409, "changed_value")
    assert await confirm(token=secret, device="env-yard") == (409, "changed_value")
    own = operator.headers["Authorization"]
    operator.headers.update(await token(gateway, Role.ENGINEER))
    assert await confirm(token=secret) == (403, "other_user")
    operator.headers["Authorization"] = own
    assert pipeline.written == []
    assert await confirm(token=secret) == (200, "confirmed")
    assert await confirm(token=secret) == (409, "token_used")
    late = await prepare()
    clock.move(seconds=30)
    assert await confirm(token=late) == (409, "token_expired")
    assert pipeline.written == [("open", True)]
    states = [item["state"] for item in (await operator.get(f"{API}/commands")).json()["items"]]
    assert states == ["expired", "confirmed"]
    results = [result for action, _, result in await audited(gateway) if action == "command.confirm"]
    assert results == [
        "refused:invalid_token", "refused:invalid_token", "refused:changed_value", "refused:changed_value",
        "refused:changed_value", "refused:other_user", "refused:token_used", "refused:token_expired",
    ]  # fmt: skip


async def test_two_confirmations_at_once_write_once(operator: httpx.AsyncClient, pipeline: Pipeline) -> None:
    secret = (await operator.post(f"{API}/commands", json=WISH)).json()["token"]
    both = [operator.post(f"{API}/commands/confirm", json={"token": secret}) for _ in range(2)]
    answers = await asyncio.gather(*both)
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert pipeline.written == [("open", True)]


async def test_a_point_rests_between_two_writes(operator: httpx.AsyncClient, clock: Clock) -> None:
    for moved, status in ((0.0, 201), (0.5, 429), (2.0, 201)):
        clock.move(seconds=moved)
        made = await operator.post(f"{API}/commands", json=WISH)
        assert made.status_code == status
        if status == 201:
            await operator.post(f"{API}/commands/confirm", json={"token": made.json()["token"]})


async def test_devices_say_which_points_may_be_written(viewer: httpx.AsyncClient) -> None:
    points = (await viewer.get(f"{API}/devices/env-301")).json()["points"]
    assert {point["name"]: point["write"] for point in points} == {
        "temperature": None,
        "co2": None,
        "open": {"min": None, "max": None, "role": "operator"},
    }


async def test_the_list_of_commands_goes_on_behind_its_cursor(operator: httpx.AsyncClient) -> None:
    for _ in range(5):
        await operator.post(f"{API}/commands", json=WISH)
    first = (await operator.get(f"{API}/commands", params={"limit": 3})).json()
    rest = (await operator.get(f"{API}/commands", params={"limit": 3, "cursor": first["next"]})).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == [5, 4, 3, 2, 1]
    assert rest["next"] is None


async def test_values_of_no_sense_never_come_through(operator: httpx.AsyncClient, pipeline: Pipeline) -> None:
    for raw in ("NaN", "1e999", '"x"', "null", "[1]", "{}", "123456789012345678901234567890"):
        body = f'{{"device": "env-301", "point": "open", "value": {raw}, "reason": "x"}}'
        answer = await operator.post(f"{API}/commands", content=body.encode())
        assert answer.status_code == 422, raw
    assert (await operator.get(f"{API}/commands")).status_code == 200
    assert pipeline.written == []
