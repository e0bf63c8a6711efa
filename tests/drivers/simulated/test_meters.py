"""Simulated meters of DL/T 645-1997 and CJ/T 188 on one pseudo-terminal, read by the gateway's own line."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from drivers.cjt188 import codec
from drivers.cjt188.codec import Frame, Station
from drivers.cjt188.driver import Cjt188Driver
from drivers.cjt188.profile import Cjt188Profile
from drivers.cjt188.settings import Cjt188Device
from drivers.contract import Polled
from drivers.dlt645.driver import Dlt645Driver
from drivers.dlt645.profile import Dlt645Profile
from drivers.dlt645.settings import Dlt645Device
from drivers.line.arbiter import Arbiter, Attached
from drivers.line.schedule import Rank
from drivers.line.settings import Framing, SerialLine
from drivers.line.transport import transport_for
from drivers.reading import Quality, Reading
from drivers.simulated.bus import Bus
from drivers.simulated.device import Signal, VirtualDevice
from drivers.simulated.ledger import Ledger
from drivers.simulated.meter188 import Cjt188Ear, Cjt188Meter
from drivers.simulated.serial import PtyLine
from tests.drivers.simulated.devices import SOURCE, environment, spec

COMMON: Any = {"id": "p", "maker": "test", "model": "meter", "source": SOURCE}
WATER = Cjt188Profile.model_validate(
    {
        **COMMON, "kind": "water_meter", "family": "cjt188", "meter_type": "10", "di_order": "low_first",
        "points": {
            "volume": {"field": "volume"},
            "valve_open": {"field": "status", "bits": [0, 1], "true_for": [0], "false_for": [1]},
            "battery_low": {"field": "status", "bits": [2]},
            "status_word": {"field": "status"},
            "meter_clock": {"field": "clock"},
            "last_month": {"di": "D120", "field": "settled_volume"},
        },
    }
)  # fmt: skip
WATER_SPECS = {
    name: spec(
        type={"valve_open": "switch", "battery_low": "switch", "meter_clock": "text"}.get(name, "number")
    )
    for name in WATER.points
}
WATER_VALUES: dict[str, Signal] = {
    "volume": lambda: 1234.56,
    "valve_open": lambda: True,
    "battery_low": lambda: True,
    "status_word": lambda: 0.0,
    "meter_clock": lambda: "2026-03-02T08:15:30",
    "last_month": lambda: None,
}
OLD = Dlt645Profile.model_validate(
    {
        **COMMON, "kind": "electricity_meter", "family": "dlt645",
        "points": {
            "energy_import": {"di": "9010", "block": 0},
            "energy_import_t1": {"di": "9011", "block": 1},
            "voltage": {"di": "B611", "bytes": 2, "decimals": 0},
        },
    }
)  # fmt: skip
OLD_SPECS = {name: spec() for name in OLD.points}
OLD_VALUES: dict[str, Signal] = {
    "energy_import": lambda: 1426.79,
    "energy_import_t1": lambda: 12.5,
    "voltage": lambda: 223.0,
}
ADDRESS = "78330011223344"


def water(address: str = ADDRESS) -> tuple[VirtualDevice, Cjt188Device]:
    settings = Cjt188Device(id="wm-1", space="r", line="bus", profile="p", protocol="cjt188", address=address)
    return VirtualDevice(settings, WATER, WATER_SPECS, WATER_VALUES), settings


def old_meter() -> tuple[VirtualDevice, Dlt645Device]:
    settings = Dlt645Device(
        id="em-1", space="r", line="bus", profile="p", protocol="dlt645", address="010003635927"
    )
    return VirtualDevice(settings, OLD, OLD_SPECS, OLD_VALUES), settings


@pytest.mark.parametrize("printed", [ADDRESS, "0011223344"])
async def test_one_line_reads_both_beside_a_modbus_device(tmp_path: Path, printed: str) -> None:
    ledger = Ledger()
    played, settings = water(printed)
    old, old_settings = old_meter()
    async with PtyLine(Bus([played, old, environment(1)], 9600, seed=1), tmp_path / "bus", ledger) as bus:
        line = SerialLine(id="bus", url=f"serial:{bus.path}", baudrate=9600)
        drivers: dict[str, Polled] = {
            "wm-1": Cjt188Driver(
                settings.model_copy(update={"framing": Framing.F8N1}), WATER, WATER_SPECS, line
            ),
            "em-1": Dlt645Driver(
                old_settings.model_copy(update={"framing": Framing.F8N1}), OLD, OLD_SPECS, line
            ),
        }
        found: dict[tuple[str, str], Reading] = {}

        def publish(readings: Any) -> None:
            found.update({(r.device, r.point): r for r in readings})

        attached = [Attached(name, driver, 0.5, Rank.NORMAL) for name, driver in drivers.items()]
        task = asyncio.create_task(Arbiter(line, transport_for(line), attached, publish, lambda: 1).run())
        try:
            async with asyncio.timeout(20):
                while len({device for device, _ in found}) < 2:
                    await asyncio.sleep(0.01)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    assert {key: r.value for key, r in found.items()} == {
        ("wm-1", "volume"): 1234.56,
        ("wm-1", "valve_open"): True,
        ("wm-1", "battery_low"): True,
        ("wm-1", "status_word"): 4.0,
        ("wm-1", "meter_clock"): "2026-03-02T08:15:30",
        ("wm-1", "last_month"): None,
        ("em-1", "energy_import"): 1426.79,
        ("em-1", "energy_import_t1"): 12.5,
        ("em-1", "voltage"): 223.0,
    }
    assert found["wm-1", "last_month"].quality is Quality.BAD
    for key, values in ledger.sent.items():
        assert values[0] == found[key].value, key


def ask(meter: Cjt188Meter, request: bytes) -> bytes | None:
    ear = Cjt188Ear()
    ear.add(meter)
    heard = ear.take(bytearray(b"\x00\x68" + request))
    assert heard is not None
    answered = [station.answer() for station in heard.stations]
    return answered[0].frame.lstrip(b"\xfe") if answered and answered[0] is not None else None


def played_meter() -> Cjt188Meter:
    device, settings = water()
    return Cjt188Meter(device, WATER, settings)


def test_a_meter_tells_its_address_to_whoever_asks_alone() -> None:
    anybody = Station(0xAA, codec.address_bytes(codec.WILDCARD))
    reply = ask(played_meter(), codec.address_request(anybody, 1, low_first=True))
    assert reply is not None
    found = codec.deframer(anybody, codec.ADDRESS, codec.READ_ADDRESS)(reply).frame
    assert found == reply
    assert codec.parse(reply)[:3] == (0x10, codec.address_bytes(ADDRESS), 0x83)


def test_a_valve_moves_after_its_reply() -> None:
    meter, station = played_meter(), Station(0x10, codec.address_bytes(ADDRESS))
    now = codec.read_request(station, codec.MEASURED, low_first=True)

    def state() -> int:
        reply = ask(meter, now)
        assert reply is not None
        return codec.answer(reply)[17]

    assert state() == 0b100
    reply = ask(meter, codec.valve_request(station, False, low_first=True))
    assert reply is not None
    assert codec.valve_answer(reply) == 0b100, "still open when it answers"
    assert state() == 0b101
    ask(meter, codec.valve_request(station, True, low_first=True))
    assert state() == 0b100


@pytest.mark.parametrize(
    ("control", "data", "answer"),
    [
        (0x01, "1F 90 00", 0x81),
        (0x01, "90 1F 00", None),  # it does not know this order
        (0x01, "02 81 00", 0xC1),  # no such data
        (0x04, "17 A0 00 33", 0xC4),  # no such valve command
        (0x04, "16 A0 00 00", 0xC4),  # nothing else is written
        (0x15, "18 A0 00", None),
        (0x01, "1F 90", None),
        (0x81, "1F 90 00", None),  # its own echo
    ],
)
def test_a_meter_answers_refuses_or_stays_silent(control: int, data: str, answer: int | None) -> None:
    request = codec.build(Frame(0x10, codec.address_bytes(ADDRESS), control, bytes.fromhex(data)))
    reply = ask(played_meter(), request)
    assert (reply[9] if reply else None) == answer
