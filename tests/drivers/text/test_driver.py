"""Devices that print lines of text, heard and asked."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers.errors import NoReply
from drivers.line.settings import SerialLine
from drivers.reading import Quality, Reading
from drivers.simulated.bus import Bus
from drivers.simulated.device import VirtualDevice
from drivers.text.driver import TextListener, TextPoller
from drivers.text.profile import TextProfile
from drivers.text.settings import TextDevice
from drivers.vocabulary import PointSpec
from tests.drivers.dlt645.frames_of import drive

LINE = SerialLine(id="bus", url="serial:/dev/x")
SPECS = {
    "temperature": PointSpec(unit="Cel", min=-40, max=60, zh="温度", en="t"),
    "humidity": PointSpec(unit="%", min=0, max=100, zh="湿度", en="h"),
    "open": PointSpec(unit="bool", type="switch", zh="打开", en="open"),
    "mode": PointSpec(unit="text", type="text", zh="模式", en="mode"),
}


def profile(pattern: str, points: dict[str, Any], **more: Any) -> TextProfile:
    return TextProfile.model_validate(
        {"id": "p", "maker": "t", "model": "t", "kind": "classroom_env", "source": "made for a test",
         "family": "text", "pattern": pattern, "points": points, **more}
    )  # fmt: skip


def device(name: str = "s", **more: Any) -> TextDevice:
    return TextDevice.model_validate(
        {"id": name, "space": "r", "line": "bus", "protocol": "text", "profile": "p", **more}
    )


ENV = profile(r"T=(?P<temperature>[-\d.]*);H=(?P<humidity>[\d.]*)", {"temperature": {}, "humidity": {}})


def shown(readings: Any) -> dict[str, Any]:
    return {r.point: r.value if r.quality is Quality.GOOD else f"<{r.reason}>" for r in readings}


def heard(shape: TextProfile, data: bytes) -> dict[str, Any]:
    return shown(TextListener(device(), shape, SPECS).hear(data, 7).readings)


def test_a_line_becomes_one_reading_a_group() -> None:
    assert heard(ENV, b"T=21.5;H=45\r\n") == {"temperature": 21.5, "humidity": 45.0}


def test_an_empty_group_is_no_value_and_a_strange_one_no_number() -> None:
    assert heard(ENV, b"T=;H=1.2.3\n") == {"temperature": "<not_available>", "humidity": "<not_a_number>"}


def test_a_value_beyond_the_range_is_bad() -> None:
    assert heard(ENV, b"T=850;H=45\n") == {"temperature": "<out_of_range>", "humidity": 45.0}


def test_lines_of_another_form_are_noise_and_empty_ones_nothing() -> None:
    overheard = TextListener(device(), ENV, SPECS).hear(b"boot v1.2\n\r\n\n\xff\xfe\nT=1;H=2\n", 7)
    assert overheard.faults == ["noise", "noise"]
    assert [r.value for r in overheard.readings] == [1.0, 2.0]


def test_words_are_mapped_and_switches_read() -> None:
    shape = profile(
        r"(?P<door>\w+) (?P<mode>\w+)",
        {"open": {"group": "door", "map": {"OPEN": True, "SHUT": False}}, "mode": {}},
    )
    assert heard(shape, b"OPEN auto\n") == {"open": True, "mode": "auto"}
    assert heard(shape, b"AJAR auto\n") == {"open": "<unmapped>", "mode": "auto"}
    plain = profile(r"(?P<open>\w+)", {"open": {"invert": True}})
    assert heard(plain, b"0\n") == {"open": True}
    assert heard(plain, b"perhaps\n") == {"open": "<not_a_switch>"}


def test_a_chinese_line_in_gb18030_is_read() -> None:
    shape = profile(r"温度[:：](?P<temperature>[-\d.]+)℃", {"temperature": {}}, encoding="gb18030")
    assert heard(shape, "温度：-3.5℃\r\n".encode("gb18030")) == {"temperature": -3.5}


def test_other_terminators_end_a_line() -> None:
    shape = profile(r"(?P<temperature>[-\d.]+)", {"temperature": {}}, terminator=r"\x03")
    assert heard(shape, b"1.5\x03") == {"temperature": 1.5}
    assert profile(r"(?P<temperature>\d)", {"temperature": {}}, terminator=r"\r\n").terminator == "\r\n"


def test_two_kinds_of_lines_are_two_devices() -> None:
    stream = b"A 1.5\nB 60\n"
    a = TextListener(device("a"), profile(r"A (?P<temperature>[\d.]+)", {"temperature": {}}), SPECS)
    b = TextListener(device("b"), profile(r"B (?P<humidity>[\d.]+)", {"humidity": {}}), SPECS)
    assert shown(a.hear(stream, 7).readings) == {"temperature": 1.5}
    assert shown(b.hear(stream, 7).readings) == {"humidity": 60.0}


STREAM = b"T=1;H=2\r\nnoise\nT=3.5;H=\n" + b"y" * 900 + b"\nT=-4;H=99\nT=5"


@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_any_split_gives_the_same_readings(edges: list[int]) -> None:
    whole = TextListener(device(), ENV, SPECS).hear(STREAM, 7)
    pieces = TextListener(device(), ENV, SPECS)
    parts = [pieces.hear(STREAM[a:b], 7) for a, b in pairwise([0, *sorted(edges), len(STREAM)])]
    assert [r for one in parts for r in one.readings] == whole.readings
    assert sorted(f for one in parts for f in one.faults) == sorted(whole.faults) == ["noise", "too_long"]


@given(
    st.lists(st.binary(max_size=600), max_size=8), st.sampled_from(["ascii", "utf-8", "gb18030", "latin-1"])
)
def test_random_bytes_never_raise(chunks: list[bytes], encoding: str) -> None:
    shape = profile(
        r"(?P<temperature>.*),(?P<humidity>.*)", {"temperature": {}, "humidity": {}}, encoding=encoding
    )
    listener = TextListener(device(), shape, SPECS)
    poller = TextPoller(device(), ASKED, SPECS, LINE)
    for chunk in chunks:
        listener.hear(chunk, 7)
        assert 0 <= poller._find(chunk).end <= len(chunk)


ASKED = profile(
    r">(?P<temperature>[+-]\d+\.\d+)",
    {"temperature": {"sentinels": [9999.9]}},
    request=r"#{address}\r",
    terminator=r"\r",
    exchanges=[{"line": ">+0021.50", "expect": {"temperature": 21.5}}],
)


def asked(answer: bytes) -> dict[str, Any]:
    poll = TextPoller(device(address="0A"), ASKED, SPECS, LINE).poll(7)

    def reply(exchange: Any) -> bytes:
        assert exchange.request == b"#0A\r"
        return answer

    return shown(drive(poll, reply))


def test_a_device_that_is_asked_answers_one_line() -> None:
    assert asked(b">+0021.50\r") == {"temperature": 21.5}
    assert asked(b">+9999.9\r") == {"temperature": "<not_available>"}


def test_an_echo_is_dropped_and_silence_is_a_timeout() -> None:
    find = TextPoller(device(address="0A"), ASKED, SPECS, LINE)._find
    assert find(b"#0A\r>+0021.50\r")[1:] == (4, "echo")
    assert find(b"?0A\r>+0021.50\r")[1:] == (4, "noise")
    assert find(b">+0021").frame is None
    poll = TextPoller(device(address="0A"), ASKED, SPECS, LINE).poll(7)
    assert shown(drive(poll, lambda exchange: NoReply("silence"))) == {"temperature": "<timeout>"}


def test_the_simulated_side_answers_only_its_own_address() -> None:
    def module(name: str, address: str, value: float) -> VirtualDevice:
        return VirtualDevice(device(name, address=address), ASKED, SPECS, {"temperature": lambda: value})

    bus = Bus([module("a", "01", 21.5), module("b", "02", -4.25)], 9600, 1)
    assert [s.data for s in bus.receive(b"#01\r")] == [b">+0021.50\r"]
    (spoken,) = bus.receive(b"#02\r")
    assert (spoken.device, spoken.data, spoken.values) == ("b", b">-0004.25\r", {"temperature": -4.25})
    assert bus.receive(b"#03\r") == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"points": {"humidity": {}}}, "no group humidity"),
        ({"terminator": r"\q"}, "escapes"),
        ({"request": "温"}, "U\\+00FF"),
        ({"encoding": "gb18030", "terminator": "0"}, "gb18030"),
        ({"pattern": "(?P<temperature>(a+)+)"}, "not repeated"),
    ],
)
def test_a_profile_that_cannot_work_is_refused(change: dict[str, Any], why: str) -> None:
    base = {"pattern": r"(?P<temperature>\d+)", "points": {"temperature": {}}}
    with pytest.raises(ValidationError, match=why):
        profile(**{**base, **change})


def test_readings_carry_the_time_and_the_device() -> None:
    (first, _) = TextListener(device(), ENV, SPECS).hear(b"T=1;H=2\n", 42).readings
    assert first == Reading("s", "temperature", 1.0, "Cel", 42, 42)
