"""Entries as lines, and back."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_sync.errors import NotALine
from cloud_sync.line_parser import parse_lines
from cloud_sync.line_protocol import format_entry
from cloud_sync.outbox import Entry


def entry(measurement="meter", tags=None, fields=None, at=1_764_547_200_000):
    return Entry(1, measurement, tags or {}, {"v": 1.0} if fields is None else fields, at)


def test_a_line_has_sorted_tags_typed_fields_and_milliseconds():
    line = format_entry(
        entry(tags={"space": "r301", "building": "b1"}, fields={"power": 5, "on": True, "mode": "auto"})
    )
    assert line == b'meter,building=b1,space=r301 power=5.0,on=true,mode="auto" 1764547200000'


def test_delimiters_are_escaped_by_place():
    line = format_entry(entry("a b,c=d", {"k =,": "v =,"}, {"f =,": 'say "hi"\\\n'}))
    assert line == b'a\\ b\\,c=d,k\\ \\=\\,=v\\ \\=\\, f\\ \\=\\,="say \\"hi\\"\\\\\n" 1764547200000'


def test_an_empty_tag_value_is_omitted():
    assert format_entry(entry(tags={"building": "", "space": "x"})).startswith(b"meter,space=x ")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (5, b"5.0"),
        (0.1, b"0.1"),
        (-0.0, b"-0.0"),
        (1e20, b"1.0e+20"),
        (-1e-7, b"-1.0e-07"),
        (1.5e300, b"1.5e+300"),
        (2**70, b"1.1805916207174113e+21"),
    ],
)
def test_numbers_are_always_written_as_floats(number, text):
    assert format_entry(entry(fields={"v": number})).split(b" ")[1] == b"v=" + text


@pytest.mark.parametrize(
    "bad",
    [
        entry(fields={}),
        entry(fields={"v": float("nan")}),
        entry(fields={"v": float("inf")}),
        entry(fields={"v": 10**400}),
        entry(""),
        entry("#comment"),
        entry("two\nlines"),
        entry(tags={"k": "ends in \\"}),
        entry(tags={"k": "\\\\server\\share"}),
        entry(tags={"k": "back\\ slash"}),
        entry(tags={"": "v"}),
        entry(tags={"time": "v"}),
        entry(fields={"time": 1.0}),
        entry(fields={"_field": 1.0}),
        entry(fields={"v": "\ud800"}),
        entry(tags={"k": "\udfff"}),
        entry(at=2**62),
    ],
)
def test_what_servers_would_drop_or_store_differently_is_refused_with_its_reason(bad):
    with pytest.raises(NotALine, match=r"\w"):
        format_entry(bad)


texts = st.text(st.characters(codec="utf-8"), max_size=30)
tricky = st.text(alphabet='\\,= "#\n\té三' + string.ascii_letters, min_size=1, max_size=12)
names = st.one_of(tricky, texts.filter(bool))
values = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.booleans(), texts, tricky)
entries = st.builds(
    Entry,
    id=st.just(1),
    measurement=names,
    tags=st.dictionaries(names, texts | tricky, max_size=4),
    fields=st.dictionaries(names, values, min_size=1, max_size=4),
    at=st.integers(-(2**42), 2**42),
)


@given(st.lists(entries, min_size=1, max_size=3))
def test_what_is_formatted_parses_back_to_itself_whatever_the_text(originals):
    lines = []
    kept = []
    for original in originals:
        try:
            lines.append(format_entry(original))
        except NotALine:
            continue
        kept.append(original)
    points = parse_lines(b"\n".join(lines))
    assert len(points) == len(kept)
    for original, point in zip(kept, points, strict=True):
        assert point.measurement == original.measurement
        assert point.tags == {key: value for key, value in original.tags.items() if value}
        assert point.fields == dict(original.fields)
        assert [type(value) for value in point.fields.values()] == [type(v) for v in original.fields.values()]
        assert point.at == original.at


plain = st.text(alphabet=',= "#é三' + string.ascii_letters, min_size=1, max_size=12)


@given(
    st.builds(
        Entry,
        id=st.just(1),
        measurement=plain.filter(lambda text: text[0] != "#"),
        tags=st.dictionaries(plain.filter(lambda key: key != "time"), plain, max_size=4),
        fields=st.dictionaries(plain.filter(lambda key: key != "time"), values, min_size=1, max_size=3),
        at=st.integers(-(2**42), 2**42),
    )
)
def test_names_with_delimiters_quotes_and_chinese_are_never_refused(original):
    (point,) = parse_lines(format_entry(original))
    assert point.tags == original.tags
