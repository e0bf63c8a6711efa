"""A siren's whole way: a button on MQTT, a real gateway process, a relay board that speaks Modbus TCP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drivers.modbus.settings import ModbusTcpDevice
from drivers.simulated.device import VirtualDevice
from drivers.simulated.modbus_tcp import ModbusTcpServer
from edge.config.library import Library, read_vocabulary
from edge.config.resources import builtin_configs
from tests.end_to_end.test_alarm_life import PROFILE, RULES
from tests.support.faults import writes_refused
from tests.support.gateway import Gateway
from tests.support.mosquitto import Mosquitto

WAIT_S = 30


class Board:
    """Four relays and four inputs; the siren on relay 1 closes input 1, input 2 is the silence button."""

    def __init__(self) -> None:
        vocabulary, _ = read_vocabulary(builtin_configs() / "vocabulary.yaml")
        assert vocabulary is not None
        library = Library([builtin_configs() / "profiles"], vocabulary)
        profile = library.profile("relay-4-input-4")
        assert profile is not None
        settings = ModbusTcpDevice.model_validate(
            {
                "id": "box",
                "space": "r1",
                "line": "plc",
                "protocol": "modbus-tcp",
                "profile": "relay-4-input-4",
            }
        )
        points = library.points(profile)
        self.pressed = False
        signals: dict[str, Callable[[], bool]] = dict.fromkeys(points, lambda: False)
        signals["input_1"] = lambda: self.sounds
        signals["input_2"] = lambda: self.pressed
        self.server = ModbusTcpServer([VirtualDevice(settings, profile, points, signals)], seed=1)
        self.unit = self.server._units[1]

    @property
    def sounds(self) -> bool:
        """Whether relay 1 is on."""
        return self.unit.held.get("on_1") is True

    def switch(self, on: bool) -> None:
        """By hand, on the board itself."""
        self.unit.held["on_1"] = on


@dataclass
class School:
    """The button's room, the siren's board and the gateway between them."""

    gateway: Gateway
    broker: Mosquitto
    board: Board

    def press(self, pressed: bool) -> None:
        self.broker.publish("room/1", f'{{"pressed": {str(pressed).lower()}}}')

    async def until_sounding(self, wanted: bool) -> None:
        async with asyncio.timeout(WAIT_S):
            while self.board.sounds is not wanted:
                await asyncio.sleep(0.02)

    async def alarm(self) -> dict[str, Any]:
        async with asyncio.timeout(WAIT_S):
            while not (items := (await asyncio.to_thread(self.gateway.get, "/alarms"))["items"]):
                await asyncio.sleep(0.1)
        found: dict[str, Any] = items[0]
        return found

    async def commands(self) -> list[str]:
        listed = (await asyncio.to_thread(self.gateway.get, "/commands"))["items"]
        return [f"{item['who']} {item['point']}={item['value']} {item['state']}" for item in listed]


@asynccontextmanager
async def a_school(folder: Path) -> AsyncIterator[School]:
    (folder / "mosquitto").mkdir()
    board = Board()
    with Mosquitto(folder / "mosquitto") as broker:
        async with board.server:
            config = {
                "site": {"id": "test", "name": "校", "district": "d", "latitude": 34.5, "longitude": 109.5},
                "spaces": [{"id": "r1", "name": "一〇一", "kind": "classroom"}],
                "lines": [{"id": "broker", "url": broker.url},
                          {"id": "plc", "url": f"tcp://127.0.0.1:{board.server.port}"}],
                "devices": [
                    {"id": "env-1", "space": "r1", "line": "broker", "protocol": "mqtt", "profile": "room",
                     "topic": "room/1"},
                    {"id": "box", "space": "r1", "line": "plc", "protocol": "modbus-tcp",
                     "profile": "relay-4-input-4", "every": "200ms"},
                ],
                "notify": {
                    "security": [
                        {"relay": {"device": "box", "point": "on_1",
                                   "feedback": {"device": "box", "point": "input_1"},
                                   "silence": {"device": "box", "point": "input_2"}}},
                        # the internet is away: nobody listens there
                        {"webhook": {"url": "http://127.0.0.1:9/"}},
                    ]
                },
            }  # fmt: skip
            gateway = Gateway(folder / "gateway", config, secrets={}, profiles={"room": PROFILE}, rules=RULES)
            try:
                await asyncio.to_thread(gateway.begin)
                yield School(gateway, broker, board)
            finally:
                gateway.close()


@pytest.mark.timeout(180)
async def test_a_press_sounds_the_siren_without_internet_and_a_kill_leaves_nothing_on(tmp_path: Path) -> None:
    async with a_school(tmp_path) as school:
        school.press(True)
        await school.until_sounding(True)
        alarm = await school.alarm()

        await asyncio.to_thread(school.gateway.kill)
        school.board.switch(False)  # the board lost its power too
        await asyncio.to_thread(school.gateway.begin)
        await school.until_sounding(True)

        await asyncio.to_thread(school.gateway.post, f"/alarms/{alarm['id']}/ack", {"note": "到场"})
        await school.until_sounding(False)
        assert set(await school.commands()) >= {
            "siren security.0.relay on_1=True confirmed", "siren security.0.relay on_1=False confirmed",
        }  # fmt: skip

        await asyncio.to_thread(school.gateway.kill)
        school.board.switch(True)  # left on, whoever did it
        await asyncio.to_thread(school.gateway.begin)
        await school.until_sounding(False)
        await asyncio.to_thread(school.gateway.stop)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_silence_by_button_and_by_api_mutes_the_sound_and_not_the_alarm(tmp_path: Path) -> None:
    async with a_school(tmp_path) as school:
        school.press(True)
        await school.until_sounding(True)
        school.board.pressed = True
        await school.until_sounding(False)
        school.board.pressed = False
        alarm = await school.alarm()
        assert (alarm["acked"], alarm["state"]) == (False, "unacknowledged")
        school.press(False)
        await asyncio.to_thread(school.gateway.post, f"/alarms/{alarm['id']}/ack", {"note": ""})
        await asyncio.to_thread(school.gateway.post, f"/alarms/{alarm['id']}/reset", {"note": ""})

        school.press(True)
        await school.until_sounding(True)
        listed = await asyncio.to_thread(school.gateway.get, "/siren")
        assert listed["items"] == [{"name": "security.0.relay", "sounding": True, "fault": ""}]
        done = await asyncio.to_thread(school.gateway.post, "/siren/silence", {"note": "已到场"})
        assert done == {"alarms": 1}
        await school.until_sounding(False)
        open_alarms = await asyncio.to_thread(school.gateway.get, "/alarms", state="unacknowledged")
        assert len(open_alarms["items"]) == 1

        await asyncio.to_thread(school.gateway.kill)
        await asyncio.to_thread(school.gateway.begin)
        await asyncio.sleep(2)
        assert not school.board.sounds, "silenced is silenced, also behind a restart"
        await asyncio.to_thread(school.gateway.stop)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_clean_stop_in_the_middle_of_an_alarm_switches_the_siren_off(tmp_path: Path) -> None:
    async with a_school(tmp_path) as school:
        school.press(True)
        await school.until_sounding(True)
        await asyncio.to_thread(school.gateway.stop)
        assert not school.board.sounds
        await asyncio.to_thread(school.gateway.begin)
        await school.until_sounding(True)
        await asyncio.to_thread(school.gateway.stop)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_disk_that_refuses_every_write_does_not_silence_the_siren(tmp_path: Path) -> None:
    async with a_school(tmp_path) as school:
        school.press(False)
        await school.until_sounding(False)
        listed = set(await school.commands())
        with writes_refused(school.gateway.pid):
            school.press(True)
            await school.until_sounding(True)
            wish = {"device": "box", "point": "on_3", "value": True, "reason": "灯"}
            with pytest.raises(AssertionError, match=r"503.*storage_failed"):  # a person's needs its record
                await asyncio.to_thread(school.gateway.post, "/commands", wish)
            school.board.pressed = True
            await school.until_sounding(False)
            assert school.board.unit.held.get("on_3") is not True
            assert set(await school.commands()) == listed
        async with asyncio.timeout(WAIT_S):
            while "siren security.0.relay on_1=True confirmed" not in await school.commands():
                await asyncio.sleep(0.2)
        await asyncio.to_thread(school.gateway.stop)
