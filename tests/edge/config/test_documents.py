"""Strict YAML: data with places, or faults with places."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.config.documents import MAX_BYTES, parse, read
from edge.config.fault import ConfigError
from tests.edge.config.support import SCHOOL

_TEXT = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFFFD, exclude_categories=("C", "Z")), max_size=8
)
_DATA = st.dictionaries(
    _TEXT.filter(bool),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**12), 10**12)
        | st.integers(-8000, 8000).map(lambda n: n / 8)
        | _TEXT,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT.filter(bool), inner, max_size=4),
        max_leaves=12,
    ),
    min_size=1,
    max_size=4,
)


def _faults(text: str) -> list[str]:
    try:
        return [str(fault) for fault in parse(text, "f").faults]
    except ConfigError as error:
        return [str(fault) for fault in error.faults]


def test_every_key_and_value_has_its_place_in_characters() -> None:
    document = parse('a: 1\n校名: {b: [x, "y"]}\n', "f")
    path = ("校名", "b", 1)
    assert document.data == {"a": 1, "校名": {"b": ["x", "y"]}}
    assert str(document.fault(path, "here")) == "f:2:13: 校名.b.1: here"
    assert str(document.fault(("校名", "b"), "here", key=True)) == "f:2:6: 校名.b: here"


def test_a_path_that_leads_out_of_the_file_is_placed_at_the_nearest_node_above() -> None:
    document = parse("a:\n  b: {c: 1}\n", "f")
    assert (
        str(document.fault(("a", "b", "missing"), "is required", key=True))
        == "f:2:6: a.b.missing: is required"
    )


def test_keys_are_always_text() -> None:
    document = parse("{on: 1, 010: 2, 12:30: 3, true: 4, 5: 5}", "f")
    assert document.faults == []
    assert list(document.data) == ["on", "010", "12:30", "true", "5"]


def test_quoted_scalars_are_text_whatever_they_look_like() -> None:
    document = parse('{a: "on", b: \'010\', c: "12:30:00", d: "", e: "~"}', "f")
    assert document.data == {"a": "on", "b": "010", "c": "12:30:00", "d": "", "e": "~"}


def test_text_blocks_and_comments_are_fine() -> None:
    document = parse("# 说明\ta tab in a comment\na: |\n  on\n  010\nb: >-\n  one\n  line\n", "f")
    assert document.data == {"a": "on\n010\n", "b": "one line"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "f:1:1: the file is empty"),
        ("# only a comment\n", "f:1:1: the file is empty"),
        ("- a", "f:1:1: expected a mapping"),
        ("text", "f:1:1: expected a mapping"),
        ("a: 1\na: 2", "f:2:1: a: the key a stands here twice (first in line 1)"),
        ("a:\n\tb: 1", "f:2:1: a tab"),
        ("a: &x 1", "f:1:4: a: anchor &x"),
        ("a: *x", "f:1:4: a: alias *x"),
        ("? *x\n: 1", "f:1:3: alias *x"),
        ("a: !!int '1'", "f:1:4: a: tag tag:yaml.org,2002:int"),
        ("a: ! x", "f:1:4: a: tag !"),
        ("a: {<<: {}}", "f:1:5: a.<<: merge keys"),
        ("a: 1\n---\nb: 2", "f:2:1: a second document"),
        ("%YAML 1.1\n---\na: 1", "f:2:1: directives"),
        ("? [a]\n: 1", "f:1:3: a key must be plain text"),
        (": 1", "f:1:1: a key is missing"),
        ("a: \x07", "f:1:4: control character U+0007"),
        ("a: \x85b", "f:1:4: control character U+0085"),
        ('a: "\\x1b[31m"', "f:1:4: a: control character U+001B"),
        ('a: "\\ud800"', "f:1:4: a: control character U+D800"),
        ('{"\\0": 1}', "f:1:2: a control character in a key"),
        ("a: [1, 2", "f:1:9: expected ',' or the closing ']'"),
        ("a: {b: 1", "f:1:9: expected ',' or the closing '}'"),
        ('a: "x\nb: 1', "f:1:4: a quote is opened here"),
        ("a: b: c", "f:1:5: a ':' where no key can stand"),
        ("a:\n  b: 1\n c: 2", "f:3:2: the indentation does not fit"),
        ("a: @b", "f:1:4: text cannot begin with this character"),
        ('a: "\\U00110000"', "not valid YAML"),
        ("a: " + "[" * 40, "nested deeper than 32 levels"),
        ("a:\n" + "- 1\n" * 20_001, "more than 20000 keys and values"),
    ],
)
def test_a_fault_of_form_has_its_place_and_a_sentence(text: str, expected: str) -> None:
    assert any(expected in fault for fault in _faults(text)), _faults(text)


def test_full_width_punctuation_is_found_where_it_stands() -> None:
    colon = "a full-width '\uff1a' is no punctuation to YAML: write ':'"
    assert _faults("# \uff1a\nweb:\n  a\uff1a1\n  b: 2\n") == [f"f:3:4: {colon}"]
    assert (
        "(a full-width '\uff0c' is no punctuation to YAML: write ',')" in _faults("a: {b: 1\uff0c c: 2}")[0]
    )
    assert "full-width" not in _faults("a: [1, 2}  # \uff0c\uff1a")[0]


def test_all_faults_of_single_nodes_are_told_at_once() -> None:
    faults = _faults("a: on\nb: 010\nc: {d: 1, d: 2}\n")
    assert [fault.split(" ")[0] for fault in faults] == ["f:1:4:", "f:2:4:", "f:3:11:"]


def test_line_ends_of_windows_and_a_byte_order_mark_do_not_shift_places(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: on\r\n")
    assert str(read(path).faults[0]).startswith(f"{path}:2:4: b: plain on")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("a: 1\nb: 尚德\n".encode("gbk"), ":2:4: not UTF-8"),
        ("a: 1\n".encode("utf-16"), ":1:1: not UTF-8"),
        (b"a: 1\nb: \x00\n", ":2:4: control character U+0000"),
        (b"a: " + b"x" * MAX_BYTES, ":1:1: larger than 256 kB"),
    ],
)
def test_a_file_that_is_no_text_of_ours_is_refused(tmp_path: Path, raw: bytes, expected: str) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=r"not UTF-8|control character|larger") as caught:
        read(path)
    assert f"{path}{expected}" in str(caught.value)


def test_a_missing_file_and_a_folder_are_faults(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml:1:1: there is no such file"):
        read(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match=r":1:1: this is a folder"):
        read(tmp_path)


@settings(max_examples=60, deadline=None)
@given(_DATA)
def test_json_is_read_as_what_it_says(data: dict[str, object]) -> None:
    document = parse(json.dumps(data, ensure_ascii=False), "f")
    assert document.faults == []
    assert document.data == data


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, len(SCHOOL)),
    st.integers(0, 12),
    st.text(max_size=6) | st.sampled_from(list("\t:{}[]&*!%@`'\"|>-?,#\n")),
)
@example(0, 0, '"\\U00110000')
@example(0, 0, "%YAML 9.9\n")
@example(0, 0, "%TAG ! %zz\n--- !<%zz> ")
def test_a_damaged_file_is_read_or_told_with_a_place_and_never_breaks_the_reader(
    start: int, length: int, patch: str
) -> None:
    text = SCHOOL[:start] + patch + SCHOOL[start + length :]
    lines = text.count("\n") + 1
    for fault in _faults(text):
        line, column = fault.removeprefix("f:").split(":")[:2]
        assert 1 <= int(line) <= lines + 1
        assert int(column) >= 1
