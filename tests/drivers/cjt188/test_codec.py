"""CJ/T 188 frames: captured ones, and everything that a wire does to them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.cjt188 import body, codec
from drivers.cjt188.codec import Frame, Station
from drivers.contract import Found
from drivers.errors import BadFrame, Refused
from tests.drivers.cjt188.frames_of import SAMPLES, Sample

ADDRESS = "78330011223344"
WIRE = codec.address_bytes(ADDRESS)
METER = Station(0x10, WIRE)
BODY = bytes.fromhex("00 77 66 55 2C 00 77 66 55 2C 31 01 22 11 05 15 20 21 84")
digits = st.text("0123456789", min_size=14, max_size=14)
types = st.integers(0x10, 0x49)


def reply_frame(
    data: bytes = BODY,
    *,
    control: int = 0x81,
    address: bytes = WIRE,
    di: bytes = b"\x90\x1f",
    kind: int = 0x10,
) -> bytes:
    return codec.build(Frame(kind, address, control, di + b"\x00" + data))


GOOD = reply_frame()


def by_id(sample: Sample) -> str:
    return sample.name


@pytest.mark.parametrize("sample", SAMPLES, ids=by_id)
def test_a_captured_reply_is_found_and_says_what_its_source_states(sample: Sample) -> None:
    found = codec.deframer(sample.station, sample.di, sample.control)(sample.reply)
    assert found.frame is not None
    assert found.fault == sample.fault
    if sample.refused is not None:
        with pytest.raises(Refused) as refused:
            codec.answer(found.frame)
        assert refused.value.code == sample.refused
        return
    data = codec.answer(found.frame)
    assert body.unit_first(sample.layout, data) == sample.unit_first if data else True
    for name, expected in sample.fields.items():
        place = body.LAYOUTS[sample.layout][name]
        item = data[place.at : place.at + place.size]
        if name == "clock":
            assert body.clock(item) == expected
        elif name == "status":
            assert body.status(item) == expected
        else:
            assert body.number(place, data, place.decimals, bool(sample.unit_first)) == expected


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.request], ids=by_id)
def test_a_captured_request_is_what_we_would_send(sample: Sample) -> None:
    asked = codec.parse(sample.request.lstrip(b"\xfe"))
    wake_up = len(sample.request) - len(sample.request.lstrip(b"\xfe"))
    low_first = asked.data[0] == 0x1F
    ours = codec.read_request(sample.station, sample.di, asked.data[2], low_first=low_first, wake_up=wake_up)
    assert ours == sample.request


def test_a_printed_number_leaves_the_makers_code_open() -> None:
    assert codec.address_bytes("0011223344").hex() == "4433221100aaaa"
    assert codec.address_bytes(ADDRESS).hex() == "44332211003378"


@pytest.mark.parametrize(
    "frame",
    [
        "68 10 44 33 22 11 00 33 78 81 16 1F 90 00 00 77 66 55 2C 00 77 66 55 2C 31 01"
        " 22 11 05 15 20 21 84 08 16",
        "68 10 96 29 11 80 01 00 00 81 16 90 1F 02 00 12 00 00 2C 00 00 00 00 2C 00 00"
        " 00 00 00 00 00 20 00 7D 16",
        "68 20 11 22 33 44 55 66 77 81 2E 90 1F 01 13 23 33 43 2C 14 24 34 44 2C 15 25 35 45 2C 16 26 36 46"
        " 2C 17 27 37 47 2C 18 28 38 19 29 39 10 20 30 20 16 07 15 09 59 59 11 22 A3 16",
    ],
)
def test_public_examples_with_a_wrong_checksum_are_not_believed(frame: str) -> None:
    raw = bytes.fromhex(frame)
    found = codec.deframer(Station(0xAA, codec.address_bytes(codec.WILDCARD)), "901F")(raw)
    assert (found.frame, found.fault) == (None, "crc")


@given(
    address=digits,
    kind=types,
    control=st.integers(0, 255),
    data=st.binary(max_size=200),
    wake_up=st.integers(0, 6),
)
def test_a_frame_survives_the_round_trip(
    address: str, kind: int, control: int, data: bytes, wake_up: int
) -> None:
    frame = Frame(kind, codec.address_bytes(address), control, data)
    assert codec.parse(codec.build(frame, wake_up)[wake_up:]) == frame


@pytest.mark.parametrize("raw", [b"", b"\x68", GOOD[:-1], GOOD + b"\x00", b"\xfe" + GOOD])
def test_what_is_not_exactly_one_frame_does_not_open(raw: bytes) -> None:
    with pytest.raises(BadFrame):
        codec.parse(raw)


# --- finding the reply ---

ECHO = codec.read_request(METER, "901F", wake_up=0)
OTHER = codec.address_bytes("78330011223345")
BEFORE = {
    "nothing": (b"", ""),
    "four wake-up bytes": (b"\xfe" * 4, ""),
    "wake-up zeros of a radio module": (b"\x00" * 12 + b"\xfe" * 3, ""),
    "the name of a collector": (b"CTRL:&201707000000921", "noise"),
    "noise between wake-up and start": (b"\xfe\xfe\x9c\x16", "noise"),
    "a doubled start byte": (b"\x68", "noise"),
    "the echo of the request": (b"\xfe\xfe" + ECHO, "echo"),
    "another meter's reply": (reply_frame(address=OTHER), "wrong_address"),
    "a meter of another type": (reply_frame(kind=0x20), "wrong_address"),
    "a late answer to another question": (reply_frame(di=b"\xd1\x20"), "late"),
    "a late answer to a write": (reply_frame(control=0x84, di=b"\xa0\x17"), "late"),
    "a reply with a bad checksum": (GOOD[:-2] + bytes([GOOD[-2] ^ 1, 0x16]), "crc"),
    "a reply without its end byte": (GOOD[:-1] + b"\x00", "crc"),
    "an impossible length": (GOOD[:10] + b"\xc9" + GOOD[11:], "crc"),
    "the head of a longer frame that never came": (b"\x68\x10" + bytes(7) + b"\x81\xc8", "noise"),
    "a DL/T 645 reply": (bytes.fromhex("68 17 44 30 11 22 20 68 91 06 33 34 34 35 38 56 29 16"), "noise"),
}


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("after", [b"", b"\x52\x4f", GOOD, b"\x68"])
def test_the_reply_is_found_behind(before: str, after: bytes) -> None:
    junk, fault = BEFORE[before]
    found = codec.deframer(METER, "901F")(junk + GOOD + after)
    assert found == Found(GOOD, len(junk) + len(GOOD), fault)


@pytest.mark.parametrize("di", [b"\x90\x1f", b"\x1f\x90"])
def test_both_orders_of_the_identifier_are_taken_in_replies(di: bytes) -> None:
    raw = reply_frame(di=di)
    assert codec.deframer(METER, "901F")(raw).frame == raw
    assert codec.answer(raw) == BODY


@pytest.mark.parametrize("address", ["68686868686868", "16161616161616", "68106810681068"])
@pytest.mark.parametrize("value", [b"\x68", b"\x16", b"\x68\x10\x16" * 6])
def test_start_and_end_bytes_inside_a_frame_mislead_nobody(address: str, value: bytes) -> None:
    wire = codec.address_bytes(address)
    raw = reply_frame(value, address=wire)
    for junk in (b"", b"\x68", b"\x68\x68", b"\xfe\x68", b"\x68\x10"):
        assert codec.deframer(Station(0x10, wire), "901F")(junk + raw).frame == raw


@pytest.mark.parametrize("junk", [BEFORE[name][0] for name in BEFORE], ids=list(BEFORE))
def test_every_split_gives_the_same_frame_and_drops_nothing_of_it(junk: bytes) -> None:
    stream = junk + GOOD
    deframe = codec.deframer(METER, "901F")
    for cut in range(len(stream)):
        first = deframe(stream[:cut])
        assert first.frame is None
        assert deframe(stream[first.end :]).frame == GOOD


@given(junk=st.lists(st.sampled_from([0x68, 0x16, 0xFE, 0x10, 0x81, 0x01, 0x03, 0x00, 0x1F]), max_size=60))
def test_one_byte_at_a_time_is_the_same_as_all_at_once(junk: list[int]) -> None:
    stream = bytes(junk) + GOOD
    deframe = codec.deframer(METER, "901F")
    buffer, seen = b"", []
    for byte in stream:
        buffer += bytes([byte])
        found = deframe(buffer)
        buffer = buffer[found.end :]
        if found.frame:
            seen.append(found.frame)
    assert seen == [GOOD]
    assert deframe(stream).frame == GOOD


@given(raw=st.binary(max_size=400))
def test_random_bytes_never_raise_and_never_grow_the_buffer(raw: bytes) -> None:
    found = codec.deframer(METER, "901F")(raw)
    assert 0 <= found.end <= len(raw)
    if found.frame is None:
        assert len(raw) - found.end < 213  # at most the head of one frame waits


def bytes_looked_at(raw: bytes) -> int:
    """The sum over the slices that the deframer takes."""

    class Counting(bytes):
        looked = 0

        def __getitem__(self, key):  # type: ignore[no-untyped-def]
            if isinstance(key, slice):
                start, stop, _ = key.indices(len(self))
                Counting.looked += max(0, stop - start)
            return super().__getitem__(key)

    codec.deframer(METER, "901F")(Counting(raw))
    return Counting.looked


@pytest.mark.parametrize(
    "unit", [b"\x68", b"\x68\x10" * 4 + b"\x01\x03", b"\x68\x10" + bytes(7) + b"\x81\xc8"]
)
def test_the_work_for_hostile_bytes_grows_with_their_number_only(unit: bytes) -> None:
    few, many = (bytes_looked_at(unit * (n // len(unit))) for n in (4_000, 16_000))
    assert many <= 5 * few + 1_000


@settings(max_examples=300)
@given(data=st.data())
def test_a_flipped_bit_is_never_accepted(data: st.DataObject) -> None:
    broken = bytearray(GOOD)
    broken[data.draw(st.integers(0, len(GOOD) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert codec.deframer(METER, "901F")(bytes(broken)).frame is None


@given(data=st.data())
def test_a_missing_or_an_added_byte_is_never_accepted_as_another_value(data: st.DataObject) -> None:
    broken = bytearray(GOOD)
    where = data.draw(st.integers(0, len(GOOD) - 1))
    if data.draw(st.booleans()):
        del broken[where]
    else:
        broken.insert(where, data.draw(st.integers(0, 255)))
    frame = codec.deframer(METER, "901F")(bytes(broken)).frame
    assert frame in (None, GOOD)


@pytest.mark.parametrize(
    ("asked", "came", "accepted"),
    [
        (codec.WILDCARD, ADDRESS, True),
        (codec.WILDCARD, codec.WILDCARD, True),
        ("0011223344", ADDRESS, True),
        ("0011223345", ADDRESS, False),
        (ADDRESS, codec.WILDCARD, False),
        (ADDRESS, "00000011223344", False),
    ],
)
def test_a_reply_counts_when_its_address_is_the_asked_one_or_the_wildcard_covers_it(
    asked: str, came: str, accepted: bool
) -> None:
    raw = reply_frame(address=codec.address_bytes(came))
    station = Station(0x10, codec.address_bytes(asked))
    assert (codec.deframer(station, "901F")(raw).frame is not None) is accepted


@pytest.mark.parametrize(("asked", "accepted"), [(0xAA, True), (0x10, True), (0x11, False)])
def test_a_reply_counts_when_its_type_is_the_asked_one_or_any_was(asked: int, accepted: bool) -> None:
    assert (codec.deframer(Station(asked, WIRE), "901F")(GOOD).frame is not None) is accepted


# --- answers ---


@pytest.mark.parametrize(("data", "code"), [("00 05 01", 0x0105), ("90 1F 00 02", 0x02), ("00", 0), ("", 0)])
def test_a_refusal_carries_the_meters_status(data: str, code: int) -> None:
    raw = codec.build(Frame(0x10, WIRE, 0xC1, bytes.fromhex(data)))
    assert codec.deframer(METER, "901F")(raw).frame == raw
    with pytest.raises(Refused) as refused:
        codec.answer(raw)
    assert (refused.value.code, refused.value.reason) == (code, f"exception:{code}")


def test_a_reply_without_running_number_is_a_bad_frame() -> None:
    raw = codec.build(Frame(0x10, WIRE, 0x81, b"\x90\x1f"))
    with pytest.raises(BadFrame):
        codec.answer(raw)


# --- the valve ---


@pytest.mark.parametrize(
    ("opened", "frame"),
    [
        (True, "FE FE FE 68 10 01 13 12 19 00 00 00 04 04 A0 17 01 55 CC 16"),
        (False, "FE FE FE 68 10 01 13 12 19 00 00 00 04 04 A0 17 01 99 10 16"),
    ],
)
def test_a_valve_command_is_the_frame_that_a_maker_prints(opened: bool, frame: str) -> None:
    station = Station(0x10, codec.address_bytes("00000019121301"))
    assert codec.valve_request(station, opened, 1, wake_up=3) == bytes.fromhex(frame)


def test_a_valve_command_goes_in_the_order_of_bytes_that_the_meter_knows() -> None:
    request = codec.parse(codec.valve_request(METER, True, 7, low_first=True, wake_up=0))
    assert (request.control, request.data) == (codec.WRITE, b"\x17\xa0\x07\x55")


def test_the_reply_to_a_valve_command_gives_the_state_before_it_moves() -> None:
    raw = reply_frame(b"\x01\x00", control=0x84, di=b"\xa0\x17")
    deframe = codec.deframer(METER, codec.VALVE, codec.WRITE)
    assert deframe(GOOD + raw).frame == raw
    assert codec.valve_answer(raw) == 1
    assert codec.valve_answer(reply_frame(b"", control=0x84, di=b"\xa0\x17")) is None


def test_a_refused_valve_command_says_so() -> None:
    raw = codec.build(Frame(0x10, WIRE, 0xC4, b"\x07\x02\x00"))
    assert codec.deframer(METER, codec.VALVE, codec.WRITE)(raw).frame == raw
    with pytest.raises(Refused, match="0002"):
        codec.valve_answer(raw)
