"""The event stream: the hub alone, and over a real server."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from drivers.reading import Reading
from edge.config.configuration import Configuration
from edge.config.models import WebSettings
from edge.store.accounts import Role
from edge.web.app import create_app
from edge.web.live import Client, Full, LiveHub
from edge.web.server import WebServer
from edge.web.services.gateway import Services
from edge.web.services.lines import LineStatus
from edge.web.services.sync import SyncStatus
from tests.edge.web.school import PASSWORD, START, Clock, add_user, alarm, token
from tests.support.virtual_time import run_virtually

Event = tuple[str, object, str]


def reading(point: str = "co2", value: float = 600.0) -> Reading:
    return Reading("env-301", point, value, "[ppm]", START, START)


def parse(piece: bytes) -> list[Event]:
    """The events of some SSE text as (event, data, id)."""
    found = []
    for block in piece.decode().strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line)
        found.append((fields["event"], json.loads(fields["data"]), fields.get("id", "")))
    return found


async def take(client: Client) -> list[Event]:
    async with asyncio.timeout(10):
        piece = await client.get()
    assert piece is not None
    return parse(piece)


@asynccontextmanager
async def running(hub: LiveHub) -> AsyncIterator[None]:
    task = asyncio.create_task(hub.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def known() -> list[Reading]:
    """The newest reading of every point."""
    return []


@pytest.fixture
def quiet(clock: Clock, configuration: Configuration, known: list[Reading]) -> LiveHub:
    """A hub that beats too seldom to be seen."""
    return LiveHub(clock, lambda: configuration, lambda: known, flush_ms=10, beat_ms=1_000_000)


async def test_readings_between_two_flushes_are_told_once_each_with_the_latest_value(quiet: LiveHub) -> None:
    with quiet.client(None) as one, quiet.client(None) as two:
        for value in range(100):
            quiet.readings([reading("co2", float(value)), reading("temperature", float(value))])
        async with running(quiet):
            (event,) = await take(one)
            assert await take(two) == [event]
    name, data, _ = event
    assert name == "reading"
    assert isinstance(data, list)
    assert [(item["point"], item["value"]) for item in data] == [("co2", 99.0), ("temperature", 99.0)]


def test_what_comes_in_one_tick_is_shown_as_it_comes_and_then_nothing_for_a_while(
    clock: Clock, configuration: Configuration
) -> None:
    shown: list[tuple[float, float]] = []

    async def look() -> None:
        hub, loop = LiveHub(clock, lambda: configuration, list), asyncio.get_running_loop()

        async def listen(client: Client) -> None:
            while True:
                for name, data, _ in await take(client):
                    if name == "reading":
                        assert isinstance(data, list)
                        shown.extend((item["value"], loop.time() - began) for item in data)

        began = loop.time()
        with hub.client(None) as client:
            async with running(hub):
                listening = asyncio.create_task(listen(client))
                for value, at in ((1.0, 0.0), (2.0, 0.015), (3.0, 0.1)):
                    await asyncio.sleep(began + at - loop.time())
                    hub.readings([reading(value=value)])
                await asyncio.sleep(1.0)
                listening.cancel()

    run_virtually(look())
    assert [value for value, _ in shown] == [1.0, 2.0, 3.0]
    first, second, third = (at for _, at in shown)
    assert first < 0.02 and second < 0.04, "of one tick"
    assert 0.5 < third < 0.6, "the next is half a second later"


async def test_nothing_is_encoded_while_nobody_listens_and_the_latest_comes_with_the_first(
    quiet: LiveHub, known: list[Reading]
) -> None:
    async with running(quiet):
        quiet.readings([reading(value=1.0)])
        await asyncio.sleep(0.05)
        known.extend([reading(value=2.0), reading("temperature", 21.0)])
        quiet.readings(known)
        with quiet.client(None) as client, quiet.client(None) as second:
            ((_, data, _),) = await take(client)
            quiet.readings([reading(value=3.0)])
            assert [name for name, _, _ in await take(client)] == ["reading"]
            assert len(await take(second)) == 2
    assert isinstance(data, list)
    assert [(item["point"], item["value"]) for item in data] == [("co2", 2.0), ("temperature", 21.0)]


async def test_alarms_lines_and_destinations_are_told_at_once_in_the_shape_of_their_lists(
    quiet: LiveHub,
) -> None:
    with quiet.client(None) as client:
        quiet.alarm(alarm())
        quiet.line(LineStatus("plc", "tcp://u:p@192.168.3.9:502", "tcp", False, START))
        quiet.sync(SyncStatus("district", "https://influx.example", pending=7))
        told = await take(client)
    assert [name for name, _, _ in told] == ["alarm", "line", "sync"]
    data = [data for _, data, _ in told]
    assert data[0]["scope_name"] == "三〇一教室"  # type: ignore[index]
    assert data[1]["url"] == "tcp://192.168.3.9:502"  # type: ignore[index]
    assert data[2]["pending"] == 7  # type: ignore[index]
    ids = [int(number) for _, _, number in told]
    assert ids == sorted(set(ids))


async def test_a_client_that_comes_back_gets_what_it_missed(quiet: LiveHub) -> None:
    with quiet.client(None) as client:
        quiet.publish("alarm", b"1")
        ((_, _, last),) = await take(client)
    quiet.publish("alarm", b"2")
    quiet.publish("alarm", b"3")
    with quiet.client(last) as client:
        assert [data for _, data, _ in await take(client)] == [2, 3]


@pytest.mark.parametrize("last", ["0", "99999999999999999", "9" * 5000, "x", "-1", "²", ""])
async def test_a_client_that_cannot_be_caught_up_is_told_to_read_the_lists_again(
    quiet: LiveHub, last: str
) -> None:
    quiet.publish("alarm", b"1")
    with quiet.client(last) as client:
        assert [name for name, _, _ in await take(client)] == ["resync"]


async def test_what_is_kept_for_those_who_come_back_is_bounded(
    clock: Clock, configuration: Configuration
) -> None:
    hub = LiveHub(clock, lambda: configuration, list, ring_bytes=1000)
    with hub.client(None) as client:
        hub.publish("alarm", b"0")
        ((_, _, last),) = await take(client)
    for _ in range(3):
        hub.publish("alarm", b'"%s"' % (b"x" * 400))
    with hub.client(last) as client:
        assert [name for name, _, _ in await take(client)] == ["resync"]


async def test_a_client_that_cannot_follow_loses_the_oldest_is_counted_and_told(
    clock: Clock, configuration: Configuration
) -> None:
    hub = LiveHub(clock, lambda: configuration, list, queue_bytes=1000)
    with hub.client(None) as slow, hub.client(None) as swift:
        for number in range(50):
            hub.publish("alarm", b"%d" % number)
            assert [data for _, data, _ in await take(swift)] == [number]
        told = await take(slow)
        assert hub.dropped == slow.dropped > 0
    assert hub.dropped > 0
    assert told[0][0] == "resync"
    numbers = [data for _, data, _ in told[1:]]
    assert numbers == list(range(50 - len(numbers), 50))


async def test_only_so_many_may_listen(clock: Clock, configuration: Configuration) -> None:
    hub = LiveHub(clock, lambda: configuration, list, most_clients=1)
    with hub.client(None), pytest.raises(Full), hub.client(None):
        pass
    with hub.client(None):
        assert hub.clients == 1
    assert hub.clients == 0


@asynccontextmanager
async def serving(
    app: FastAPI, hub: LiveHub, folder: Path, listen: str = "127.0.0.1:0"
) -> AsyncIterator[str]:
    server = WebServer(lambda: app, hub, WebSettings(listen=listen), folder)
    url = server.bind()
    task = asyncio.create_task(server.run())
    try:
        yield url
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Listener:
    """An open stream as a browser has it."""

    def __init__(self, response: httpx.Response) -> None:
        self._chunks = response.aiter_bytes()
        self._rest = b""

    async def until(self, wanted: str) -> list[Event]:
        """Events up to the first of that name."""
        found: list[Event] = []
        async with asyncio.timeout(20):
            async for chunk in self._chunks:
                self._rest += chunk
                done, split, self._rest = self._rest.rpartition(b"\n\n")
                found += parse(done) if split else []
                if any(name == wanted for name, _, _ in found):
                    return found
        raise AssertionError(f"the stream ended after {found}")

    async def end(self) -> None:
        """Waits for the end of the stream."""
        async with asyncio.timeout(20):
            async for _ in self._chunks:
                pass


async def test_a_stream_says_hello_beats_and_shows_what_changes(
    app: FastAPI, hub: LiveHub, gateway: Services, tmp_path: Path
) -> None:
    headers = await token(gateway, Role.VIEWER)
    async with (
        serving(app, hub, tmp_path) as url,
        httpx.AsyncClient(base_url=url, headers=headers) as client,
        client.stream("GET", "/api/v1/stream") as response,
    ):
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        listener = Listener(response)
        assert (await listener.until("hello"))[0] == ("hello", {"session_expires_at": None}, "")
        hub.readings([reading()])
        told = await listener.until("reading")
        assert told[-1][1][0]["point"] == "co2"  # type: ignore[index]
        beat = await listener.until("beat")
        assert beat[-1][1] == {"now": "2026-09-21T14:13:20.123Z"}
        metrics = await client.get("/metrics")
        assert "campus_web_streams 1\n" in metrics.text


async def test_a_stream_ends_with_its_session_and_does_not_keep_it_alive(
    app: FastAPI, hub: LiveHub, gateway: Services, clock: Clock, tmp_path: Path
) -> None:
    await add_user(gateway, "anna", Role.VIEWER)
    async with serving(app, hub, tmp_path) as url, httpx.AsyncClient(base_url=url) as client:
        login = {"user": "anna", "password": PASSWORD}
        assert (await client.post("/api/v1/session", json=login)).status_code == 200
        async with client.stream("GET", "/api/v1/stream") as response:
            listener = Listener(response)
            (hello,) = await listener.until("hello")
            assert hello[1] == {"session_expires_at": "2026-09-21T14:28:20.123Z"}
            clock.move(minutes=14)
            await listener.until("beat")
            clock.move(minutes=1)
            await listener.end()
        assert (await client.get("/api/v1/session")).status_code == 401


async def test_a_stream_ends_when_the_token_is_revoked(
    app: FastAPI, hub: LiveHub, gateway: Services, clock: Clock, tmp_path: Path
) -> None:
    headers = await token(gateway, Role.VIEWER)
    async with (
        serving(app, hub, tmp_path) as url,
        httpx.AsyncClient(base_url=url, headers=headers) as client,
        client.stream("GET", "/api/v1/stream") as response,
    ):
        listener = Listener(response)
        await listener.until("beat")
        await gateway.database.run(lambda c: gateway.accounts.revoke_token(c, "test-viewer"))
        clock.move(seconds=5)
        await listener.end()


async def test_a_client_that_goes_leaves_its_place(
    app: FastAPI, hub: LiveHub, gateway: Services, tmp_path: Path
) -> None:
    headers = await token(gateway, Role.VIEWER)
    async with serving(app, hub, tmp_path) as url, httpx.AsyncClient(base_url=url, headers=headers) as client:
        async with client.stream("GET", "/api/v1/stream") as response:
            await Listener(response).until("hello")
            assert hub.clients == 1
        async with asyncio.timeout(10):
            while hub.clients:
                await asyncio.sleep(0.01)


async def test_one_stream_too_many_is_a_problem(gateway: Services, tmp_path: Path) -> None:
    hub = LiveHub(gateway.clock, gateway.configuration, gateway.latest, most_clients=1)
    headers = await token(gateway, Role.VIEWER)
    async with (
        serving(create_app(gateway, hub), hub, tmp_path) as url,
        httpx.AsyncClient(base_url=url, headers=headers) as client,
        client.stream("GET", "/api/v1/stream") as response,
    ):
        await Listener(response).until("hello")
        refused = await client.get("/api/v1/stream")
        assert (refused.status_code, refused.json()["code"]) == (503, "too_many_streams")
        assert refused.headers["retry-after"] == "10"


async def test_the_server_stops_in_good_order_with_a_stream_open(
    app: FastAPI, hub: LiveHub, gateway: Services, tmp_path: Path
) -> None:
    headers = await token(gateway, Role.VIEWER)
    async with httpx.AsyncClient(headers=headers) as client:
        async with serving(app, hub, tmp_path) as url:
            context = client.stream("GET", f"{url}/api/v1/stream")
            listener = Listener(await context.__aenter__())
            await listener.until("hello")
        await listener.end()  # a whole response, not a torn connection
        await context.__aexit__(None, None, None)
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{url}/api/v1/health")


async def test_a_stopped_server_can_be_started_again(
    app: FastAPI, hub: LiveHub, gateway: Services, tmp_path: Path
) -> None:
    headers = await token(gateway, Role.VIEWER)
    for _ in range(2):
        async with (
            serving(app, hub, tmp_path) as url,
            httpx.AsyncClient(base_url=url, headers=headers) as client,
            client.stream("GET", "/api/v1/stream") as response,
        ):
            await Listener(response).until("beat")


async def test_beyond_loopback_the_server_speaks_tls_with_a_certificate_of_its_own(
    app: FastAPI, hub: LiveHub, tmp_path: Path
) -> None:
    async with serving(app, hub, tmp_path, "0.0.0.0:0") as url:
        port = httpx.URL(url).port
        assert url.startswith("https://")
        async with httpx.AsyncClient(verify=False) as client:  # its issuer is itself
            for _ in range(200):
                with suppress(httpx.ConnectError):
                    response = await client.get(f"https://127.0.0.1:{port}/api/v1/health")
                    break
                await asyncio.sleep(0.05)
        assert response.status_code == 200
        assert "max-age" in response.headers["strict-transport-security"]
    key = tmp_path / "tls" / "server.key"
    assert key.stat().st_mode & 0o777 == 0o600
    first = key.read_bytes()
    async with serving(app, hub, tmp_path, "0.0.0.0:0"):
        pass
    assert key.read_bytes() == first


async def test_who_connects_before_the_application_is_loaded_is_served(
    app: FastAPI, hub: LiveHub, tmp_path: Path
) -> None:
    asked = threading.Event()

    def make() -> FastAPI:
        asked.wait(20)
        return app

    server = WebServer(make, hub, WebSettings(listen="127.0.0.1:0"), tmp_path)
    url = server.bind()
    task = asyncio.create_task(server.run())
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as browser:
        answer = asyncio.create_task(browser.get("/api/v1/health"))
        await asyncio.sleep(0.1)
        assert not answer.done()
        asked.set()
        assert (await answer).status_code == 200
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_an_end_while_the_application_is_loaded_frees_the_address(
    app: FastAPI, hub: LiveHub, tmp_path: Path
) -> None:
    asked = threading.Event()

    def make() -> FastAPI:
        asked.wait(20)
        return app

    server = WebServer(make, hub, WebSettings(listen="127.0.0.1:0"), tmp_path)
    port = httpx.URL(server.bind()).port
    task = asyncio.create_task(server.run())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with serving(app, hub, tmp_path, f"127.0.0.1:{port}") as url:
        assert httpx.URL(url).port == port
    asked.set()


async def test_a_taken_address_is_an_error_at_once(app: FastAPI, hub: LiveHub, tmp_path: Path) -> None:
    async with serving(app, hub, tmp_path) as url:
        listen = f"127.0.0.1:{httpx.URL(url).port}"
        with pytest.raises(OSError, match="in use"):
            WebServer(lambda: app, hub, WebSettings(listen=listen), tmp_path).bind()
