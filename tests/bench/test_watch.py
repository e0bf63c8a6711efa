"""Readings are recognised at every sink, wherever the bytes are cut."""

from __future__ import annotations

from tests.bench.district import _look
from tests.bench.watch import StreamListener, read_event, read_line, read_message


def test_both_peers_messages_tell_device_and_number() -> None:
    telemetry = b'{"d3":[{"ts":1,"values":{"r0":7,"r1":1}},{"ts":2,"values":{"r0":8}}]}'
    assert list(read_message(5.0, "v1/gateway/telemetry", telemetry)) == [("d3", 7, 5.0), ("d3", 8, 5.0)]
    assert list(read_message(5.0, "bench/d4", b"[9, 201, 202]")) == [("d4", 9, 5.0)]


def test_events_cut_anywhere_are_timed_by_the_piece_that_completes_them() -> None:
    reading = b'{"device":"d1","point":"r00","value":%d.0},{"device":"d1","point":"r01","value":3.0}'
    stream = b"".join(b"id: 1\nevent: reading\ndata: [" + reading % n + b"]\n\n" for n in (1, 2))
    for cut in range(1, len(stream)):
        listener = StreamListener(0, b"", b"\n\n", read_event)
        listener._came = [(1.0, stream[:cut]), (2.0, stream[cut:])]
        found = listener.take()
        assert [(device, number) for device, number, _ in found] == [("d1", 1), ("d1", 2)]
        assert found[1][2] == (2.0 if cut < len(stream) else 1.0)


def test_an_event_that_began_before_listening_is_no_reading() -> None:
    assert list(read_event(b'event: reading\ndata: [{"device":"d1","po')) == []
    assert list(read_event(b'event: sync\ndata: {"id":"x"}')) == []
    assert list(read_line(b'"d1", 3]')) == []
    assert list(read_line(b'["d1", 3, 200]')) == [("d1", 3)]


def test_lines_of_both_senders_tell_device_number_and_points() -> None:
    ours = b"contact,building=,device=d7,district=b,school=b,space=room r00=12,r01=203,r02=1.5 1790000000000"
    assert _look(ours) == ("d7", 12, 3)
    assert _look(b"m,device=d2 r00=5,r01=6 1790000000000") == ("d2", 5, 2)
    assert _look(b"m,device=d2 r05=6 1790000000000") == ("d2", None, 1)
