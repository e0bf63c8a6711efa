"""Davis packets: captured ones, ones built from the reference's table by hand, and garbage."""

from __future__ import annotations

import binascii
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from drivers.davis import codec
from drivers.davis.codec import FIELDS, Packet

FOLDER = Path(__file__).parent / "packets"
CAPTURED = [YAML(typ="safe", pure=True).load(path) for path in sorted(FOLDER.glob("*.yaml"))]


def f_to_c(value: float) -> float:
    return (value - 32) * 5 / 9


def in_our_unit(name: str, value: float, bucket: float) -> float:
    """A console's own unit (F, inHg, mph, clicks, inch) in ours, apart from the codec's table."""
    if name.startswith("evaporation"):
        return value * 25.4
    if name.startswith("rain"):
        return value * bucket
    if "temperature" in name or name in ("dew_point", "heat_index", "wind_chill", "thsw_index"):
        return f_to_c(value)
    if name.startswith("barometer"):
        return value * 33.8639
    if name in ("wind_speed", "wind_speed_10_min", "wind_speed_2_min", "wind_gust_10_min"):
        return value * 0.44704
    return value


def value_in(packet: bytes, name: str, bucket: float | None = 0.2) -> float | None:
    return codec.decode(packet, FIELDS[name][Packet(packet[4])], bucket)


def hand_made(packet_type: int, fill: int = 0, **at: tuple[str, float]) -> bytes:
    """A packet with numbers at offsets (`at12=("h", 684)`); a CRC from the standard library."""
    frame = bytearray([fill] * 95)
    frame[0:3] = b"LOO"
    frame[4] = packet_type
    for where, (layout, number) in at.items():
        struct.pack_into("<" + layout, frame, int(where.removeprefix("at")), number)
    body = bytes(frame) + b"\n\r"
    return body + struct.pack(">H", binascii.crc_hqx(body, 0))


@pytest.mark.parametrize("sample", CAPTURED, ids=lambda sample: sample["source"][:24])
def test_a_captured_packet_is_read(sample: dict[str, Any]) -> None:
    packet = bytes.fromhex(sample["hex"])
    found = codec.packet_finder(Packet[sample["packet"]])(b"\x06" + packet)
    assert found.frame == packet
    for name, value in sample["values"].items():
        wanted = None if value is None else pytest.approx(in_our_unit(name, value, 0.2), abs=1e-5)
        assert value_in(packet, name) == wanted, name


def test_loop2_built_by_hand_from_the_table_is_read() -> None:
    packet = hand_made(
        1, at7=("H", 29921), at9=("h", 725), at11=("B", 41), at12=("h", -105), at14=("B", 5), at16=("H", 225),
        at18=("H", 63), at20=("H", 58), at22=("H", 14), at24=("H", 230), at30=("h", -2), at33=("B", 62),
        at35=("h", 68), at37=("h", 5), at39=("h", 71), at41=("H", 3), at43=("B", 27), at44=("H", 412),
        at46=("H", 11), at50=("H", 9), at52=("H", 1), at54=("H", 2), at56=("H", 88), at58=("H", 10),
        at65=("H", 28650),
    )  # fmt: skip
    expected = {
        "barometer": 29.921, "barometer_raw": 28.65, "inside_temperature": 72.5, "inside_humidity": 41,
        "outside_temperature": -10.5, "wind_speed": 5, "wind_direction": 225, "wind_speed_10_min": 6.3,
        "wind_speed_2_min": 5.8, "wind_gust_10_min": 14, "wind_gust_direction": 230, "dew_point": -2,
        "outside_humidity": 62, "heat_index": 68, "wind_chill": 5, "thsw_index": 71, "rain_rate": 3,
        "uv_index": 2.7, "solar_irradiance": 412, "rain_storm": 11, "rain_day": 9, "rain_15_min": 1,
        "rain_hour": 2, "evaporation_day": 0.088, "rain_24_h": 10,
    }  # fmt: skip
    assert set(expected) == {name for name, places in FIELDS.items() if Packet.LOOP2 in places}
    for name, value in expected.items():
        assert value_in(packet, name) == pytest.approx(in_our_unit(name, value, 0.2), abs=1e-5), name


def test_loop_built_by_hand_from_the_table_is_read() -> None:
    packet = hand_made(
        0, at7=("H", 30012), at12=("h", 684), at15=("B", 7), at18=("B", 165), at24=("B", 20), at33=("B", 99),
        at52=("H", 30), at54=("H", 400), at56=("H", 120), at58=("H", 250), at60=("H", 999), at86=("B", 2),
        at87=("H", 815),
    )  # fmt: skip
    assert value_in(packet, "wind_speed_10_min") == pytest.approx(7 * 0.44704)
    assert value_in(packet, "extra_temperature_1") == pytest.approx(f_to_c(75), abs=1e-5)
    assert value_in(packet, "extra_temperature_7") == pytest.approx(f_to_c(-70), abs=1e-5)
    assert value_in(packet, "rain_month", 0.254) == pytest.approx(7.62)
    assert value_in(packet, "rain_year", 0.1) == pytest.approx(40)
    assert value_in(packet, "evaporation_month") == pytest.approx(2.5 * 25.4)
    assert value_in(packet, "evaporation_year") == pytest.approx(9.99 * 25.4)
    assert value_in(packet, "transmitter_battery") == 2
    assert value_in(packet, "console_voltage") == pytest.approx(815 * 300 / 512 / 100, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "where", "layout", "raw"),
    [
        ("outside_temperature", "at12", "h", 0x7FFF),
        ("inside_temperature", "at9", "h", 0x7FFF),
        ("outside_humidity", "at33", "B", 0xFF),
        ("inside_humidity", "at11", "B", 0xFF),
        ("wind_speed", "at14", "B", 0xFF),
        ("wind_speed_10_min", "at15", "B", 0xFF),
        ("wind_direction", "at16", "H", 0),
        ("uv_index", "at43", "B", 0xFF),
        ("solar_irradiance", "at44", "H", 0x7FFF),
        ("barometer", "at7", "H", 0),
        ("extra_temperature_3", "at20", "B", 0xFF),
    ],
)
def test_what_the_console_shows_as_dashes_is_no_value(name: str, where: str, layout: str, raw: int) -> None:
    assert value_in(hand_made(0, 1, **{where: (layout, raw)}), name) is None


