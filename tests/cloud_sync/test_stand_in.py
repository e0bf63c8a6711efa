"""The loopback stand-in answers as InfluxDB 2 does."""

import gzip

import httpx
import pytest

from cloud_sync.errors import Blocked, Rejected, Throttled, Unreachable
from cloud_sync.holdings import Holdings
from cloud_sync.influx import InfluxWriter
from cloud_sync.line_parser import parse_lines
from cloud_sync.stand_in import Outage, StandIn
from tests.cloud_sync.memory_outbox import destination


@pytest.fixture
async def district():
    async with StandIn("linwei", "schools", "secret") as stand_in:
        yield stand_in


@pytest.fixture
async def writer(district):
    async with InfluxWriter(destination(district.url), "secret") as one:
        yield one


async def test_points_are_counted_once_however_often_they_come(district, writer):
    for _ in range(3):
        await writer.write(b"meter,device=a power=1.0,energy=2.0 1\nmeter,device=a power=3.0 2")
    await writer.write(b"meter,device=a power=5.0 2")
    assert district.points() == 3
    (power,) = district.holdings.select("meter", "power")
    assert (power.count, power.total, power.last) == (2, 6.0, 5.0)
    assert district.counts().writes == 4


async def test_a_malformed_line_is_named_and_nothing_of_the_write_is_stored(district, writer):
    with pytest.raises(Rejected, match="line 2"):
        await writer.write(b"m v=1.0 1\nm v=oops 2\nm v=3.0 3")
    assert district.points() == 0


async def test_a_field_that_changes_its_type_is_dropped_and_the_others_are_stored(district, writer):
    await writer.write(b"m v=1.0 1")
    with pytest.raises(Rejected, match=r"conflict.*dropped=1") as caught:
        await writer.write(b"m v=true 2\nm v=3.0 3")
    assert caught.value.status == 422
    assert district.points() == 2


@pytest.mark.parametrize("change", [{"org": "other"}, {"bucket": "other"}])
async def test_org_and_bucket_must_be_known(district, change):
    async with InfluxWriter(destination(district.url, **change), "secret") as writer:
        with pytest.raises(Blocked, match="not found"):
            await writer.write(b"m v=1.0 1")


async def test_a_wrong_token_is_refused(district):
    async with InfluxWriter(destination(district.url), "guess") as writer:
        with pytest.raises(Blocked, match="unauthorized") as caught:
            await writer.write(b"m v=1.0 1")
    assert caught.value.status == 401


async def test_it_can_be_down_in_two_ways_and_up_again(district, writer):
    district.down()
    with pytest.raises(Throttled):
        await writer.write(b"m v=1.0 1")
    district.down(Outage.CLOSED)
    with pytest.raises(Unreachable):
        await writer.write(b"m v=1.0 1")
    district.up()
    await writer.write(b"m v=1.0 1")
    assert district.points() == 1


async def test_health_and_counts_are_open(district, writer):
    await writer.write(b"m v=1.0 1")
    async with httpx.AsyncClient(base_url=district.url) as client:
        assert (await client.get("/health")).json()["status"] == "pass"
        assert (await client.get("/counts")).json() == {"points": 1, "series": 1, "writes": 1, "refused": 0}
        assert (await client.get("/elsewhere")).status_code == 404


async def test_a_compression_bomb_and_garbage_are_refused(district):
    headers = {"Authorization": "Token secret", "Content-Encoding": "gzip"}
    parameters = {"org": "linwei", "bucket": "schools", "precision": "ms"}
    async with httpx.AsyncClient(base_url=district.url, headers=headers, params=parameters) as client:
        for body in (gzip.compress(bytes(64_000_000)), b"no gzip", gzip.compress(b"m v=1.0 1")[:-9]):
            answer = await client.post("/api/v2/write", content=body)
            assert answer.status_code == 400
            assert "message" in answer.json()
        answer = await client.post("/api/v2/write", content=gzip.compress(b"m v=1.0 9223372036854775807"))
        assert "outside range" in answer.json()["message"]
    assert district.points() == 0


def test_memory_is_bounded_and_an_old_copy_still_counts_once():
    holdings = Holdings()
    (point,) = parse_lines(b"m v=1.0 1")
    for at in range(1, 50_001):
        holdings.store(point, at)
    for at in (1, 20_000, 49_000, 50_000):
        holdings.store(point, at)
    assert holdings.points == 50_000
    (series,) = holdings.select("m", "v")
    assert series.total == 50_000
    assert len(series.times) <= 22_000
