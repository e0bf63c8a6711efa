"""Searches on an emulated wire, in simulated time, against the simulated devices of built-in profiles."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from drivers.errors import LineDown
from drivers.line.settings import SerialLine
from drivers.reading import Quality, Reading
from edge.commissioning.candidates import Wanted, parse_addresses, steps
from edge.commissioning.fingerprint import Fingerprints
from edge.commissioning.line import open_line
from edge.commissioning.paste import yaml_of
from edge.commissioning.scan import Progress, Scan
from edge.commissioning.sighting import Sighting, wire_of
from edge.config.check import check
from edge.config.load import load
from tests.edge.commissioning.rehearsal import device, library, on_wire
from tests.support.virtual_time import run_virtually
from tests.support.wire import EmulatedWire, WireDevice

LINE = SerialLine(id="bus", url="serial:/dev/ttyUSB0")
METER = "202211304417"
EVERYTHING = Wanted()
SITE = """\
version: 1
site: {id: shangde, name: 尚德中学, district: linwei, latitude: 34.5, longitude: 109.5}
include: [found.yaml]
"""


def scan(
    devices: list[WireDevice],
    wanted: Wanted = EVERYTHING,
    progress: Progress | None = None,
) -> tuple[list[Sighting], float, Progress]:
    """All that is found, and the seconds it took."""
    shelf = Fingerprints(LINE, library())

    async def main() -> tuple[list[Sighting], float, Progress]:
        async with open_line(LINE, transport=EmulatedWire(devices)) as arbiter:

            async def recognise(sighting: Sighting) -> Sighting:
                return sighting._replace(suggestions=await shelf.suggest(sighting, arbiter.lend))

            search = Scan(LINE, wanted, arbiter.lend, recognise, progress)
            await search.run()
            return search.progress.found, asyncio.get_running_loop().time(), search.progress

    return run_virtually(main())


def shared_line() -> list[WireDevice]:
    meter = device("dlt645-2007-three-phase", "dlt645", METER)
    sensor = device("renke-rs-ws-n01", "modbus-rtu", 37)
    return on_wire([meter], 2400, "8E1") + on_wire([sensor], 4800, "8N1")


def test_a_meter_of_unknown_address_and_a_sensor_on_one_line_are_found_and_the_yaml_runs(
    tmp_path: Path,
) -> None:
    found, _, _ = scan(shared_line())
    assert [(one.protocol, one.address, str(one.wire)) for one in found] == [
        ("dlt645", METER, "2400 8E1"),
        ("modbus-rtu", "37", "4800 8N1"),
    ]
    assert found[0].suggestions[0].profile == "dlt645-2007-three-phase"
    assert "renke-rs-ws-n01" in [one.profile for one in found[1].suggestions]
    assert not any(one.conflict for one in found)
    (tmp_path / "found.yaml").write_text(yaml_of(LINE, found, library()), encoding="utf-8")
    school = tmp_path / "school.yaml"
    school.write_text(SITE, encoding="utf-8")
    report = check(school)
    assert report.exit_code == 0, list(report.lines())
    assert {r.device for r in read(school) if r.quality is Quality.GOOD} == set(load(school).devices)


def read(school: Path) -> list[Reading]:
    """What the gateway's own lines read of this configuration on the same wire."""
    from edge.assembly import arbiters_of
    from edge.bus import ReadingBus
    from edge.pipeline.collector import Collector

    readings: list[Reading] = []

    async def main() -> None:
        collector = Collector(ReadingBus())
        (arbiter,) = arbiters_of(load(school), collector, lambda: 1)
        arbiter._transport = EmulatedWire(shared_line())
        arbiter._publish = readings.extend
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                await arbiter.run()

    run_virtually(main())
    assert readings
    assert all(r.quality is Quality.GOOD for r in readings)
    return readings


def test_usual_things_are_found_within_a_minute_and_everything_else_in_the_end() -> None:
    common = on_wire([device("renke-rs-ws-n01", "modbus-rtu", 1)], 9600, "8N1")
    progress = Progress()
    shelf: list[float] = []

    async def main() -> None:
        async with open_line(LINE, transport=EmulatedWire(common)) as arbiter:

            async def recognise(sighting: Sighting) -> Sighting:
                shelf.append(asyncio.get_running_loop().time())
                return sighting

            await Scan(LINE, Wanted(), arbiter.lend, recognise, progress).run()

    run_virtually(main())
    assert shelf[0] < 60
    assert progress.asked == progress.total > 2500
    odd = on_wire([device("renke-rs-ws-n01", "modbus-rtu", 200)], 19200, "8E1")
    found, _, _ = scan(odd)
    assert [(one.address, str(one.wire)) for one in found] == [("200", "19200 8E1")]


