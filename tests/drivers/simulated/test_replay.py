"""Recordings: what was asked is answered as then, whatever the bytes came in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drivers.line.traffic import Passed
from drivers.simulated.replay import BadRecording, Replay, read_recording
from edge.commissioning.recording import RingFile


def row(at: int, way: str, data: str) -> str:
    return json.dumps({"at": at, "way": way, "speed": "9600 8N1", "data": data})


RTU = [
    row(1000, "received", "ff"),
    row(2000, "sent", "01 03 00 00 00 01 84 0a"),
    row(2030, "received", "01 03 02"),
    row(2040, "received", "00 07 f9 86"),
    row(3000, "sent", "02 03 00 00 00 01 84 39"),
    row(4000, "sent", "01 03 00 00 00 01 84 0a"),
    row(4030, "received", "01 03 02 00 08 b9 82"),
]


def test_each_request_gets_its_own_replies_in_turn_and_silence_stays_silence() -> None:
    line = Replay(read_recording(RTU))
    request = bytes.fromhex("010300000001840a")
    first = line.receive(request)
    assert [(round(one.delay_s, 3), one.data.hex()) for one in first] == [
        (0.03, "010302"), (0.04, "0007f986"),
    ]  # fmt: skip
    assert line.receive(request[:3]) == []
    assert [one.data.hex() for one in line.receive(request[3:])] == ["0103020008b982"]
    assert [one.data.hex() for one in line.receive(request)] == ["010302", "0007f986"]
    assert line.receive(bytes.fromhex("0203000000018439")) == []
    assert line.receive(bytes.fromhex("090300000001")) == []
    line.quiet()
    assert line.missed == 1
    assert line.receive(request) != []


def test_a_modbus_tcp_reply_comes_under_the_askers_own_transaction() -> None:
    line = Replay(
        read_recording([
            row(1, "sent", "00 05 00 00 00 06 01 03 00 00 00 01"),
            row(9, "received", "00 05 00 00 00 05 01 03 02 00 07"),
        ])
    )  # fmt: skip
    (reply,) = line.receive(bytes.fromhex("abcd00000006010300000001"))
    assert reply.data.hex() == "abcd000000050103020007"


@pytest.mark.parametrize("line", ["x", "[]", '{"at": 1}', '{"at": 1, "way": "sent", "data": "zz"}', "7"])
def test_a_file_that_is_no_recording_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(BadRecording, match="line 2"):
        read_recording([RTU[0], line])


def test_a_recording_does_not_grow_without_end(tmp_path: Path) -> None:
    path = tmp_path / "bus.jsonl"
    with RingFile(path, 20_000) as ring:
        for number in range(1000):
            ring.write([Passed(number, number, "sent", b"\x01\x03\x00\x00\x00\x01\x84\x0a", "9600 8N1")])
    halves = [path, path.with_name("bus.jsonl.1")]
    assert all(half.stat().st_size <= 10_200 for half in halves)
    last = json.loads(path.read_text().splitlines()[-1])
    assert last["at"] == 999
    assert read_recording(path.read_text().splitlines())
