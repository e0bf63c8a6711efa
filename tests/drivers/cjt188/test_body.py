"""What stands in replies: units, both orders of them, clocks and status words."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from drivers.cjt188 import body
from drivers.cjt188.body import LAYOUTS, PLAIN_UNIT, SIZES, UNITS, Quantity, Unreadable

VOLUME = LAYOUTS["flow"]["volume"]
HEAT = LAYOUTS["heat"]["heat"]


def heat_body(first: bool, values: tuple[float, ...] = (40.0, 78.56, 12.34, 1.25, 3456.78)) -> bytes:
    places = [place for place in LAYOUTS["heat"].values() if place.quantity is not None]
    numbers = [body.encode_number(p, v, 2, first, None) for p, v in zip(places, values, strict=True)]
    return b"".join(numbers) + bytes.fromhex("506500 254500 452301 30150802032620 0000")


def test_every_layout_fills_its_body() -> None:
    for layout, places in LAYOUTS.items():
        assert max(place.at + place.size for place in places.values()) == SIZES[layout]
    assert len(heat_body(False)) == SIZES["heat"]


@pytest.mark.parametrize(
    ("code", "value"),
    [
        (0x2C, 12.34), (0x29, 0.01234),
    ],
)  # fmt: skip
def test_volumes_come_in_cubic_metres(code: int, value: float) -> None:
    assert body.number(VOLUME, bytes.fromhex("34120000") + bytes([code]), 2, False) == value


@pytest.mark.parametrize(
    ("code", "kwh"),
    [
        (0x02, 0.1), (0x05, 100.0), (0x08, 100_000.0), (0x0A, 10_000_000.0), (0x01, 0.000028),
        (0x0B, 0.027778), (0x0E, 27.777778), (0x11, 27_777.777778), (0x13, 2_777_777.777778),
    ],
)  # fmt: skip
def test_energies_come_in_kilowatt_hours(code: int, kwh: float) -> None:
    place = LAYOUTS["settlement"]["settled_heat"]
    assert body.number(place, bytes.fromhex("00000100") + bytes([code]), 2, False) == pytest.approx(kwh)


@pytest.mark.parametrize("code", sorted(set(range(256)) - set(UNITS)))
def test_an_unknown_unit_is_never_taken_for_cubic_metres(code: int) -> None:
    with pytest.raises(Unreadable) as caught:
        body.number(VOLUME, bytes.fromhex("34120000") + bytes([code]), 2, False)
    assert caught.value.reason == "unit"


def test_a_unit_of_another_quantity_is_as_bad_as_an_unknown_one() -> None:
    with pytest.raises(Unreadable, match="no unit of m3"):
        body.number(VOLUME, bytes.fromhex("34120000 05"), 2, False)


@pytest.mark.parametrize("unit", ["2C", "FF", "00"])
def test_all_ff_is_not_available_whatever_the_unit(unit: str) -> None:
    assert body.number(VOLUME, bytes.fromhex("FFFFFFFF" + unit), 2, False) is None


def test_a_nibble_that_is_no_digit_is_a_bad_value() -> None:
    with pytest.raises(Unreadable) as caught:
        body.number(VOLUME, bytes.fromhex("3A1200002C"), 2, False)
    assert caught.value.reason == "not_bcd"


@given(
    code=st.sampled_from(sorted(UNITS)),
    digits=st.integers(0, 99_999_999),
    decimals=st.integers(0, 4),
    first=st.booleans(),
)
def test_a_quantity_survives_the_round_trip(code: int, digits: int, decimals: int, first: bool) -> None:
    quantity, factor = UNITS[code]
    assume(factor == 1.0)
    place = HEAT._replace(quantity=quantity)
    value = digits / 10**decimals
    raw = bytes(5) + body.encode_number(place, value, decimals, first, code)
    assert body.number(place, raw, decimals, first) == value


@pytest.mark.parametrize("first", [True, False])
def test_a_heat_meters_own_reply_tells_where_its_units_stand(first: bool) -> None:
    raw = heat_body(first)
    assert body.unit_first("heat", raw) is first
    assert body.number(HEAT, raw, 2, first) == 78.56


@given(values=st.tuples(*[st.integers(0, 99_999_999)] * 5), first=st.booleans())
def test_the_order_of_units_is_never_guessed_wrong(values: tuple[int, ...], first: bool) -> None:
    raw = heat_body(first, tuple(value / 100 for value in values))
    assert body.unit_first("heat", raw) in (first, None)


@given(raw=st.binary(min_size=43, max_size=43))
def test_random_bodies_are_read_or_refused_but_never_break(raw: bytes) -> None:
    order = body.unit_first("heat", raw)
    for place in LAYOUTS["heat"].values():
        try:
            value = body.number(place, raw, 2, bool(order))
        except Unreadable as error:
            assert error.reason in ("unit", "not_bcd")
        else:
            assert value is None or value >= 0


def test_one_unknown_unit_leaves_the_order_open() -> None:
    raw = bytearray(heat_body(False))
    raw[4] = 0x77
    assert body.unit_first("heat", bytes(raw)) is None


@pytest.mark.parametrize(
    ("item", "moment"),
    [
        ("59541619081720", "2017-08-19T16:54:59"),
        ("20200528205824", "2020-05-28T20:58:24"),
        ("00000000000000", None),
        ("FFFFFFFFFFFFFF", None),
        ("00000001012620", "2026-01-01T00:00:00"),
    ],
)
def test_a_clock_is_read_in_the_order_that_makes_sense(item: str, moment: str | None) -> None:
    assert body.clock(bytes.fromhex(item)) == moment


@pytest.mark.parametrize("item", ["99999999999999", "59541632081720", "20201320000000", "5954161908172A"])
def test_a_nonsense_clock_is_a_bad_value(item: str) -> None:
    with pytest.raises(Unreadable) as caught:
        body.clock(bytes.fromhex(item))
    assert caught.value.reason == "clock"


@given(moment=st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)))  # noqa: DTZ001 - a meter has no zone
def test_a_clock_survives_the_round_trip(moment: datetime) -> None:
    text = moment.replace(microsecond=0).isoformat()
    assume(
        body.encode_clock(text)[0] != 0x20
    )  # might be a century, and is then read the standard's way first
    assert body.clock(body.encode_clock(text)) == text


@given(item=st.binary(min_size=7, max_size=7))
def test_random_clocks_never_break(item: bytes) -> None:
    try:
        body.clock(item)
    except Unreadable as error:
        assert error.reason == "clock"


def test_a_status_word_has_its_first_byte_low() -> None:
    assert body.status(b"\x21\x84") == 0x8421
    assert body.status(b"\xff\xff") is None
    assert body.bits_of(0x8421, (0, 1)) == 1
    assert body.bits_of(0b1100, (2, 3)) == 3
    assert body.bits_of(0b1000, (3, 2)) == 1


def test_each_quantity_has_a_plain_unit() -> None:
    assert {UNITS[code] for code in PLAIN_UNIT.values()} == {(quantity, 1.0) for quantity in Quantity}
