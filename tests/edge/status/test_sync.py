"""Destinations, and what the comparison with them came to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest

from cloud_sync.reconcile import DayResult, Reconciliation, SpotCheck
from cloud_sync.uploader import Uploader
from edge.northbound import Northbound
from edge.reconciliation import NO_TOKEN, Nightly
from edge.status.sync import compared, destinations
from edge.store import alarms
from edge.store.alarms import Quarantine
from edge.store.database import Database
from tests.cloud_sync.fake_district import FakeDistrict
from tests.cloud_sync.memory_outbox import START, MemoryOutbox, destination, meters

DAY = 86_400_000


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(tmp_path / "core.db", (alarms.SCHEMA,))
    await opened.open()
    yield opened
    await opened.close()


def uploader(*outboxes: MemoryOutbox) -> Uploader:
    return Uploader(destination(), outboxes, FakeDistrict(), lambda: START, Random(1))


async def test_what_waits_what_was_refused_and_what_was_compared_is_told_of_a_destination(
    core: Database,
) -> None:
    readings, hours = MemoryOutbox("readings", meters(7)), MemoryOutbox("hourly", meters(2))
    sending, quarantine = uploader(readings), Quarantine(core)
    name = sending.destination.id
    await quarantine.park("readings", name, meters(1)[0], "meter v=nan", 400, "no number")
    nightly = Nightly(name, "school", ZoneInfo("Asia/Shanghai"), None, lambda: START)
    north = Northbound([sending], {name: uploader(hours)}, {name: nightly}, quarantine, {})
    (status,) = await destinations(north)
    assert (status.id, status.pending, status.hours_pending, status.hours_trouble) == (name, 7, 2, "")
    assert (status.quarantined, status.quarantine[0].reason) == (1, "no number")
    assert (status.stand_in, status.received) == (False, None)
    assert status.comparing
    assert status.compared is not None
    assert (status.compared.reason, status.compared.permitted) == (NO_TOKEN, False)


async def test_a_destination_without_hourly_figures_and_comparison_says_so(core: Database) -> None:
    (status,) = await destinations(Northbound([uploader()], {}, {}, Quarantine(core), {}))
    assert (status.pending, status.hours_pending) == (0, None)
    assert (status.comparing, status.compared) == (False, None)


def test_a_comparison_is_told_in_sum_over_its_days() -> None:
    days = tuple(
        DayResult(stream, since, 4, 100, differing=1, missing=3, resent=3, still=0, surplus=1)
        for stream in ("readings", "hourly")
        for since in (START, START - DAY)
    )
    found = compared(Reconciliation(START, days, SpotCheck(5, 0)))
    assert (found.days, found.values, found.differing, found.missing) == (2, 400, 4, 12)
    assert (found.resent, found.still, found.surplus, found.spots, found.spots_wrong) == (12, 0, 4, 5, 0)
    assert (found.same, found.permitted, found.reason) == (True, True, "")


def test_a_day_that_was_not_compared_is_not_counted() -> None:
    days = (DayResult("readings", START, 4, 100), DayResult("readings", START - DAY, skipped="not kept"))
    assert compared(Reconciliation(START, days)).days == 1
