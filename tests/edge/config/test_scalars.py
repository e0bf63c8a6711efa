"""What plain scalars mean, and which are refused."""

from __future__ import annotations

import pytest

from edge.config.scalars import resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("0", 0),
        ("-17", -17),
        ("+5", 5),
        ("0x1F", 31),
        ("34.50", 34.5),
        (".5", 0.5),
        ("1.0e3", 1000.0),
        ("0.1", 0.1),
        ("8N1", "8N1"),
        ("8E1", "8E1"),
        ("24e124", "24e124"),
        ("00e1", "00e1"),
        ("30s", "30s"),
        ("2026-09-01", "2026-09-01"),
        ("192.168.3.7", "192.168.3.7"),
        ("-", "-"),
        ("one", "one"),
        ("Norway", "Norway"),
    ],
)
def test_a_plain_scalar_means_what_yaml_1_2_says(text: str, value: object) -> None:
    found = resolve(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["on", "Off", "YES", "no", "y", "N"])
def test_old_switch_words_are_refused_with_both_ways_out(text: str) -> None:
    with pytest.raises(ValueError, match=f'write "{text}", true or false'):
        resolve(text)


@pytest.mark.parametrize(
    "text", ["010", "-01", "00", "007.5", "0_1", "0o17", "0b101", "1_000", "0x1_F", "-0x1F"]
)
def test_numbers_that_readers_disagree_on_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quote it"):
        resolve(text)


@pytest.mark.parametrize("text", ["12:30", "12:30:00", "190:20:30.15", "1:5"])
def test_base_60_numbers_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f'quote it \\("{text}"\\)'):
        resolve(text)


@pytest.mark.parametrize(
    "text", [".nan", "-.inf", "+.INF", "1.0e999", "9" * 41, "1" * 5_000, "0." + "3" * 50]
)
def test_numbers_that_no_number_can_hold_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quote it"):
        resolve(text)
