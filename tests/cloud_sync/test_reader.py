"""Asking the district: both languages give the same, and bad answers are told."""

import json

import pytest

from cloud_sync.influx import InfluxWriter
from cloud_sync.line_protocol import format_entry
from cloud_sync.loopback import Answer, LoopbackServer
from cloud_sync.outbox import Entry
from cloud_sync.reader import Question, ReadFailed, Series, Sum, reader
from cloud_sync.stand_in import StandIn
from tests.cloud_sync.memory_outbox import START, destination

TAGS = {"building": "b1", "device": "em-1", "district": "linwei", "school": "shangde"}
KEY = tuple(sorted(TAGS.items()))
QUESTION = Question("meter", "shangde", frozenset({"power", "energy"}), START, START + 1000)


def points():
    for n in range(10):
        yield Entry(n, "meter", TAGS, {"power": n / 10, "on": n % 2 == 0, "state": "run"}, START + n)
    yield Entry(11, "meter", {**TAGS, "device": "em-2", "building": ""}, {"energy": 5.0}, START)
    yield Entry(12, "meter", TAGS, {"power": 100.0}, START + 1000)
    yield Entry(13, "meter", {**TAGS, "school": "yucai"}, {"power": 100.0}, START)
    yield Entry(14, "gas", TAGS, {"power": 100.0}, START)


@pytest.fixture
async def stand_in():
    async with StandIn("linwei", "schools", "token") as server:
        async with InfluxWriter(destination(server.url), "token") as writer:
            await writer.write(b"\n".join(format_entry(entry) for entry in points()))
        yield server


@pytest.mark.parametrize("language", ["flux", "influxql"])
async def test_counts_and_sums_come_by_series_and_field(stand_in, language):
    async with reader(destination(stand_in.url, query=language), "token") as asking:
        found = await asking.sums(QUESTION)
        nothing = await asking.sums(QUESTION._replace(measurement="heat"))
    assert found == {
        Series(KEY, "power"): Sum(10, pytest.approx(4.5)),
        Series(KEY, "on"): Sum(10),
        Series(KEY, "state"): Sum(10),
        Series((("device", "em-2"), *KEY[2:]), "energy"): Sum(1, 5.0),
    }
    assert nothing == {}


@pytest.mark.parametrize("language", ["flux", "influxql"])
async def test_some_devices_are_asked_for_alone(stand_in, language):
    async with reader(destination(stand_in.url, query=language), "token") as asking:
        other = await asking.sums(QUESTION._replace(devices=frozenset({"em-2", "em-9"})))
        both = await asking.sums(QUESTION._replace(devices=frozenset({"em-1", "em-2"})))
        nobody = await asking.sums(QUESTION._replace(devices=frozenset({"em-9"})))
        everything = await asking.sums(QUESTION)
    assert other == {Series((("device", "em-2"), *KEY[2:]), "energy"): Sum(1, 5.0)}
    assert both == everything
    assert nobody == {}


async def test_single_points_are_read_with_their_type_in_flux(stand_in):
    async with reader(destination(stand_in.url), "token") as asking:
        got = [await asking.value("meter", Series(KEY, "power"), START + 3)]
        got += [await asking.value("meter", Series(KEY, name), START + 9) for name in ("on", "state")]
        got.append(await asking.value("meter", Series(KEY, "power"), START + 500))
    assert got == [0.3, False, "run", None]


@pytest.mark.parametrize("language", ["flux", "influxql"])
async def test_a_token_that_may_not_read_is_told(stand_in, language):
    async with reader(destination(stand_in.url, query=language), "other") as asking:
        with pytest.raises(ReadFailed, match="401: unauthorized access"):
            await asking.sums(QUESTION)


@pytest.mark.parametrize("language", ["flux", "influxql"])
@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>Sign in</html>", {"Content-Type": "text/html"}),
        Answer(302, b"", {"Location": "http://portal.invalid"}),
        Answer(500, b"panic"),
        Answer(200, b'{"results": []}'),
        Answer(200, b'{"results": [{"error": "shard"}]}'),
        None,
    ],
)
async def test_what_is_no_answer_is_never_taken_for_an_empty_district(language, answer):
    async def serve(request):
        return answer

    async with LoopbackServer(serve, 0, 1_000_000) as server:
        asking = reader(destination(server.url, query=language), "token")
        with pytest.raises(ReadFailed):
            await asking.sums(QUESTION)
        await asking.aclose()


async def test_names_are_quoted_so_that_none_can_leave_its_place():
    asked = []

    async def serve(request):
        asked.append(request.body.decode())
        return Answer.json(200, {"results": [{}]})

    evil = QUESTION._replace(measurement='m"; DROP', school="s' OR 1=1")
    async with LoopbackServer(serve, 0, 1_000_000) as server:
        async with reader(destination(server.url, query="influxql"), "token") as asking:
            await asking.sums(evil)
        async with reader(destination(server.url), "token") as asking:
            with pytest.raises(ReadFailed):
                await asking.sums(evil._replace(school='s" or true ${x}'))
    assert "%5C%27+OR+1%3D1%27" in asked[0], "the quote is escaped"
    assert r"s\" or true \${x}" in json.loads(asked[1])["query"]