def test_two_devices_with_one_address_are_a_conflict_whether_they_answer_together_or_garble_each_other() -> (
    None
):
    twins = on_wire(
        [device("renke-rs-ws-n01", "modbus-rtu", 9), device("renke-co2-th", "modbus-rtu", 9)], 9600, "8N1"
    )
    wanted = Wanted(protocols=("modbus-rtu",), addresses=tuple(range(1, 13)), wires=(wire_of("9600 8N1"),))
    found, _, _ = scan(twins, wanted)
    assert [(one.address, one.conflict, one.suggestions) for one in found] == [("9", True, ())]
    text = yaml_of(LINE, found, library())
    assert "address_conflict" in text and "devices: []" in text
    (garbler,) = on_wire([device("renke-rs-ws-n01", "modbus-rtu", 9)], 9600, "8N1")
    answer = garbler.answer
    garbler.answer = lambda request: bytes(b ^ 0x55 for b in answer(request) or b"") or None
    found, _, _ = scan([garbler], wanted)
    assert [(one.address, one.conflict) for one in found] == [("9", True)]


def test_a_device_that_does_not_mind_the_parity_stands_once_in_the_yaml() -> None:
    (one,) = on_wire([device("renke-rs-ws-n01", "modbus-rtu", 9)], 9600, "8N1")
    (other,) = on_wire([device("renke-rs-ws-n01", "modbus-rtu", 9)], 9600, "8E1")
    wires = (wire_of("9600 8N1"), wire_of("9600 8E1"))
    found, _, _ = scan([one, other], Wanted(("modbus-rtu",), (9,), wires))
    assert [str(each.wire) for each in found] == ["9600 8N1", "9600 8E1"]
    text = yaml_of(LINE, found, library())
    assert text.count("address: 9") == 1 and "也以 9600 8E1 应答" in text


def test_noise_that_passes_is_no_device() -> None:
    noisy = iter([b"\x00\xff\x13\x37\x00\x01"])
    wanted = Wanted(("modbus-rtu",), tuple(range(1, 6)), (wire_of("9600 8N1"),))
    found, _, _ = scan([WireDevice(lambda _: next(noisy, None))], wanted)
    assert found == []


def test_several_meters_behind_one_wildcard_are_told_apart_by_their_digits() -> None:
    meters = [
        device("dlt645-2007-single-phase", "dlt645", f"2022113044{tail}") for tail in ("17", "18", "93")
    ]
    meters.append(device("dlt645-2007-single-phase", "dlt645", "202211309993"))
    wanted = Wanted(("dlt645",), (), (wire_of("2400 8E1"),))
    found, _, _ = scan(on_wire(meters, 2400, "8E1"), wanted)
    assert sorted(one.address for one in found) == [
        "202211304417", "202211304418", "202211304493", "202211309993",
    ]  # fmt: skip
    assert not any(one.conflict for one in found)


def test_a_water_meter_is_found_by_its_wildcard_with_its_type() -> None:
    meter = device("cjt188-cold-water", "cjt188", "11110001002003")
    found, _, _ = scan(on_wire([meter], 2400, "8E1"), Wanted(("cjt188",)))
    assert [(one.address, one.meter_type, str(one.wire)) for one in found] == [
        ("11110001002003", "10", "2400 8E1")
    ]
    assert found[0].suggestions[0].profile.startswith("cjt188-")


def test_a_scan_goes_on_where_it_was_interrupted() -> None:
    wanted = Wanted(("modbus-rtu",), tuple(range(1, 60)), (wire_of("9600 8N1"),))
    sensor = device("renke-rs-ws-n01", "modbus-rtu", 5)
    wire = EmulatedWire(on_wire([sensor], 9600, "8N1"))

    async def first() -> Progress:
        async with open_line(LINE, transport=wire) as arbiter:

            async def recognise(sighting: Sighting) -> Sighting:
                return sighting

            search = Scan(LINE, wanted, arbiter.lend, recognise)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(6):
                    await search.run()
            return search.progress

    half = run_virtually(first())
    assert 0 < len(half.done) < len(steps(LINE, wanted))
    kept = Progress.load(half.dump())
    assert kept.found == half.found
    units: list[int] = []
    (again,) = on_wire([sensor], 9600, "8N1")
    answer = again.answer

    def listen(request: bytes) -> bytes | None:
        units.append(request[0])
        return answer(request)

    again.answer = listen
    found, _, progress = scan([again], wanted, kept)
    assert [one.address for one in found] == ["5"]
    assert min(units) > 10, "the first ten were done"
    assert progress.asked == progress.total


def test_a_line_that_is_not_there_says_so() -> None:
    class Gone(EmulatedWire):
        async def open(self, receive: object, lost: object) -> None:
            raise LineDown("/dev/ttyUSB0: no such port")

    async def main() -> None:
        async with open_line(LINE, transport=Gone([])):
            raise AssertionError("not reached")

    with pytest.raises(LineDown, match="no such port"):
        run_virtually(main())


@pytest.mark.parametrize("text", ["0", "248", "5-1", "x", "", "1,,2"])
def test_addresses_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"addresses|invalid literal"):
        parse_addresses(text)


def test_addresses_are_ranges_and_single_ones() -> None:
    assert parse_addresses("37, 1-3") == (1, 2, 3, 37)
