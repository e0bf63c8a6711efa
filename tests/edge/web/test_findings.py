"""What the API answers about findings and baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import httpx
import pytest

from drivers.reading import Millis
from edge.store.accounts import Role
from edge.web.app import create_app
from edge.web.live import LiveHub
from edge.web.services.findings import FindingRecord
from edge.web.services.gateway import Services
from edge.web.services.texts import Text
from edge.web.shield import Limits
from rules.baseline import Baseline
from rules.finding import Finding, Suspect
from tests.edge.web.school import START, token

API = "/api/v1"
DAY = 86_400_000


class Kept:
    """Two findings and a weak baseline; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Millis, Millis, frozenset[str] | None]] = []

    async def list(
        self, since: Millis, until: Millis, scopes: frozenset[str] | None, limit: int, offset: int
    ) -> Sequence[FindingRecord]:
        """See the protocol."""
        self.asked.append((since, until, scopes))
        found = [
            Finding(
                "b", "leak", "w1", "leak", START - DAY, None, 3.5, 0.4, "m3", suspects=(Suspect("w2", 1.5),)
            ),
            Finding("a", "leak", "w1", "leak", START - 2 * DAY, START - DAY, weak="各夜相差太大"),
        ]  # fmt: skip
        return [FindingRecord(one, Text("漏水", "Leak")) for one in found][offset : offset + limit]

    def baselines(self) -> Sequence[Baseline]:
        """See the protocol."""
        return [
            Baseline("w1", "volume", "mnf_p50_28d", "m3", START, "2026-09-01", "2026-09-20", 6, weak="6 天")
        ]


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def app(gateway: Services, hub: LiveHub, limits: Limits, kept: Kept) -> object:
    return create_app(replace(gateway, findings=kept), hub, None, limits)


async def test_findings_tell_how_much_and_how_surely(viewer: httpx.AsyncClient, kept: Kept) -> None:
    found = (await viewer.get(f"{API}/findings", params={"limit": "1"})).json()
    assert found["next"] == "1"
    (one,) = found["items"]
    assert (one["amount"], one["spread"], one["unit"], one["conclusive"]) == (3.5, 0.4, "m3", True)
    assert one["title"] == {"zh": "漏水", "en": "Leak"} and one["suspects"] == [
        {"device": "w2", "excess": 1.5}
    ]
    assert one["ended_at"] is None and one["began_at"].endswith("Z")
    assert kept.asked[0][1] - kept.asked[0][0] == 30 * DAY
    rest = (await viewer.get(f"{API}/findings", params={"cursor": "1"})).json()["items"]
    assert [(r["amount"], r["conclusive"], r["weak"]) for r in rest] == [(None, False, "各夜相差太大")]


async def test_findings_are_asked_for_by_space_and_time(viewer: httpx.AsyncClient, kept: Kept) -> None:
    await viewer.get(f"{API}/findings", params={"space": "b1", "since": "2026-09-01T00:00:00Z"})
    since, _, scopes = kept.asked[0]
    assert since == 1_788_220_800_000 and scopes is not None and {"b1", "r301", "env-301"} <= scopes
    wrong = await viewer.get(f"{API}/findings", params={"since": "yesterday"})
    assert wrong.status_code == 422


async def test_a_weak_baseline_says_that_nothing_is_concluded(viewer: httpx.AsyncClient) -> None:
    (one,) = (await viewer.get(f"{API}/baselines")).json()["items"]
    assert one["words"].startswith("不足以下结论") and one["days"] == 6


async def test_nobody_in_particular_sees_no_findings(client: httpx.AsyncClient, gateway: Services) -> None:
    assert (await client.get(f"{API}/findings")).status_code == 403
    client.headers.update(await token(gateway, Role.VIEWER))
    assert (await client.get(f"{API}/findings")).status_code == 200