@pytest.mark.parametrize(
    ("name", "where", "layout", "raw"),
    [
        ("wind_speed_10_min", "at18", "H", 0x7FFF),
        ("wind_gust_10_min", "at22", "H", 0xFF),
        ("wind_gust_direction", "at24", "H", 0),
        ("dew_point", "at30", "h", 0xFF),
        ("heat_index", "at35", "h", 0xFF),
        ("wind_chill", "at37", "h", 0x7FFF),
        ("barometer_raw", "at65", "H", 0),
    ],
)
def test_the_same_holds_for_loop2(name: str, where: str, layout: str, raw: int) -> None:
    assert value_in(hand_made(1, 1, **{where: (layout, raw)}), name) is None


def test_rain_is_no_value_while_the_collector_is_unknown() -> None:
    assert value_in(hand_made(0, at50=("H", 9)), "rain_day", None) is None
    assert [codec.bucket_mm(setup) for setup in (0x08, 0x18, 0x2B, 0x30)] == [0.254, 0.2, 0.1, None]


@given(st.binary(max_size=200))
def test_the_crc_is_the_standard_library_s(data: bytes) -> None:
    assert codec.crc(data) == binascii.crc_hqx(data, 0)


VALUES = {
    "outside_temperature": 21.5,
    "outside_humidity": 60.0,
    "wind_direction": 90.0,
    "rain_day": 3.2,
    "rain_year": 80.0,
}


@given(st.sampled_from(list(Packet)), st.data())
def test_what_is_built_is_read_again(packet: Packet, data: st.DataObject) -> None:
    fields = {name: places[packet] for name, places in FIELDS.items() if packet in places}
    raws = data.draw(st.dictionaries(st.sampled_from(sorted(fields)), st.integers(1, 200)))
    values = {
        name: raw * 0.2 if (kind := fields[name].kind).clicks else raw * kind.factor + kind.offset
        for name, raw in raws.items()
        if raw not in fields[name].kind.none
    }
    frame = codec.build(packet, values, 0.2)
    assert codec.packet_finder(packet)(frame).frame == frame
    for name, place in fields.items():
        wanted = pytest.approx(values[name], abs=1e-6) if name in values else None
        if name in values or place.kind.none:
            assert codec.decode(frame, place, 0.2) == wanted, name


PACKET = bytes.fromhex(CAPTURED[0]["hex"])


@given(st.integers(0, 110))
def test_half_a_packet_is_waited_for(size: int) -> None:
    stream = b"\n\r\x06" + PACKET
    found = codec.packet_finder(Packet.LOOP)(stream[:size])
    assert (found.frame == PACKET) == (size >= len(stream))


@given(st.binary(max_size=1024), st.sampled_from(list(Packet)))
def test_random_bytes_never_raise(data: bytes, packet: Packet) -> None:
    for find in (codec.packet_finder(packet), codec.eeprom_finder(1), codec.find_awake):
        found = find(data)
        assert 0 <= found.end <= len(data)


@given(st.integers(0, 98), st.integers(1, 255))
def test_a_spoilt_packet_is_never_taken(at: int, flip: int) -> None:
    spoilt = bytearray(PACKET)
    spoilt[at] ^= flip
    assert codec.packet_finder(Packet.LOOP)(bytes(spoilt)).frame is None


def test_a_packet_of_the_other_type_is_dropped_and_the_awaited_one_found() -> None:
    find = codec.packet_finder(Packet.LOOP2)
    both = b"\x06" + PACKET + hand_made(1)
    found = find(both)
    assert (found.frame, found.fault) == (None, "late")
    assert find(both[found.end :]).frame == hand_made(1)


@pytest.mark.parametrize("refusal", [b"\x21", b"\n\r\x21", b"\x18"])
def test_a_refusal_is_told_from_data(refusal: bytes) -> None:
    assert codec.packet_finder(Packet.LOOP)(refusal).frame == refusal[-1:]
    assert codec.eeprom_finder(1)(refusal).frame == refusal[-1:]
    setup = b"\x18"  # 0.2 mm, large wind cups: looks like a refusal, but has an ACK before and a CRC behind
    reply = b"\x06" + setup + struct.pack(">H", binascii.crc_hqx(setup, 0))
    assert codec.eeprom_finder(1)(reply).frame == reply[1:]
