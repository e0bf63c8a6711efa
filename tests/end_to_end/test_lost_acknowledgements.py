"""A gateway is killed after it stored what a busy broker does not know to be taken yet."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.support.gateway import Gateway
from tests.support.mosquitto import Mosquitto

PROFILE = {
    "maker": "test", "model": "numbered", "kind": "electricity_meter", "source": "made for this test",
    "family": "mqtt", "points": {"energy_import": {"pointer": "/number"}},
}  # fmt: skip


class BusyBroker:
    """A way to a broker on which what the gateway says can be held back; the rest is lost with the
    connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.holds = False
        self.held = 0
        self.port = 0

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)

        async def up() -> None:
            while data := await reader.read(4096):
                if self.holds:
                    self.held += len(data)
                else:
                    far_writer.write(data)
            far_writer.transport.abort()

        async def down() -> None:
            while data := await far_reader.read(4096):
                writer.write(data)
            writer.close()

        with contextlib.suppress(ConnectionError):
            await asyncio.gather(up(), down())


@pytest.mark.timeout(120)
async def test_what_is_stored_but_was_not_known_to_be_taken_is_stored_once(tmp_path: Path) -> None:
    (tmp_path / "mosquitto").mkdir()
    with Mosquitto(tmp_path / "mosquitto") as broker:
        way = BusyBroker(broker.port)
        async with way.open():
            device = {"space": "r1", "line": "broker", "protocol": "mqtt", "profile": "numbered"}
            config = {
                "site": {"id": "test", "name": "试验学校", "district": "d", "latitude": 34.5,
                         "longitude": 109.5},
                "spaces": [{"id": "r1", "name": "一〇一", "kind": "classroom"}],
                "lines": [{"id": "broker", "url": f"mqtt://127.0.0.1:{way.port}"}],
                "devices": [{**device, "id": f"meter-{n}", "topic": f"meter/{n}"} for n in (1, 2)],
                "store": {"group": "200ms"},
            }  # fmt: skip
            gateway = Gateway(tmp_path / "gateway", config, secrets={}, profiles={"numbered": PROFILE})

            def say(*numbers: int) -> None:
                for device in (1, 2):
                    broker.publish(f"meter/{device}", *(json.dumps({"number": n}) for n in numbers))

            def stored() -> dict[str, list[float]]:
                return {device: values for (device, _), values in gateway.stored().items()}

            try:
                await asyncio.to_thread(gateway.begin)
                await asyncio.to_thread(say, 1, 2)
                await until(lambda: stored() == {"meter-1": [1, 2], "meter-2": [1, 2]})
                way.holds = True
                await asyncio.to_thread(say, 3, 4, 5)
                await until(lambda: stored() == {"meter-1": [1, 2, 3, 4, 5], "meter-2": [1, 2, 3, 4, 5]})
                assert way.held, "acknowledgements"
                await asyncio.to_thread(gateway.kill)
                way.holds = False
                await asyncio.to_thread(say, 6)
                await asyncio.to_thread(gateway.start)
                await until(lambda: all(6 in values for values in stored().values()))
                assert stored() == {f"meter-{n}": [1, 2, 3, 4, 5, 6] for n in (1, 2)}
                await asyncio.to_thread(gateway.stop)
            finally:
                await asyncio.to_thread(gateway.close)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not await asyncio.to_thread(true):
            await asyncio.sleep(0.05)
