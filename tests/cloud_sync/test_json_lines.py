"""A second kind of destination: JSON lines by HTTP POST, under the service's own names."""

import asyncio
import gzip
import json
from collections import deque

import pytest
from pydantic import TypeAdapter, ValidationError

from cloud_sync.errors import (
    Blocked,
    Failed,
    NoConnection,
    NotALine,
    Rejected,
    Throttled,
    TooLarge,
    Unreachable,
)
from cloud_sync.json_lines import JsonLinesWriter, Naming
from cloud_sync.loopback import Answer, LoopbackServer
from cloud_sync.outbox import Entry
from cloud_sync.registry import KINDS, way
from cloud_sync.settings import AnyDestination, JsonLinesDestination
from cloud_sync.uploader import Uploader
from drivers.settings import SecretRef
from tests.cloud_sync.memory_outbox import START, MemoryOutbox, destination, meters

ENTRY = Entry(
    1, "electricity_meter", {"school": "shangde", "building": "", "device": "em-1"},
    {"energy_import": 12.5, "on": True, "state": "正常"}, START,
)  # fmt: skip


def service_at(url="http://127.0.0.1:1", **changes):
    return JsonLinesDestination.model_validate(
        {"id": "energy", "kind": "jsonl", "url": url, "retry_min": "10ms", "retry_max": "50ms", **changes}
    )


class Service:
    """Takes lines, or answers as ordered; what came twice is held once."""

    def __init__(self):
        self.orders = deque()
        self.requests = []
        self.held = {}
        self.server = LoopbackServer(self.answer, 0, 8_000_000)

    async def answer(self, request):
        self.requests.append(request)
        order = self.orders.popleft() if self.orders else None
        if order is not None:
            return order
        for line in gzip.decompress(request.body).splitlines():
            row = json.loads(line)
            if row["values"].get("active_power") == 7.0:
                return Answer.json(422, {"error": "7 is not wanted"})
        for line in gzip.decompress(request.body).splitlines():
            row = json.loads(line)
            self.held[row["device"], row["at"]] = row
        return Answer(200, b'{"ok":true}', {"Content-Type": "application/json"})


@pytest.fixture
async def service():
    made = Service()
    async with made.server:
        yield made


def test_a_line_holds_time_tags_kind_and_values_under_the_services_names():
    naming = Naming(service_at(names={"electricity_meter.energy_import": "ZXYGDN"}))
    assert json.loads(naming.line_of(ENTRY)) == {
        "at": "2025-12-01T00:00:00.000Z", "device": "em-1", "school": "shangde",
        "kind": "electricity_meter", "values": {"ZXYGDN": 12.5, "on": True, "state": "正常"},
    }  # fmt: skip


def test_only_what_is_named_is_sent_where_that_is_wanted():
    named = service_at(names={"electricity_meter.energy_import": "kwh"}, only_named=True)
    assert json.loads(Naming(named).line_of(ENTRY))["values"] == {"kwh": 12.5}
    assert Naming(service_at(only_named=True)).line_of(ENTRY) == b""


@pytest.mark.parametrize(("value", "at"), [(float("nan"), START), (1.0, 1 << 60)])
def test_what_json_cannot_carry_is_no_line(value, at):
    with pytest.raises(NotALine):
        Naming(service_at()).line_of(ENTRY._replace(fields={"v": value}, at=at))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(200, b"<html>", {"Content-Type": "text/html"}), Unreachable),
        (Answer(302, b"", {"Location": "http://portal.invalid"}), Unreachable),
        (Answer.json(400, {"error": "bad"}), Rejected),
        (Answer(401), Blocked),
        (Answer(413), TooLarge),
        (Answer(429, b"", {"Retry-After": "3"}), Throttled),
        (Answer(500), Failed),
        (None, NoConnection),
    ],
)
async def test_each_answer_has_its_meaning(service, answer, error):
    async with JsonLinesWriter(service_at(service.server.url), "secret") as writer:
        if answer is None:
            await service.server.__aexit__(None, None, None)
        else:
            service.orders.append(answer)
        with pytest.raises(error) as caught:
            await writer.write(b"{}")
    assert "secret" not in str(caught.value)
    if answer is not None:
        assert service.requests[0].headers["authorization"] == "Bearer secret"


async def test_a_connection_that_breaks_did_come():
    async def refuse(reader, writer):
        writer.transport.abort()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, JsonLinesWriter(service_at(f"http://127.0.0.1:{port}"), None) as writer:
        with pytest.raises(Unreachable) as caught:
            await writer.write(b"{}")
    assert not isinstance(caught.value, NoConnection)


async def test_a_certificate_that_nobody_signed_is_a_connection(unsigned):
    service = LoopbackServer(Service().answer, tls=unsigned)
    async with service as server, JsonLinesWriter(service_at(server.url), None) as writer:
        with pytest.raises(Unreachable, match=r"(?i)certificate") as caught:
            await writer.write(b"{}")
    assert not isinstance(caught.value, NoConnection), "a handshake is work for the server"


async def test_the_uploader_drains_into_it_and_parks_what_it_refuses(service):
    settings = service_at(service.server.url, names={"meter.active_power": "active_power"})
    outbox = MemoryOutbox("readings", meters(1_000))
    async with JsonLinesWriter(settings, None) as writer:
        uploader = Uploader(settings, [outbox], writer, lambda: START, line_of=Naming(settings).line_of)
        service.orders.append(Answer(204))  # an answer alone proves nothing else: it counts
        while await uploader.step():
            pass
        outbox.append("em-x", START, {"active_power": 7.0})
        outbox.append("em-y", START, {"active_power": 8.0})
        while await uploader.step():
            pass
    assert outbox.cursor == 1_002
    assert set(outbox.parked) == {1_001}
    assert outbox.parked[1_001].reason == "7 is not wanted"
    assert ("em-y", "2025-12-01T00:00:00.000Z") in service.held


async def test_every_kind_of_destination_in_the_registry_makes_its_way():
    made = {type(one): one for one in (destination(), service_at(token=SecretRef(secret="energy")))}
    assert set(made) == set(KINDS)
    for settings in made.values():
        found = way(settings, lambda reference: f"token-{reference.secret}")
        assert found.line_of(ENTRY)
        await found.connection.aclose()


def test_a_destination_without_a_kind_is_an_influxdb_and_an_unknown_kind_is_refused():
    adapter = TypeAdapter(AnyDestination)
    plain = {
        "id": "d", "url": "http://127.0.0.1:1", "org": "o", "bucket": "b",
        "token": SecretRef(secret="influx"),
    }  # fmt: skip
    assert adapter.validate_python(plain).kind == "influx"
    with pytest.raises(ValidationError, match="influx or jsonl"):
        adapter.validate_python({**plain, "kind": "fax"})
