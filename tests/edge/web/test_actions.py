"""What rules do, over HTTP: proposals, the points they hold, arming; and who may do what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from drivers.reading import Reading
from edge.config.configuration import Configuration
from edge.pipeline.actuator import Actuator
from edge.store.accounts import Role
from edge.web.services.gateway import Services
from rules.engine import Engine
from tests.edge.pipeline.test_actuator import school
from tests.edge.web.school import Clock, token

API = "/api/v1"


@pytest.fixture(params=["confirm"])
def configuration(tmp_path: Path, request: pytest.FixtureRequest) -> Configuration:
    folder = tmp_path / "school"
    folder.mkdir()
    return school(folder, mode=request.param)


async def proposed(gateway: Services, clock: Clock) -> None:
    """The air is stale: what the rule decides is stored as it is in the gateway."""
    engine, actuator = gateway.rules, gateway.actions
    assert isinstance(engine, Engine)
    assert isinstance(actuator, Actuator)
    for device, point, value, unit in (("ac", "on", True, "bool"), ("env", "co2", 1800.0, "[ppm]")):
        engine.evaluate([Reading(device, point, value, unit, clock.at, clock.at)], clock.at)
    work = actuator.gather()
    assert work is not None
    await gateway.database.run(lambda c: actuator.keep(c, work))


async def acting(client: httpx.AsyncClient, gateway: Services, role: Role) -> httpx.AsyncClient:
    client.headers.update(await token(gateway, role))
    return client


async def listed(client: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    answer = await client.get(f"{API}/actions", params=query)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_a_proposal_is_seen_by_all_and_let_out_by_an_operator_once(
    client: httpx.AsyncClient, gateway: Services, clock: Clock
) -> None:
    await proposed(gateway, clock)
    viewer = await acting(client, gateway, Role.VIEWER)
    (item,) = await listed(viewer, waiting="true")
    assert (item["state"], item["cmd"], item["device"], item["value"]) == ("proposed", "ac.off", "ac", False)
    assert item["expires_at"] is not None
    way = f"{API}/actions/{item['id']}/confirm"
    assert (await viewer.post(way)).status_code == 403
    operator = await acting(client, gateway, Role.OPERATOR)
    done = await operator.post(way)
    assert (done.status_code, done.json()["state"], done.json()["person"]) == (
        200,
        "accepted",
        "test-operator",
    )
    again = await operator.post(way)
    assert (again.status_code, again.json()["code"]) == (409, "no_proposal")
    assert [one["state"] for one in await listed(operator)] == ["decided", "accepted"]
    (lever,) = (await operator.get(f"{API}/actions/levers")).json()["items"]
    assert (lever["device"], lever["wanted"], lever["rules"]) == ("ac", False, ["stale-air"])


async def test_a_proposal_is_rejected_with_a_word(
    client: httpx.AsyncClient, gateway: Services, clock: Clock
) -> None:
    await proposed(gateway, clock)
    operator = await acting(client, gateway, Role.OPERATOR)
    (item,) = await listed(operator)
    done = await operator.post(f"{API}/actions/{item['id']}/reject", json={"note": "考试"})
    assert (done.json()["state"], done.json()["detail"]) == ("rejected", "考试")
    assert (await operator.post(f"{API}/actions/999/reject", json={})).status_code == 409


async def test_pages_of_decisions(client: httpx.AsyncClient, gateway: Services, clock: Clock) -> None:
    await proposed(gateway, clock)
    operator = await acting(client, gateway, Role.OPERATOR)
    await operator.post(f"{API}/actions/1/confirm")
    first = (await operator.get(f"{API}/actions", params={"limit": 1})).json()
    assert [one["id"] for one in first["items"]] == [2]
    second = await operator.get(f"{API}/actions", params={"limit": 1, "cursor": first["next"]})
    assert [one["id"] for one in second.json()["items"]] == [1]


@pytest.mark.parametrize("configuration", ["auto"], indirect=True)
async def test_an_engineer_arms_a_rule_after_its_time_in_shadow(
    client: httpx.AsyncClient, gateway: Services, clock: Clock
) -> None:
    way = f"{API}/rules/stale-air"
    operator = await acting(client, gateway, Role.OPERATOR)
    (stands,) = (await operator.get(f"{API}/arming")).json()["items"]
    assert (stands["rule"], stands["armed"]) == ("stale-air", False)
    assert (await operator.post(f"{way}/arm", json={"reason": "well"})).status_code == 403
    engineer = await acting(client, gateway, Role.ENGINEER)
    early = await engineer.post(f"{way}/arm", json={"reason": "well"})
    assert (early.status_code, early.json()["code"]) == (409, "in_shadow")
    clock.move(minutes=25 * 60)
    assert (await engineer.post(f"{way}/arm", json={})).json()["code"] == "reason_missing"
    armed = await engineer.post(f"{way}/arm", json={"reason": "well"})
    assert (armed.status_code, armed.json()["armed"], armed.json()["armed_by"]) == (
        200,
        True,
        "test-engineer",
    )
    gone = await engineer.post(f"{way}/disarm", json={"reason": "too eager"})
    assert gone.json()["armed"] is False
    assert (await engineer.post(f"{API}/rules/nothing/arm", json={"reason": "x"})).status_code == 404


async def test_a_rule_without_mode_auto_is_not_armed(client: httpx.AsyncClient, gateway: Services) -> None:
    engineer = await acting(client, gateway, Role.ENGINEER)
    answer = await engineer.post(f"{API}/rules/stale-air/arm", json={"reason": "well"})
    assert (answer.status_code, answer.json()["code"]) == (422, "no_auto")
    (rule,) = (await engineer.get(f"{API}/rules")).json()["items"]
    assert rule["cannot_act"] == []
