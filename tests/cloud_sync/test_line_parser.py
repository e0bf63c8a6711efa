"""The strict parser of the stand-in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_sync.line_parser import LineFault, parse_lines


def test_all_field_types_of_line_protocol_are_read():
    (point,) = parse_lines(b'm,t=x a=1,b=-2.5e3,c=7i,d=8u,e=t,f=FALSE,g="x, \\"y\\" z" 5')
    assert point.fields == {"a": 1.0, "b": -2500.0, "c": 7, "d": 8, "e": True, "f": False, "g": 'x, "y" z'}
    assert (point.measurement, point.tags, point.at) == ("m", {"t": "x"}, 5)


def test_comments_and_empty_lines_are_skipped_and_counted():
    points = parse_lines(b'# head\n\nm v="a\nb" 1\nm v="c" 2\n')
    assert [(point.line, point.fields["v"]) for point in points] == [(3, "a\nb"), (5, "c")]


@pytest.mark.parametrize(
    "line",
    [
        b"m",
        b"m v=1",
        b"m  v=1 1",
        b"m v=1  1",
        b"m v= 1",
        b"m v=nan 1",
        b"m v=1.2.3 1",
        b"m v=1 1.5",
        b"m v=1 1 ",
        b'm v="open 1',
        b'm v="x"y 1',
        b"m,t= v=1 1",
        b"m,t v=1 1",
        b"m,t=a,t=b v=1 1",
        b"m v=1,v=2 1",
        b"m v=1, 1",
        b",t=a v=1 1",
        b"m v=yes 1",
        b"m v=1 x",
    ],
)
def test_a_fault_is_told_with_its_line(line):
    with pytest.raises(LineFault) as caught:
        parse_lines(b"ok v=1 1\n" + line)
    assert caught.value.line == 2


@given(st.binary(max_size=200) | st.text(alphabet='m,t=v "1\\\n#iu.e+-', max_size=60).map(str.encode))
def test_garbage_is_a_fault_or_points_and_nothing_else(body):
    try:
        points = parse_lines(body)
    except LineFault:
        return
    assert all(point.fields for point in points)
