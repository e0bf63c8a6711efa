"""NMEA sentences: captured ones, those that an independent library writes, and garbage."""

from __future__ import annotations

import contextlib

import pynmea2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import BadFrame
from drivers.nmea import codec
from drivers.nmea.codec import Sentence
from tests.drivers.nmea.samples import SAMPLES, Sample

STANDARD = [sample for sample in SAMPLES if sample.line.startswith(b"$")]
TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="$*,!"), max_size=12)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_captured_sentence_is_taken_apart(sample: Sample) -> None:
    sentence = codec.parse(sample.line + b"\r", verified=sample.line.startswith(b"$"))
    assert sentence is not None
    assert (sentence.talker, sentence.type) == (sample.talker, sample.type)
    assert {number: sentence.field(number) for number in sample.fields} == sample.fields
    if sample.items:
        assert [(i.type, i.value, i.unit, i.id) for i in codec.items(sentence)] == sample.items


@pytest.mark.parametrize("sample", STANDARD, ids=lambda sample: sample.name)
def test_pynmea2_finds_the_same_fields(sample: Sample) -> None:
    theirs = pynmea2.parse(sample.line.decode(), check=True)
    ours = codec.parse(sample.line)
    assert ours is not None
    assert (theirs.talker, theirs.sentence_type) == (ours.talker, ours.type)
    assert tuple(theirs.data) == ours.fields


@given(
    st.sampled_from(["WI", "II", "YX", "GP"]),
    st.sampled_from(["MDA", "MWV", "XDR", "HDT", "MTW"]),
    st.lists(TEXT, min_size=1, max_size=24),
)
def test_what_pynmea2_writes_is_read_and_what_we_write_it_reads(
    talker: str, kind: str, fields: list[str]
) -> None:
    theirs = str(pynmea2.NMEASentence.parse(f"${talker}{kind},{','.join(fields)}"))
    assert codec.parse(theirs.encode()) == Sentence(talker, kind, tuple(fields))
    ours = codec.build(Sentence(talker, kind, tuple(fields)))
    assert list(pynmea2.parse(ours.decode(), check=True).data) == fields


@given(st.binary(max_size=300))
def test_random_bytes_raise_nothing_but_bad_frame(line: bytes) -> None:
    with contextlib.suppress(BadFrame):
        sentence = codec.parse(line, verified=False)
        if sentence is not None:
            list(codec.items(sentence))


@given(st.sampled_from(STANDARD), st.data())
def test_one_wrong_byte_never_gives_another_sentence(sample: Sample, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(sample.line) - 1))
    spoilt = bytearray(sample.line)
    spoilt[at] = data.draw(st.integers(0, 255).filter(lambda byte: byte != sample.line[at]))
    try:
        found = codec.parse(bytes(spoilt))
    except BadFrame:
        return
    # the case of a hex digit of the checksum may differ; anything else is refused
    assert found == codec.parse(sample.line)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"$WIMWV,257,R,5.8,N,A*31", "crc"),
        (b"$WIMWV,257,R,5.8,N,A*3", "crc"),
        (b"$WIMWV,257,R,5.8,N,A*", "crc"),
        (b"$WIMWV,257,R,5.8,N,A*3 0", "crc"),
        (b"$WIMWV,257,R,5.8,N,A", "unverified"),
        (b"0R1,Dm=182D", "unverified"),
        (b"0r1,Dm=182DXYZ", "crc"),
        (b"hello", "noise"),
        (b"$--WIQ,XDR*2D", "noise"),
        (b"$$", "unverified"),
    ],
)
def test_a_bad_line_says_what_is_wrong_with_it(line: bytes, reason: str) -> None:
    with pytest.raises(BadFrame) as caught:
        codec.parse(line)
    assert caught.value.reason == reason


def test_junk_before_a_sentence_is_dropped() -> None:
    cut = b"$WIMWV,257,R,5."
    assert codec.parse(cut + b"\x00\xff$WIMWV,257,R,5.8,N,A*30\r") == Sentence(
        "WI", "MWV", ("257", "R", "5.8", "N", "A")
    )


def test_a_maker_s_own_sentence_has_the_talker_p() -> None:
    body = b"PGILT,A,+31,D"
    sentence = codec.parse(b"$%s*%02X" % (body, codec.checksum(body)))
    assert sentence is not None
    assert (sentence.talker, sentence.type) == ("P", "GILT")


def test_a_composite_message_with_crc_is_checked_as_sdi_12_does() -> None:
    # SDI-12 specification 1.4, section 4.4.12: "0+3.14" carries OqZ
    assert codec.composite_crc(b"0+3.14") == b"OqZ"
    message = b"0r2,Ta=24.6C,Ua=36.9P,Pa=1027.6H"
    sentence = codec.parse(message + codec.composite_crc(message) + b"\r")
    assert sentence is not None
    assert (sentence.talker, sentence.type) == ("0", "R2")
    assert [item.id for item in codec.items(sentence)] == ["Ta", "Ua", "Pa"]


@pytest.mark.parametrize("text", ["1e5", "nan", "inf", "--1", "1.2.3", "0x10", "٣", "1_0", "9" * 13])
def test_what_is_no_plain_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no number"):
        codec.number(text)


def test_an_empty_field_is_no_value_and_never_zero() -> None:
    assert codec.number("") is None
    assert codec.number("  ") is None
    assert codec.number(" -0.0") == 0
