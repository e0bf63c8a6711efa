"""A simulated mast, console and printers on real ports, heard by the gateway's own line owners."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from drivers.davis.profile import DavisProfile
from drivers.davis.settings import DavisDevice
from drivers.line.arbiter import Arbiter, Attached
from drivers.line.counters import DeviceState
from drivers.line.listener import Listener, Speaker
from drivers.line.schedule import Rank
from drivers.line.settings import FieldLine, SerialLine, TcpLine
from drivers.line.transport import transport_for
from drivers.nmea.profile import NmeaProfile
from drivers.nmea.settings import NmeaDevice
from drivers.profile import Profile, point_spec
from drivers.reading import Quality, Reading, Value
from drivers.registry import build_polled, build_speaking
from drivers.settings import DeviceSettings
from drivers.simulated.device import VirtualDevice
from drivers.simulated.faults import Fault
from drivers.simulated.field import Field
from drivers.simulated.ledger import Ledger
from drivers.text.profile import TextProfile
from drivers.text.settings import TextDevice
from drivers.vocabulary import Vocabulary
from edge.config.documents import read
from edge.config.library import Library, read_vocabulary
from edge.config.resources import builtin_configs
from tests.support.ports import free_port

TRUTH: dict[str, Value] = {
    "temperature": 21.5, "humidity": 48.0, "dew_point": 10.0, "pressure": 969.4, "wind_speed": 3.2,
    "wind_direction": 225.0, "wind_gust": 6.0, "rainfall": 12.4, "rain_rate": 0.4, "solar_irradiance": 410.0,
    "uv_index": 3.1, "battery_low": False,
}  # fmt: skip


def vocabulary() -> Vocabulary:
    found, faults = read_vocabulary(builtin_configs() / "vocabulary.yaml")
    assert found is not None, faults
    return found


def built_in(name: str) -> Profile:
    profile = Library([builtin_configs() / "profiles"], vocabulary()).profile(name)
    assert profile is not None
    return profile


def virtual(profile: Profile, settings: DeviceSettings) -> VirtualDevice:
    specs = {name: point_spec(profile, vocabulary(), name) for name in profile.point_names()}
    return VirtualDevice(settings, profile, specs, {name: (lambda n=name: TRUTH[n]) for name in specs})


def mast(line: str, name: str = "mast", **more: Any) -> VirtualDevice:
    profile = built_in("nmea-weather")
    assert isinstance(profile, NmeaProfile)
    settings = NmeaDevice.model_validate(
        {"id": name, "space": "roof", "line": line, "protocol": "nmea", "profile": profile.id,
         "every": "200ms", **more}
    )  # fmt: skip
    return virtual(profile, settings)


def box(line: str) -> VirtualDevice:
    profile = built_in("text-comma-environment")
    assert isinstance(profile, TextProfile)
    settings = TextDevice.model_validate(
        {"id": "box", "space": "r", "line": line, "protocol": "text", "profile": profile.id, "every": "200ms"}
    )
    return virtual(profile, settings)


def console(line: str) -> VirtualDevice:
    profile = built_in("davis-vantage-pro2")
    assert isinstance(profile, DavisProfile)
    settings = DavisDevice.model_validate(
        {
            "id": "davis",
            "space": "roof",
            "line": line,
            "protocol": "davis",
            "profile": profile.id,
            "every": "300ms",
        }
    )
    return virtual(profile, settings)


def listener(line: FieldLine, devices: Sequence[VirtualDevice], readings: list[Reading]) -> Listener:
    speakers = [
        Speaker(
            d.settings.id, build_speaking(d.settings, d.profile, d.points), d.settings.every.total_seconds()
        )
        for d in devices
    ]
    return Listener(line, transport_for(line), speakers, readings.extend, lambda: 1_760_000_000_000)


@contextlib.asynccontextmanager
async def running(*owners: Any) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(owner.run()) for owner in owners]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.02)


def good(readings: Sequence[Reading]) -> dict[tuple[str, str], Value | None]:
    return {(r.device, r.point): r.value for r in readings if r.quality is Quality.GOOD}


async def test_a_mast_on_a_serial_port_is_heard(tmp_path: Path) -> None:
    line = SerialLine(id="roof", url=f"serial:{tmp_path / 'roof'}", baudrate=4800)
    device, readings, ledger = mast("roof", north=30.0), list[Reading](), Ledger()
    async with Field([line], [device], seed=1, ledger=ledger) as field:
        heard = listener(line, [device], readings)
        async with running(heard, field):
            await until(lambda: len(good(readings)) == len(device.points))
            await until(lambda: heard.devices["mast"].counters.ok >= 4)
            field.fall_silent()
            await until(lambda: any(r.reason == "timeout" for r in readings))
    assert good(readings) == {("mast", point): TRUTH[point] for point in device.points}
    said = {point for device_id, point in ledger.sent if device_id == "mast"}
    assert said == set(device.points)
    assert heard.devices["mast"].counters.state is DeviceState.SILENT


async def test_two_masts_and_a_box_share_a_serial_server_told_apart_by_talker_and_form() -> None:
    line = TcpLine(id="roof", url=f"tcp://127.0.0.1:{free_port()}")
    devices = [mast("roof", talker="WI"), mast("roof", "second", talker="II"), box("roof")]
    readings: list[Reading] = []
    async with Field([line], devices, seed=1) as field:
        heard = listener(line, devices, readings)
        async with running(heard, field):
            await until(lambda: len(good(readings)) == sum(len(d.points) for d in devices))
            assert not heard.counters.faults, "what one of them understands is no garbage"
            field.choruses["roof"].faults["second"] = Fault(wrong_checksum=True)
            await until(lambda: any(r.device == "second" and r.quality is Quality.BAD for r in readings))
            assert heard.counters.faults.total() > 0
            field.choruses["roof"].faults.clear()
            readings.clear()
            await until(lambda: ("second", "wind_speed") in good(readings))
    assert heard.devices["mast"].counters.state is DeviceState.OK


async def test_a_power_cut_of_the_serial_server_is_line_down_and_it_comes_back() -> None:
    line = TcpLine(id="roof", url=f"tcp://127.0.0.1:{free_port()}")
    device, readings = mast("roof"), list[Reading]()
    async with Field([line], [device], seed=1) as field:
        heard = listener(line, [device], readings)
        async with running(field):
            async with running(heard):
                await until(lambda: len(good(readings)) == len(device.points))
                await field.tcp["roof"].stop()
                await until(lambda: {r.reason for r in readings if r.quality is Quality.BAD} == {"line_down"})
            await field.tcp["roof"].start()
            readings.clear()
            async with running(heard):
                await until(lambda: len(good(readings)) == len(device.points))
    assert heard.counters.opened == 2


async def test_a_davis_console_on_a_serial_port_is_asked(tmp_path: Path) -> None:
    line = SerialLine(id="roof", url=f"serial:{tmp_path / 'roof'}", baudrate=19200)
    device, readings = console("roof"), list[Reading]()
    driver = build_polled(device.settings, device.profile, device.points, line)
    attached = Attached("davis", driver, 0.3, Rank.NORMAL)
    async with Field([line], [device], seed=1):
        arbiter = Arbiter(line, transport_for(line), [attached], readings.extend, lambda: 1_760_000_000_000)
        async with running(arbiter):
            await until(lambda: attached.counters.ok >= 2)
    found = good(readings)
    assert found["davis", "rainfall"] == 12.4
    assert found["davis", "solar_irradiance"] == 410.0
    assert found["davis", "battery_low"] is False
    assert len(found) == len(device.points)


def test_the_weather_profiles_bring_the_words_of_the_vocabulary() -> None:
    standard = {"wind_speed", "wind_direction", "temperature", "humidity", "pressure"}
    for path in sorted((builtin_configs() / "profiles").glob("*.yaml")):
        document = read(path)
        assert isinstance(document.data, dict)
        if document.data["kind"] == "weather_station" and document.data["family"] in ("nmea", "davis"):
            assert standard <= set(built_in(path.stem).point_names()), path.stem
    davis = set(built_in("davis-vantage-pro2").point_names())
    assert {"rainfall", "solar_irradiance", "uv_index"} <= davis
