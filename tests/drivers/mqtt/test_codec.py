"""Payloads: what is read, what is refused, and that nothing at all can hurt."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import BadPayload
from drivers.mqtt import codec
from drivers.mqtt.codec import Gap
from drivers.mqtt.profile import MqttPoint
from drivers.vocabulary import PointSpec

LIMIT = 65_536
NUMBER = PointSpec(unit="Cel", zh="数", en="number")
SWITCH = PointSpec(unit="bool", type="switch", zh="开关", en="switch")
TEXT = PointSpec(unit="text", type="text", zh="文", en="text")


def value(payload: str | bytes, pointer: str = "", spec: PointSpec = NUMBER, **point: Any) -> Any:
    data = payload.encode() if isinstance(payload, str) else payload
    mapping = MqttPoint(pointer=pointer, **point)
    return codec.raw_value(codec.compile_pointer(pointer)(codec.parse(data, LIMIT)), mapping, spec)


@pytest.mark.parametrize(
    ("payload", "pointer", "expected"),
    [
        ("21.5", "", 21.5),
        (" 21.5\n", "", 21.5),
        ("-0.5e1", "", -5.0),
        ('{"temperature": 21}', "/temperature", 21.0),
        ('{"temperature": "21.4"}', "/temperature", 21.4),
        ('{"ENERGY": {"Power": [10, 20, 30]}}', "/ENERGY/Power/1", 20.0),
        ('{"params": {"switch:0": {"apower": 3.2}}}', "/params/switch:0/apower", 3.2),
        ('{"a/b": {"m~n": 7}}', "/a~1b/m~0n", 7.0),
        ('{"": 5}', "/", 5.0),
        ("[[1, 2]]", "/0/1", 2.0),
        ('{"温度": 20.25}', "/温度", 20.25),
        ('{"temperature": 1e-3}', "/temperature", 0.001),
    ],
)
def test_a_number_is_found_behind_its_pointer(payload: str, pointer: str, expected: float) -> None:
    assert value(payload, pointer) == expected


@pytest.mark.parametrize(
    ("payload", "pointer"),
    [
        ('{"humidity": 40}', "/temperature"),
        ('{"a": {"b": 1}}', "/a/c"),
        ('{"a": 1}', "/a/b"),
        ("[1]", "/1"),
        ("[1]", "/-1"),
        ("[1]", "/x"),
        ("[1]", "/9999999999"),
        ("21.5", "/temperature"),
        ("{}", "/temperature"),
    ],
)
def test_what_is_not_there_is_unchanged(payload: str, pointer: str) -> None:
    assert value(payload, pointer) is Gap.ABSENT


@pytest.mark.parametrize("word", ["null", '"nan"', '"NaN"', '"unavailable"', '"Unknown"', '""', '" "'])
@pytest.mark.parametrize("spec", [NUMBER, SWITCH, TEXT])
def test_a_word_for_no_value_is_no_value_and_never_zero(word: str, spec: PointSpec) -> None:
    assert value(f'{{"t": {word}}}', "/t", spec) is Gap.NO_VALUE


@pytest.mark.parametrize("payload", ["nan", "unavailable", "unknown", ""])
def test_a_plain_word_for_no_value_is_no_value(payload: str) -> None:
    assert value(payload) is Gap.NO_VALUE


@pytest.mark.parametrize(
    ("payload", "expected"),
    [("ON", True), ("off", False), ("1", True), ("0", False), ("true", True), ("False", False)],
)
def test_a_switch_may_come_as_a_word(payload: str, expected: bool) -> None:
    assert value(payload, spec=SWITCH) is expected
    assert value(json.dumps({"s": payload}), "/s", SWITCH) is expected


def test_a_map_goes_before_everything_else() -> None:
    contact = {"true": False, "false": True}
    assert value('{"contact": true}', "/contact", SWITCH, map=contact) is False
    assert value('{"mode": 3}', "/mode", TEXT, map={"3": "heat"}) == "heat"
    assert value('{"state": "unknown"}', "/state", NUMBER, map={"unknown": 9}) == 9


@pytest.mark.parametrize(
    ("payload", "spec", "mapping", "reason"),
    [
        ('{"t": {"v": 1}}', NUMBER, None, "not_a_value"),
        ('{"t": [1]}', TEXT, None, "not_a_value"),
        ('{"t": "warm"}', NUMBER, None, "not_a_number"),
        ('{"t": true}', NUMBER, None, "not_a_number"),
        ('{"t": "0x10"}', NUMBER, None, "not_a_number"),
        ('{"t": "1_000"}', NUMBER, None, "not_a_number"),
        ('{"t": "inf"}', NUMBER, None, "not_a_number"),
        ('{"t": "1e999"}', NUMBER, None, "not_a_number"),
        ('{"t": "٣"}', NUMBER, None, "not_a_number"),
        ('{"t": 2}', SWITCH, None, "not_a_switch"),
        ('{"t": "double"}', SWITCH, {"single": True}, "unmapped"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_with_its_reason(
    payload: str, spec: PointSpec, mapping: dict[str, bool] | None, reason: str
) -> None:
    with pytest.raises(BadPayload) as refused:
        value(payload, "/t", spec, map=mapping)
    assert refused.value.reason == reason


HOSTILE = {
    "an unfinished object": (b'{"a": ', "bad_json"),
    "two documents": (b"{}{}", "bad_json"),
    "a trailing comma": (b'{"a": 1,}', "bad_json"),
    "a leading zero": (b'{"a": 007}', "bad_json"),
    "a control character in a text": (b'{"a": "\x01"}', "bad_json"),
    "bytes that are not UTF-8": (b'{"a": "\xff\xfe"}', "bad_utf8"),
    "an overlong UTF-8 form": (b'{"a": "\xc0\xaf"}', "bad_utf8"),
    "a raw surrogate": (b'{"a": "\xed\xa0\x80"}', "bad_utf8"),
    "an escaped lone surrogate": (b'{"a": "\\ud800"}', "lone_surrogate"),
    "a lone surrogate as a key": (b'{"\\udc00": 1}', "lone_surrogate"),
    "NaN": (b'{"a": NaN}', "not_finite"),
    "minus infinity": (b'{"a": -Infinity}', "not_finite"),
    "a float beyond all": (b'{"a": 1e999}', "not_finite"),
    "a number of 5,000 digits": (b'{"a": ' + b"9" * 5000 + b"}", "long_number"),
    "a fraction of 5,000 digits": (b'{"a": 0.' + b"9" * 5000 + b"}", "not_finite"),
    "a key twice": (b'{"a": 1, "a": 2}', "duplicate_key"),
    "a key twice deep inside": (b'{"a": {"b": 1, "b": 1}}', "duplicate_key"),
    "33 levels": (b"[" * 33 + b"1" + b"]" * 33, "too_deep"),
    "20,000 levels": (b"[" * 20_000 + b"]" * 20_000, "too_deep"),
    "30,000 open brackets": (b'{"a":' * 10_000, "bad_json"),
    "a text of 5 kB": (b'{"a": "' + b"x" * 5000 + b'"}', "long_text"),
    "a key of 5 kB": (b'{"' + b"x" * 5000 + b'": 1}', "long_text"),
    "a plain text of 5 kB": (b"x" * 5000, "long_text"),
    "more bytes than allowed": (b" " * (LIMIT + 1), "oversized"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_payload_is_refused_with_its_reason(name: str) -> None:
    payload, reason = HOSTILE[name]
    with pytest.raises(BadPayload) as refused:
        codec.parse(payload, LIMIT)
    assert (
        refused.value.reason in {reason, "too_deep"} if "brackets" in name else refused.value.reason == reason
    )


def test_what_the_limits_allow_is_read() -> None:
    deep = b"[" * 32 + b"1" + b"]" * 32
    assert codec.compile_pointer("/0" * 32)(codec.parse(deep, LIMIT)) == 1
    long = json.dumps({"a": "x" * 4096, "pair": "\U0001f600", "list": list(range(5000))}).encode()
    assert codec.parse(long, LIMIT)["pair"] == "\U0001f600"


@given(payload=st.binary(max_size=300))
def test_random_bytes_are_read_or_refused_and_nothing_else(payload: bytes) -> None:
    probe(payload)


@given(
    payload=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
        max_leaves=20,
    )
)
def test_any_json_is_read_or_refused_and_nothing_else(payload: Any) -> None:
    probe(json.dumps(payload).encode())


def probe(payload: bytes) -> None:
    try:
        document = codec.parse(payload, LIMIT)
    except BadPayload as error:
        assert error.reason
        return
    codec.available(document)
    codec.instant(document)
    for pointer in ("", "/0", "/a", "//"):
        for spec in (NUMBER, SWITCH, TEXT):
            try:
                raw = codec.raw_value(codec.compile_pointer(pointer)(document), MqttPoint(), spec)
            except BadPayload as error:
                assert error.reason
                continue
            expected = {"number": float, "switch": bool, "text": str}[spec.type]
            assert isinstance(raw, Gap | expected)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("2026-03-01T08:00:00.250+08:00", 1_772_323_200_250),
        ("2026-03-01T00:00:00Z", 1_772_323_200_000),
        ("2026-03-01T00:00:00.123456789Z", 1_772_323_200_123),
        (1_772_323_200, 1_772_323_200_000),
        (1_772_323_200.25, 1_772_323_200_250),
        (1_772_323_200_250, 1_772_323_200_250),
        ("2026-03-01T08:00:00", None),
        ("1970-01-01T00:00:03", None),
        ("soon", None),
        (True, None),
        (None, None),
        ({}, None),
    ],
)
def test_a_devices_time_counts_only_with_a_zone_or_from_the_epoch(told: Any, expected: int | None) -> None:
    assert codec.instant(told) == expected


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ("Online", True),
        ("offline", False),
        ('{"state":"online"}', True),
        ('{"state":"offline"}', False),
        ("true", True),
        ("false", False),
        ("maybe", None),
        ('{"state":3}', None),
        ("[]", None),
    ],
)
def test_a_last_will_says_online_or_not_in_any_dialect(payload: str, expected: bool | None) -> None:
    assert codec.available(codec.parse(payload.encode(), LIMIT)) is expected
