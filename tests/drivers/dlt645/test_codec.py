"""DL/T 645-2007 frames: captured ones, a second implementation, and everything that a wire does to them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest
from dlt645.protocol.protocol import DLT645Protocol  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.bcd import decode_bcd, decode_time, encode_bcd, encode_time
from drivers.contract import Found
from drivers.dlt645 import codec
from drivers.errors import BadFrame, Refused
from tests.drivers.dlt645.frames_of import SAMPLES, Sample

ADDRESS = "202211304417"
WIRE = codec.address_bytes(ADDRESS)
VOLTAGE = "02010100"
digits = st.text("0123456789", min_size=12, max_size=12)


def reply_frame(data: bytes, *, control: int = 0x91, address: bytes = WIRE, di: str = VOLTAGE) -> bytes:
    return codec.build(codec.Frame(address, control, bytes.fromhex(di)[::-1] + data))


GOOD = reply_frame(b"\x05\x23")


def by_id(sample: Sample) -> str:
    return sample.name


@pytest.mark.parametrize("sample", SAMPLES, ids=by_id)
def test_a_captured_reply_gives_the_values_its_source_states(sample: Sample) -> None:
    found = codec.deframer(codec.address_bytes(sample.address), sample.di)(sample.reply)
    assert found.frame is not None
    assert found.fault == sample.fault
    if sample.error_word:
        with pytest.raises(Refused) as refused:
            codec.answer(found.frame)
        assert refused.value.code == sample.error_word
        return
    items = codec.split(codec.answer(found.frame).data, sample.size)
    assert items is not None
    assert [decode_bcd(item, sample.decimals, sample.signed) for item in items] == list(sample.values)


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.request], ids=by_id)
def test_a_captured_request_is_what_we_would_send(sample: Sample) -> None:
    wake_up = len(sample.request) - len(sample.request.lstrip(b"\xfe"))
    assert codec.read_request(codec.address_bytes(sample.address), sample.di, wake_up) == sample.request


@pytest.mark.parametrize("sample", SAMPLES, ids=by_id)
def test_the_other_implementation_reads_the_same_frame(sample: Sample) -> None:
    found = codec.deframer(codec.address_bytes(sample.address), sample.di)(sample.reply)
    assert found.frame is not None
    theirs = DLT645Protocol.deserialize(found.frame)
    ours = codec.parse(found.frame)
    assert theirs is not None
    assert (bytes(theirs.addr), theirs.ctrl_code, bytes(theirs.data)) == tuple(ours)


@given(address=digits, control=st.integers(0, 255), data=st.binary(max_size=200), wake_up=st.integers(0, 4))
def test_both_implementations_build_the_same_frame(
    address: str, control: int, data: bytes, wake_up: int
) -> None:
    ours = codec.build(codec.Frame(codec.address_bytes(address), control, data), wake_up)
    theirs = DLT645Protocol.build_frame(bytes.fromhex(address)[::-1], control, data, wake_up)
    assert ours == bytes(theirs)


@given(address=digits, control=st.integers(0, 255), data=st.binary(max_size=200))
def test_a_frame_survives_the_round_trip(address: str, control: int, data: bytes) -> None:
    frame = codec.Frame(codec.address_bytes(address), control, data)
    assert codec.parse(codec.build(frame)) == frame


@pytest.mark.parametrize("raw", [b"", b"\x68", GOOD[:-1], GOOD + b"\x00", b"\xfe" + GOOD])
def test_what_is_not_exactly_one_frame_does_not_open(raw: bytes) -> None:
    with pytest.raises(BadFrame):
        codec.parse(raw)


# --- finding the reply ---

ECHO = codec.read_request(WIRE, VOLTAGE, 0)
BEFORE = {
    "nothing": (b"", ""),
    "four wake-up bytes": (b"\xfe" * 4, ""),
    "forty wake-up bytes": (b"\xfe" * 40, ""),
    "noise between wake-up and start": (b"\xfe\xfe\x00\x9c\x16", "noise"),
    "a doubled start byte": (b"\x68", "noise"),
    "the echo of the request": (b"\xfe\xfe" + ECHO, "echo"),
    "another meter's reply": (
        reply_frame(b"\x05\x23", address=codec.address_bytes("1" * 12)),
        "wrong_address",
    ),
    "a late answer to another question": (reply_frame(b"\x05\x23", di="02010200"), "late"),
    "a late following frame": (reply_frame(b"\x05\x23\x01", control=0x92), "late"),
    "a reply with a bad checksum": (GOOD[:-2] + bytes([GOOD[-2] ^ 1, 0x16]), "crc"),
    "a reply without its end byte": (GOOD[:-1] + b"\x00", "crc"),
    "an impossible length": (GOOD[:9] + b"\xc9" + GOOD[10:], "crc"),
    "the head of a longer frame that never came": (b"\x68" + bytes(6) + b"\x68\x91\xc8", "noise"),
}


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("after", [b"", b"\x00\x16", GOOD, b"\x68"])
def test_the_reply_is_found_behind(before: str, after: bytes) -> None:
    junk, fault = BEFORE[before]
    found = codec.deframer(WIRE, VOLTAGE)(junk + GOOD + after)
    assert found == Found(GOOD, len(junk) + len(GOOD), fault)


@pytest.mark.parametrize("value", [b"\x35\x23", b"\xe3\xff", bytes((0x68 - 0x33, 0x16 - 0x33 & 0xFF))])
@pytest.mark.parametrize("address", ["686868686868", "161616161616", "911168681191", "006816916800"])
def test_start_and_end_bytes_inside_a_frame_mislead_nobody(address: str, value: bytes) -> None:
    wire = codec.address_bytes(address)
    raw = reply_frame(value, address=wire)
    for junk in (b"", b"\x68", b"\x68\x68", b"\xfe\x68"):
        assert codec.deframer(wire, VOLTAGE)(junk + raw).frame == raw


@pytest.mark.parametrize("junk", [BEFORE[name][0] for name in BEFORE], ids=list(BEFORE))
def test_every_split_gives_the_same_frame_and_drops_nothing_of_it(junk: bytes) -> None:
    stream = junk + GOOD
    deframe = codec.deframer(WIRE, VOLTAGE)
    for cut in range(len(stream)):
        first = deframe(stream[:cut])
        assert first.frame is None
        assert deframe(stream[first.end :]).frame == GOOD


@given(junk=st.lists(st.sampled_from([0x68, 0x16, 0xFE, 0x91, 0x11, 0x0A, 0x00, 0x17]), max_size=60))
def test_one_byte_at_a_time_is_the_same_as_all_at_once(junk: list[int]) -> None:
    stream = bytes(junk) + GOOD
    deframe = codec.deframer(WIRE, VOLTAGE)
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
    found = codec.deframer(WIRE, VOLTAGE)(raw)
    assert 0 <= found.end <= len(raw)
    if found.frame is None:
        assert len(raw) - found.end < 212  # at most the head of one frame waits


def frames_tried(raw: bytes) -> int:
    """Bytes that the deframer looks at: the sum over its checksums."""

    class Counting(bytes):
        looked = 0

        def __getitem__(self, key):  # type: ignore[no-untyped-def]
            if isinstance(key, slice):
                start, stop, _ = key.indices(len(self))
                Counting.looked += max(0, stop - start)
            return super().__getitem__(key)

    codec.deframer(WIRE, VOLTAGE)(Counting(raw))
    return Counting.looked


@pytest.mark.parametrize("unit", [b"\x68", b"\x68" * 8 + b"\x11\x04", b"\x68" + bytes(6) + b"\x68\x91\xc8"])
def test_the_work_for_hostile_bytes_grows_with_their_number_only(unit: bytes) -> None:
    few, many = (frames_tried(unit * (n // len(unit))) for n in (4_000, 16_000))
    assert many <= 5 * few + 1_000


@settings(max_examples=300)
@given(data=st.data(), value=st.integers(0, 9999))
def test_a_flipped_bit_never_gives_another_value(data: st.DataObject, value: int) -> None:
    raw = reply_frame(encode_bcd(value / 10, 2, 1))
    at, bit = data.draw(st.integers(0, len(raw) - 1)), data.draw(st.integers(0, 7))
    broken = bytearray(raw)
    broken[at] ^= 1 << bit
    assert codec.deframer(WIRE, VOLTAGE)(bytes(broken)).frame is None


@pytest.mark.parametrize(
    ("asked", "came", "accepted"),
    [
        ("AAAAAAAAAAAA", "202211304417", True),
        ("AAAAAAAAAAAA", "AAAAAAAAAAAA", True),
        ("AAAAAAAA4417", "202211304417", True),
        ("AAAAAAAA4418", "202211304417", False),
        ("202211304417", "AAAAAAAAAAAA", False),
    ],
)
def test_a_wildcard_accepts_any_address_and_a_full_one_only_itself(
    asked: str, came: str, accepted: bool
) -> None:
    raw = reply_frame(b"\x05\x23", address=codec.address_bytes(came))
    found = codec.deframer(codec.address_bytes(asked), VOLTAGE)(raw)
    assert (found.frame == raw) is accepted


def test_a_following_frame_must_bear_the_sequence_asked_for() -> None:
    deframe = codec.deframer(WIRE, VOLTAGE, sequence=2)
    assert deframe(reply_frame(b"\x01\x01", control=0xB2)).fault == "late"
    found = deframe(reply_frame(b"\x07\x02", control=0xB2))
    assert found.frame is not None
    assert codec.answer(found.frame) == codec.Answer(b"\x07", more=True)


@pytest.mark.parametrize(
    ("word", "reason"),
    [(0x02, "not_supported"), (0x06, "not_supported"), (0x04, "exception:4"), (0, "exception:0")],
)
def test_an_error_word_is_a_refusal_with_its_reason(word: int, reason: str) -> None:
    raw = codec.build(codec.Frame(WIRE, 0xD1, bytes([word])))
    found = codec.deframer(WIRE, VOLTAGE)(raw)
    assert found.frame == raw
    with pytest.raises(Refused) as refused:
        codec.answer(raw)
    assert (refused.value.code, refused.value.reason) == (word, reason)


# --- numbers ---


def formats() -> Iterator[tuple[int, int, bool]]:
    yield from (
        (4, 2, False),
        (4, 2, True),
        (2, 1, False),
        (3, 3, True),
        (3, 4, True),
        (2, 3, True),
        (2, 2, False),
    )


@given(form=st.sampled_from(list(formats())), data=st.data())
def test_bcd_survives_the_round_trip(form: tuple[int, int, bool], data: st.DataObject) -> None:
    size, decimals, signed = form
    top = 10 ** (2 * size) * (8 if signed else 10) // 10 - 1
    whole = data.draw(st.integers(-top if signed else 0, top))
    number = whole / 10**decimals
    assert decode_bcd(encode_bcd(number, size, decimals, signed), decimals, signed) == number


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("signed", [True, False])
def test_all_ff_is_no_value(size: int, signed: bool) -> None:
    assert decode_bcd(b"\xff" * size, 1, signed) is None


@pytest.mark.parametrize("item", ["0A23", "A023", "F000", "FF22", "22FF"])
def test_a_nibble_that_is_no_digit_is_refused(item: str) -> None:
    with pytest.raises(ValueError, match="BCD"):
        decode_bcd(bytes.fromhex(item), 1, False)


def test_the_sign_bit_counts_only_where_the_format_has_one() -> None:
    item = bytes.fromhex("345692")
    assert decode_bcd(item, 4, True) == -12.5634
    assert decode_bcd(item, 4, False) == 92.5634


def test_minus_zero_is_zero() -> None:
    number = decode_bcd(bytes.fromhex("000080"), 3, True)
    assert str(number) == "0.0"


# A meter's clock has no zone.
FIRST, LAST = datetime(2000, 1, 2), datetime(2099, 12, 31)  # noqa: DTZ001


@given(st.datetimes(min_value=FIRST, max_value=LAST), st.sampled_from([5, 6]))
def test_a_time_of_an_event_record_goes_there_and_back(moment: datetime, size: int) -> None:
    whole = moment.replace(microsecond=0, second=moment.second if size == 6 else 0)
    text = whole.isoformat(sep=" ")
    assert decode_time(encode_time(text, size)) == text


@pytest.mark.parametrize("item", ["FFFFFFFFFFFF", "000000000000"])
def test_an_event_that_never_happened_has_no_time(item: str) -> None:
    assert decode_time(bytes.fromhex(item)) is None


@pytest.mark.parametrize("item", ["304521031399", "3045210A1126", "AA4521031126"])
def test_what_is_no_date_is_no_time(item: str) -> None:
    with pytest.raises(ValueError):
        decode_time(bytes.fromhex(item))
