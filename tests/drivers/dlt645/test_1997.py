"""Meters of DL/T 645-1997: the same frame, other functions, identifiers of two bytes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers.bcd import decode_bcd, encode_bcd
from drivers.contract import Exchange
from drivers.dlt645 import codec
from drivers.dlt645.codec import Frame
from drivers.dlt645.driver import Dlt645Driver
from drivers.dlt645.profile import Dlt645Profile
from drivers.dlt645.settings import Dlt645Device
from drivers.errors import DriverError, NoReply, Refused
from drivers.line.settings import SerialLine
from drivers.reading import Quality, Reading
from drivers.vocabulary import PointSpec
from tests.drivers.dlt645.frames_of import Answering, drive

ADDRESS = "010003635927"
WIRE = codec.address_bytes(ADDRESS)
LINE = SerialLine(id="bus-a", url="serial:/dev/ttyUSB0", baudrate=9600)

CAPTURED = {
    "energy, log of a public Java receiver": (
        ADDRESS, "9010", "FE FE FE FE 68 27 59 63 03 00 01 68 81 06 43 C3 AC 59 47 33 C3 16", 1426.79, 2,
    ),
    "energy, public meter reader": (
        "000014359743", "9010", "68 43 97 35 14 00 00 68 81 06 43 C3 7B 96 57 33 1B 16", 2463.48, 2,
    ),
    "energy, manual of a PLC maker": (
        "000000060507", "9010", "68 07 05 06 00 00 00 68 81 06 43 C3 97 C6 33 33 32 16", 93.64, 2,
    ),
    "energy, public Android reader": (
        "151800161485", "9010", "68 85 14 16 00 18 15 68 81 06 43 C3 7B 95 43 33 BF 16", 1062.48, 2,
    ),
    "voltage, log of a public Java receiver": (
        ADDRESS, "B611", "FE FE FE FE 68 27 59 63 03 00 01 68 81 04 44 E9 56 35 F4 16", 223.0, 0,
    ),
    "voltage, manual of a gateway maker": (
        "000000000003", "B611", "68 03 00 00 00 00 00 68 81 04 44 E9 33 34 EC 16", 100.0, 0,
    ),
    "power, public reader of a metering socket": (
        "360621121120", "B630", "68 20 11 12 21 06 36 68 81 05 63 E9 33 33 33 DB 16", 0.0, 4,
    ),
    "energy of a meter that answers a wildcard with a wildcard": (
        codec.WILDCARD, "9010", "68 AA AA AA AA AA AA 68 81 06 43 C3 94 A5 35 33 FA 16", 272.61, 2,
    ),
}  # fmt: skip
REQUESTS = {
    "68 27 59 63 03 00 01 68 01 02 43 C3 C0 16": (ADDRESS, "9010"),
    "68 27 59 63 03 00 01 68 01 02 45 E9 E8 16": (ADDRESS, "B612"),
    "68 03 00 00 00 00 00 68 01 02 44 E9 03 16": ("000000000003", "B611"),
    "68 AA AA AA AA AA AA 68 01 02 43 C3 D5 16": (codec.WILDCARD, "9010"),
}


def reply_frame(di: str, data: bytes, control: int = 0x81) -> bytes:
    return codec.build(Frame(WIRE, control, bytes.fromhex(di)[::-1] + data))


GOOD = reply_frame("B611", b"\x23\x02")


@pytest.mark.parametrize("name", CAPTURED)
def test_a_captured_reply_gives_the_value_its_source_states(name: str) -> None:
    address, di, reply, value, decimals = CAPTURED[name]
    found = codec.deframer(codec.address_bytes(address), di)(bytes.fromhex(reply))
    assert found.frame is not None
    assert found.fault == ""
    assert decode_bcd(codec.answer(found.frame).data, decimals) == value


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_captured_request_is_what_we_would_send(request_: str) -> None:
    address, di = REQUESTS[request_]
    assert codec.read_request(codec.address_bytes(address), di, 0) == bytes.fromhex(request_)


def test_a_frame_of_2007_is_never_taken_for_one_of_1997_nor_the_other_way_round() -> None:
    of_2007 = codec.build(Frame(WIRE, 0x91, bytes.fromhex("02010100")[::-1] + b"\x05\x23"))
    begins_alike = codec.build(Frame(WIRE, 0x91, bytes.fromhex("0101B611")[::-1] + b"\x05\x23"))
    for other in (of_2007, begins_alike):
        assert codec.deframer(WIRE, "B611")(other) == (None, len(other), "late")
        assert codec.deframer(WIRE, "B611")(other + GOOD).frame == GOOD
    for di in ("02010100", "0101B611"):
        assert codec.deframer(WIRE, di)(GOOD) == (None, len(GOOD), "late")
        refused = codec.build(Frame(WIRE, 0xC1, b"\x02"))
        assert codec.deframer(WIRE, di)(refused).frame is None


@given(control=st.integers(0, 255), data=st.binary(max_size=30))
def test_only_functions_of_1997_answer_a_question_of_1997(control: int, data: bytes) -> None:
    raw = codec.build(Frame(WIRE, control, bytes.fromhex("B611")[::-1] + data))
    accepted = codec.deframer(WIRE, "B611")(raw).frame is not None
    assert accepted is (control & 0x9F == 0x81)


@settings(max_examples=300)
@given(data=st.data())
def test_a_flipped_bit_is_never_accepted(data: st.DataObject) -> None:
    broken = bytearray(GOOD)
    broken[data.draw(st.integers(0, len(GOOD) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert codec.deframer(WIRE, "B611")(bytes(broken)).frame is None


@given(raw=st.binary(max_size=400), cut=st.integers(0, 400))
def test_random_bytes_never_raise_and_a_reply_behind_them_is_found_at_any_split(raw: bytes, cut: int) -> None:
    deframe = codec.deframer(WIRE, "B611")
    stream = raw + GOOD
    found = deframe(stream[:cut])
    rest = stream[found.end :] if found.frame is None else b""
    assert found.frame in (None, GOOD)
    if found.frame is None:
        assert deframe(rest).frame == GOOD


@pytest.mark.parametrize(
    ("word", "reason"), [(0x01, "exception:1"), (0x02, codec.NO_SUCH_DATA), (0x04, "exception:4")]
)
def test_a_refusal_carries_the_error_word(word: int, reason: str) -> None:
    raw = codec.build(Frame(WIRE, 0xC1, bytes([word])))
    with pytest.raises(Refused) as refused:
        codec.answer(raw)
    assert (refused.value.code, refused.value.reason) == (word, reason)


# --- the driver ---

POINTS: dict[str, Any] = {
    "energy_import": {"di": "9010", "block": 0},
    "energy_import_t1": {"di": "9011", "block": 1},
    "voltage_l1": {"di": "B611", "bytes": 2, "decimals": 0, "block": 0},
    "voltage_l2": {"di": "B612", "bytes": 2, "decimals": 0, "block": 1},
    "power_factor": {"di": "B650", "bytes": 2, "decimals": 3},
}
DATA = {
    "901F": "79261400 10000000",
    "B61F": "2302 2402",
    "B650": "5009",
    "9010": "79261400",
    "9011": "10000000",
    "B611": "2302",
}


def profile_of(points: dict[str, Any]) -> Dlt645Profile:
    return Dlt645Profile.model_validate(
        {
            "id": "meter", "maker": "any", "model": "any", "kind": "electricity_meter",
            "source": "DL/T 645-1997 annex A", "family": "dlt645", "points": points,
        }
    )  # fmt: skip


def driver(points: dict[str, Any] = POINTS) -> Dlt645Driver:
    device = Dlt645Device(
        id="em-1", space="r", line="bus-a", profile="meter", protocol="dlt645", address=ADDRESS
    )
    specs = {name: PointSpec(unit="u", zh=name, en=name, min=-1e9, max=1e9) for name in points}
    return Dlt645Driver(device, profile_of(points), specs, LINE)


def meter(data: dict[str, str], log: list[str]) -> Answering:
    """Answers what it has and refuses the rest."""

    def answer(exchange: Exchange) -> bytes:
        request = codec.parse(exchange.request.lstrip(b"\xfe"))
        assert request.control == codec.READ_1997
        di = request.data[::-1].hex().upper()
        log.append(di)
        if di not in data:
            return codec.build(Frame(WIRE, 0xC1, b"\x02"))
        return reply_frame(di, bytes.fromhex(data[di]))

    return answer


def values(readings: list[Reading]) -> dict[str, float | str | None]:
    return {r.point: r.value if r.quality is Quality.GOOD else f"<{r.reason}>" for r in readings}


def test_a_round_reads_blocks_by_the_names_of_1997() -> None:
    log: list[str] = []
    readings = drive(driver().poll(0), meter(DATA, log))
    assert log == ["901F", "B61F", "B650"]
    assert values(readings) == {
        "energy_import": 1426.79,
        "energy_import_t1": 0.1,
        "voltage_l1": 223.0,
        "voltage_l2": 224.0,
        "power_factor": 0.95,
    }


def test_the_aa_behind_a_block_is_no_item() -> None:
    readings = drive(driver().poll(0), meter(DATA | {"901F": "79261400 10000000 AA"}, []))
    assert values(readings)["energy_import_t1"] == 0.1


def test_a_refused_block_is_read_item_by_item_from_then_on() -> None:
    log: list[str] = []
    data = {di: text for di, text in DATA.items() if di != "B61F"}
    readings = values(drive(driver().poll(0), meter(data, log)))
    assert (readings["voltage_l1"], readings["voltage_l2"]) == (223.0, "<not_supported>")
    assert log == ["901F", "B61F", "B611", "B612", "B650"]


def following_meter(parts: list[bytes], asked: list[bool]) -> Answering:
    """Sends a block in several frames and, as its edition has it, counts them by itself."""
    state = {"next": 0}

    def answer(exchange: Exchange) -> bytes | DriverError:
        request = codec.parse(exchange.request.lstrip(b"\xfe"))
        asked.append(exchange.repeatable)
        state["next"] = 0 if request.control == codec.READ_1997 else state["next"] + 1
        if state["next"] >= len(parts):
            return NoReply("nothing follows")
        more = 0x20 if state["next"] < len(parts) - 1 else 0
        control = 0x80 | request.control | more
        return codec.build(Frame(WIRE, control, request.data + parts[state["next"]]))

    return answer


def test_an_answer_in_several_frames_is_put_together_and_its_questions_are_never_repeated() -> None:
    whole = b"".join(encode_bcd(n, 4, 2) for n in range(16))
    points: dict[str, Any] = {f"e{n}": {"di": f"901{n:X}", "block": n} for n in range(15)}
    asked: list[bool] = []
    readings = drive(driver(points).poll(0), following_meter([whole[:30], whole[30:40], whole[40:]], asked))
    assert [r.value for r in readings] == [float(n) for n in range(15)]
    assert asked == [True, False, False]


def test_identifiers_of_two_editions_do_not_mix() -> None:
    with pytest.raises(ValidationError, match="do not mix"):
        profile_of({"a": {"di": "9010"}, "b": {"di": "00010000"}})
    assert profile_of(POINTS).variant == "1997"
    assert profile_of({"b": {"di": "00010000"}}).variant == "2007"
