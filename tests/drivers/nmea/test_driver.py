"""One device that speaks NMEA 0183: which sentence gives which readings."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pynmea2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers.nmea.codec import checksum
from drivers.nmea.driver import NmeaDriver
from drivers.nmea.profile import NmeaProfile
from drivers.nmea.settings import NmeaDevice
from drivers.reading import Quality, Value
from drivers.vocabulary import PointSpec
from tests.drivers.nmea.samples import SAMPLES

SPECS = {
    "temperature": PointSpec(unit="Cel", min=-40, max=60, zh="温度", en="t"),
    "humidity": PointSpec(unit="%", min=0, max=100, zh="湿度", en="h"),
    "pressure": PointSpec(unit="hPa", min=500, max=1100, zh="气压", en="p"),
    "wind_speed": PointSpec(unit="m/s", min=0, max=60, zh="风速", en="ws"),
    "wind_direction": PointSpec(unit="deg", min=0, max=360, zh="风向", en="wd"),
    "rainfall": PointSpec(unit="mm", min=0, max=10000, counter=True, zh="雨量", en="r"),
}


def driver(points: dict[str, Any], *, unverified: bool = False, **settings: Any) -> NmeaDriver:
    profile = NmeaProfile.model_validate(
        {"id": "ws", "maker": "t", "model": "t", "kind": "weather_station", "source": "made for a test",
         "family": "nmea", "unverified": unverified, "points": points}
    )  # fmt: skip
    device = NmeaDevice.model_validate(
        {"id": "ws", "space": "roof", "line": "mast", "protocol": "nmea", "profile": "ws", **settings}
    )
    return NmeaDriver(device, profile, SPECS)


def said(text: str) -> bytes:
    return b"$%s*%02X\r\n" % (text.encode(), checksum(text.encode()))


def values(one: NmeaDriver, data: bytes) -> dict[str, Value | str | None]:
    readings = one.hear(data, 5).readings
    return {r.point: r.value if r.quality is Quality.GOOD else f"<{r.reason}>" for r in readings}


WIND = {
    "wind_direction": {"sentence": "MWV", "field": 1, "quantity": "angle", "relative": True},
    "wind_speed": {"sentence": "MWV", "field": 3, "quantity": "speed"},
}


@pytest.mark.parametrize(
    ("unit", "speed"), [("M", 10.0), ("N", 5.14444), ("K", 2.777778), ("S", 4.4704), ("k", 2.777778)]
)
def test_wind_comes_in_four_units(unit: str, speed: float) -> None:
    assert values(driver(WIND), said(f"WIMWV,90,R,10.0,{unit},A"))["wind_speed"] == pytest.approx(speed)


def test_an_unknown_or_missing_unit_is_a_bad_reading_not_a_guess() -> None:
    assert values(driver(WIND), said("WIMWV,90,R,10.0,X,A"))["wind_speed"] == "<unit>"
    assert values(driver(WIND), said("WIMWV,90,R,10.0,,A"))["wind_speed"] == "<unit>"
    stated = {"wind_speed": {"sentence": "MWV", "field": 3, "quantity": "speed", "unit": "N"}}
    assert values(driver(stated), said("WIMWV,90,R,10.0,,A"))["wind_speed"] == pytest.approx(5.14444)


def test_wind_that_the_device_calls_not_valid_is_no_value() -> None:
    assert values(driver(WIND), said("WIMWV,90,R,0.0,N,V")) == {
        "wind_direction": "<not_available>", "wind_speed": "<not_available>",
    }  # fmt: skip


def test_relative_and_true_wind_alternate_and_the_profile_takes_one() -> None:
    points = {name: {**point, "relative": False, "reference": "T"} for name, point in WIND.items()}
    both = said("WIMWV,90,R,10.0,M,A") + said("WIMWV,135,T,7.0,M,A")
    assert values(driver(points), both) == {"wind_direction": 135.0, "wind_speed": 7.0}


@pytest.mark.parametrize(
    ("north", "angle", "direction"), [(30, "350", 20.0), (-30, "10", 340.0), (0, "0", 0.0)]
)
def test_a_sensor_that_does_not_look_north_is_turned(north: float, angle: str, direction: float) -> None:
    turned = driver(WIND, north=north)
    assert values(turned, said(f"WIMWV,{angle},R,1.0,M,A"))["wind_direction"] == direction


def test_transducers_are_found_by_type_and_id_wherever_they_stand() -> None:
    points = {
        "temperature": {"sentence": "XDR", "transducer": "C", "id": "0", "quantity": "temperature"},
        "pressure": {"sentence": "XDR", "transducer": "P", "id": "3", "quantity": "pressure"},
    }
    one = driver(points)
    assert values(one, said("WIXDR,H,67.3,P,0,C,99.9,C,1,C,31.9,C,0,P,101400,P,3")) == {
        "temperature": 31.9, "pressure": 1014.0,
    }  # fmt: skip
    assert values(one, said("WIXDR,P,1.014,B,3")) == {"pressure": 1014.0}
    assert values(one, said("WIXDR,P,1008.8,B,3")) == {"pressure": "<out_of_range>"}
    assert values(one, said("WIXDR,C,89.42,F,0")) == {"temperature": 31.9}
    assert values(one, said("WIXDR,C,,C,0,")) == {"temperature": "<not_available>"}
    assert values(one, said("WIXDR,C,abc,C,0")) == {"temperature": "<not_a_number>"}
    assert values(one, said("WIXDR,,,,,C,1.5,C,0,")) == {"temperature": 1.5}
    assert values(one, said("WIXDR,C,20.0,C,7")) == {}


def test_a_transducer_without_an_id_is_found_by_the_empty_id() -> None:
    one = driver({"temperature": {"sentence": "XDR", "transducer": "C", "id": "", "quantity": "temperature"}})
    assert values(one, b"$YXXDR,C,16,C*64\r\n") == {"temperature": 16.0}
    assert values(one, b"$WIXDR,C,026.0,C,,*56\r\n") == {"temperature": 26.0}


def test_inches_of_rain_and_of_mercury_are_converted() -> None:
    points = {
        "rainfall": {"sentence": "R3", "id": "Rc", "quantity": "rain"},
        "pressure": {"sentence": "MDA", "field": 1, "quantity": "pressure"},
    }
    one = driver(points, unverified=True)
    assert values(one, b"0R3,Rc=0.40I,Rd=10s\r\n") == {"rainfall": 10.16}
    assert values(one, said("WIMDA,29.92,I")) == {"pressure": pytest.approx(1013.207888)}


def test_a_short_sentence_has_no_values_behind_its_end() -> None:
    points = {
        "temperature": {"sentence": "MDA", "field": 5, "quantity": "temperature"},
        "humidity": {"sentence": "MDA", "field": 9},
    }
    assert values(driver(points), said("WIMDA,,,,,21.5,C")) == {
        "temperature": 21.5, "humidity": "<not_available>",
    }  # fmt: skip


def test_sentences_of_another_talker_are_left_alone_and_are_no_garbage() -> None:
    one = driver(WIND, talker="WI")
    heard = one.hear(said("IIMWV,90,R,10.0,M,A") + said("WIMWV,80,R,1.0,M,A"), 5)
    assert [r.value for r in heard.readings] == [80.0, 1.0]
    assert not heard.faults


def test_an_unchecked_sentence_is_taken_only_where_the_profile_says_so() -> None:
    assert driver(WIND).hear(b"$WIMWV,90,R,10.0,M,A\r\n", 5).faults == ["unverified"]
    assert values(driver(WIND, unverified=True), b"$WIMWV,90,R,10.0,M,A\r\n")["wind_speed"] == 10.0
    assert driver(WIND, unverified=True).hear(b"$WIMWV,90,R,10.0,M,A*00\r\n", 5).faults == ["crc"]


def test_what_pynmea2_generates_is_read() -> None:
    points = {
        **WIND,
        "temperature": {"sentence": "MDA", "field": 5, "quantity": "temperature"},
        "humidity": {"sentence": "MDA", "field": 9},
        "pressure": {"sentence": "MDA", "field": 3, "quantity": "pressure"},
    }
    mda = pynmea2.MDA(
        "WI", "MDA",
        ("29.9870", "I", "1.0154", "B", "22.7", "C", "", "", "40.2", "", "8.6", "C", *("",) * 8),
    )  # fmt: skip
    mwv = pynmea2.MWV("WI", "MWV", ("214.8", "R", "0.1", "K", "A"))
    assert values(driver(points), f"{mda}\r\n{mwv}\r\n".encode()) == {
        "temperature": 22.7, "humidity": 40.2, "pressure": 1015.4,
        "wind_direction": 214.8, "wind_speed": pytest.approx(0.1 / 3.6, abs=1e-6),
    }  # fmt: skip


STREAM = b"".join(sample.line + b"\r\n" for sample in SAMPLES) + b"\xff\x00$WI\n" + b"x" * 600 + b"\r\n"
ALL = {
    **WIND,
    "temperature": {"sentence": "XDR", "transducer": "C", "id": "TEMP", "quantity": "temperature"},
    "pressure": {"sentence": "R2", "id": "Pa", "quantity": "pressure"},
}


@given(st.lists(st.integers(0, len(STREAM)), max_size=40))
def test_any_split_of_a_stream_gives_the_same_readings(edges: list[int]) -> None:
    whole = driver(ALL, unverified=True).hear(STREAM, 5)
    assert len(whole.readings) > 10
    pieces = driver(ALL, unverified=True)
    at = [0, *sorted(edges), len(STREAM)]
    heard = [pieces.hear(STREAM[a:b], 5) for a, b in pairwise(at)]
    assert [r for one in heard for r in one.readings] == whole.readings
    assert sorted(f for one in heard for f in one.faults) == sorted(whole.faults)


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_random_bytes_never_raise(chunks: list[bytes]) -> None:
    one = driver(ALL, unverified=True)
    for chunk in chunks:
        one.hear(chunk, 5)


@pytest.mark.parametrize(
    "point",
    [
        {"sentence": "MWV"},
        {"sentence": "MWV", "field": 1, "id": "Dm"},
        {"sentence": "XDR", "field": 2},
        {"sentence": "XDR", "id": "0"},
        {"sentence": "R1", "id": "Dm", "transducer": "A"},
        {"sentence": "MDA", "field": 5, "reference": "R"},
        {"sentence": "MDA", "field": 5, "quantity": "temperature", "unit": "H"},
        {"sentence": "MDA", "field": 5, "relative": True},
    ],
)
def test_a_point_that_names_no_place_is_refused(point: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        driver({"temperature": point})
