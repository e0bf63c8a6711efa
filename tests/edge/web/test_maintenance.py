"""Taking devices out of service over the API."""

from __future__ import annotations

import httpx

from edge.store.accounts import Role
from edge.web.services.gateway import Services
from tests.edge.web.school import token

API = "/api/v1"
WORK = {"order": "WO-17", "until": "2026-11-24T18:00:00+08:00"}


async def test_an_engineer_takes_a_device_out_of_service_and_back(
    client: httpx.AsyncClient, gateway: Services
) -> None:
    engineer, viewer = await token(gateway, Role.ENGINEER), await token(gateway, Role.VIEWER)
    done = await client.post(f"{API}/devices/env-301/out-of-service", json=WORK, headers=engineer)
    assert done.status_code == 200, done.text
    (listed,) = (await client.get(f"{API}/out-of-service", headers=viewer)).json()["items"]
    assert (listed["device"], listed["order"], listed["until"]) == (
        "env-301",
        "WO-17",
        "2026-11-24T10:00:00.000Z",
    )
    back = await client.post(f"{API}/devices/env-301/in-service", headers=engineer)
    assert back.json()["items"] == []
    again = await client.post(f"{API}/devices/env-301/in-service", headers=engineer)
    assert again.status_code == 409
    rows = await gateway.database.read(
        lambda c: [tuple(row) for row in c.execute("SELECT action, object, result FROM audit ORDER BY seq")]
    )
    assert [row for row in rows if row[0].startswith("device.")] == [
        ("device.out_of_service", "device:env-301", "ok"),
        ("device.in_service", "device:env-301", "ok"),
        ("device.in_service", "device:env-301", "refused"),
    ]


async def test_without_an_order_a_time_or_the_right_nothing_is_taken_out(
    client: httpx.AsyncClient, gateway: Services
) -> None:
    engineer, operator = await token(gateway, Role.ENGINEER), await token(gateway, Role.OPERATOR)
    path = f"{API}/devices/env-301/out-of-service"
    for body in ({"order": "WO-1"}, {**WORK, "order": ""}, {**WORK, "until": "2026-11-24T18:00"}):
        assert (await client.post(path, json=body, headers=engineer)).status_code == 422
    assert (await client.post(path, json=WORK, headers=operator)).status_code == 403
    unknown = await client.post(f"{API}/devices/nobody/out-of-service", json=WORK, headers=engineer)
    assert unknown.status_code == 404
