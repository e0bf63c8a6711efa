"""The quick ways through payloads and packets give what the careful ones give."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from paho.mqtt import _packet
from paho.mqtt.enums import MQTTProtocolVersion

from drivers.errors import BadPayload
from drivers.mqtt import codec
from drivers.mqtt.packets import Message, acknowledgement, packet_end, published
from drivers.mqtt.profile import MqttPoint
from drivers.vocabulary import PointSpec

LIMIT = 65_536


def parsed(payload: bytes) -> str:
    """What a payload is taken for, types included; or the reason why it is refused."""
    try:
        return repr(codec.parse(payload, LIMIT))
    except BadPayload as error:
        return f"refused: {error.reason}"


numbers = (
    st.integers(-(10**45), 10**45).map(str)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.from_regex(r"-?(0|[1-9]\d{0,45})(\.\d{1,45})?([eE][+-]?\d{1,3})?", fullmatch=True)
    | st.sampled_from(["NaN", "-Infinity", "01", "1.", "-0", "-0.0", "1e400", "+1", "9" * 41, "-" + "9" * 40])
)
texts = st.text(max_size=12).map(json.dumps) | st.text(max_size=12).map(
    lambda text: json.dumps(text, ensure_ascii=False)
)
values = (
    numbers | texts | st.sampled_from(["true", "false", "null", "{}", "[]", "[1]", '{"a":1}', '"\\ud800"'])
)
blanks = st.sampled_from(["", " ", "\n", "\t "])
members = st.tuples(st.sampled_from(["a", "b", "c", "", "a:b", "温度", "\\u0061"]), blanks, values, blanks)
objects = st.lists(members, max_size=5).map(
    lambda some: "{" + ",".join(f'{b}"{k}"{a}:{v}{b}' for k, a, v, b in some) + "}"
)


@given(objects, st.sampled_from(["", " ", "}", "\0", "\x0b"]))
@example('{"a":1,"a":2}', "")
@example('{"a":"x:y"}', "")
def test_objects_are_taken_alike_the_quick_and_the_careful_way(text: str, rest: str) -> None:
    payload = (text + rest).encode("utf-8", "surrogatepass")
    assert parsed(payload) == parsed(b" " + payload), "a blank in front asks for the careful way"


@given(st.binary(max_size=40))
def test_any_bytes_are_taken_alike(data: bytes) -> None:
    assert parsed(b"{" + data) == parsed(b" {" + data)


@given(st.integers(-(10**45), 10**45) | st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_read_as_their_texts_are(number: float) -> None:
    point, spec = MqttPoint(), PointSpec(unit="1", zh="数", en="number")
    try:
        wanted: object = codec.raw_value(json.dumps(number), point, spec)
    except BadPayload as error:
        wanted = error.reason
    try:
        found: object = codec.raw_value(number, point, spec)
    except BadPayload as error:
        found = error.reason
    assert repr(found) == repr(wanted)


def publish(topic: bytes, payload: bytes, first: int, packet_id: int) -> bytes:
    """A PUBLISH packet by the standard."""
    body = len(topic).to_bytes(2, "big") + topic
    if first >> 1 & 3:
        body += packet_id.to_bytes(2, "big")
    body += payload
    length, size = b"", len(body)
    while True:
        length += bytes([size & 0x7F | (0x80 if size > 0x7F else 0)])
        size >>= 7
        if not size:
            return bytes([first]) + length + body


firsts = st.sampled_from([0x30, 0x31, 0x32, 0x33, 0x38, 0x3A, 0x3B])


@given(st.binary(min_size=1, max_size=200), st.binary(max_size=20_000), firsts, st.integers(1, 65_535))
def test_a_published_message_is_read_as_paho_reads_it(
    topic: bytes, payload: bytes, first: int, packet_id: int
) -> None:
    packet = publish(topic, payload, first, packet_id)
    assert packet_end(packet, 0) == len(packet)
    found = published(packet)
    body = packet[len(packet) - len(payload) - len(topic) - 2 - (2 if first >> 1 & 3 else 0) :]
    paho = _packet.decode_publish(first, bytearray(body), MQTTProtocolVersion.MQTTv311)
    assert found == Message(
        bytes(paho.topic), bytes(paho.payload), paho.qos, paho.mid or 0, bool(paho.dup), bool(paho.retain)
    )


def test_packets_that_are_cut_wait_and_what_is_no_message_is_left_to_others() -> None:
    packet = publish(b"a/b", b"x" * 300, 0x32, 7)
    for cut in range(3):
        assert packet_end(packet[:cut], 0) is None
    assert packet_end(packet[:3], 0) == len(packet)
    assert packet_end(b"\0\0" + packet, 2) == 2 + len(packet)
    with pytest.raises(ValueError, match="remaining length"):
        packet_end(b"\x30\xff\xff\xff\xff\x01", 0)
    assert published(b"\xd0\x00") is None, "a ping's answer"
    assert published(publish(b"a", b"x", 0x34, 7)) is None, "QoS 2 takes four packets"
    assert published(publish(b"", b"x", 0x30, 0)) is None, "a topic has a character at least"
    for malformed in (b"\x30\x00", b"\x30\x01\x00", b"\x30\x03\x00\x09a", b"\x32\x04\x00\x01ab"):
        assert published(malformed) is None
    assert acknowledgement(0x1234) == b"\x40\x02\x12\x34"
