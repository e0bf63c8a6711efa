"""SMS-SUBMIT PDUs beside published ones, and long texts in parts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.channels.sms_pdu import MOST_PARTS, Pdu, address, submits
from tests.support.modem import read_submit


def test_a_message_is_the_one_printed_in_a_modems_manual() -> None:
    # Neoway N11 AT command manual, +CMGS in PDU mode: "hello" to 13421839693, length 23, no validity.
    assert submits("13421839693", "hello", 0, validity=None) == [
        Pdu(23, "0001000B813124819396F300080A00680065006C006C006F")
    ]


def test_numbers_are_written_as_the_standard_and_the_manuals_have_them() -> None:
    assert address("13901000453").hex().upper() == "0B813109010054F3"  # Huawei MU509 manual, 6.12.4
    assert address("+46708251358").hex().upper() == "0B916407281553F8"  # the example of many GSM texts
    assert address("110").hex().upper() == "038111F0"


def test_chinese_is_ucs2_in_one_message_up_to_seventy_characters() -> None:
    (pdu,) = submits("13901000453", "华为", 7)
    assert pdu.text.endswith("0008A704534E4E3A")  # text of the Huawei MU509 manual, valid for a day
    (whole,) = submits("13901000453", "警" * 70, 7)
    assert read_submit(whole.text).text == "警" * 70
    assert len(submits("13901000453", "警" * 71, 7)) == 2


def test_a_long_text_comes_in_parts_with_a_header_and_ends_at_the_limit() -> None:
    parts = [read_submit(pdu.text) for pdu in submits("+8613901000453", "火" * 1000, 0xAB)]
    assert [part.part for part in parts] == [(0xAB, MOST_PARTS, n) for n in range(1, MOST_PARTS + 1)]
    assert "".join(part.text for part in parts) == "火" * 67 * MOST_PARTS
    assert {part.number for part in parts} == {"+8613901000453"}


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_no_character_is_torn_apart_and_none_lost(text: str) -> None:
    pdus = submits("110", text, 1)
    assert all(pdu.length == len(pdu.text) // 2 - 1 <= 164 for pdu in pdus)
    joined = "".join(read_submit(pdu.text).text for pdu in pdus)
    assert joined == text or (len(pdus) == MOST_PARTS and text.startswith(joined))
