"""Server answers against what the uploader must do."""

import json

import pytest

from cloud_sync.answers import judge, retry_after
from cloud_sync.errors import Blocked, Failed, Rejected, Throttled, TooLarge, Unreachable

NOW = 1_764_547_200_000  # Mon, 01 Dec 2025 00:00:00 GMT


def influx(message, code="invalid"):
    return json.dumps({"code": code, "message": message})


V3_PARTIAL = json.dumps(
    {
        "error": "partial write of line protocol occurred",
        "data": [{"error_message": "invalid column type", "line_number": 2, "original_line": "m v=1i"}],
    }
)


@pytest.mark.parametrize(
    ("status", "body", "expected", "reason"),
    [
        (200, "<html>login</html>", Unreachable, "intercepted"),
        (200, "{}", Unreachable, "intercepted"),
        (202, "", Unreachable, "intercepted"),
        (302, "", Unreachable, "redirected to http://portal.invalid/"),
        (307, "", Unreachable, "redirected"),
        (400, influx("unable to parse 'x': missing fields"), Rejected, "missing fields"),
        (400, '{"error":"partial write: field type conflict: dropped=1"}', Rejected, "conflict"),
        (400, V3_PARTIAL, Rejected, "invalid column type"),
        (400, influx("invalid database name"), Failed, "invalid database name"),
        (400, "<html>plain HTTP request sent to HTTPS port</html>", Failed, "bad request"),
        (401, influx("unauthorized access", "unauthorized"), Blocked, "unauthorized access"),
        (403, influx("insufficient permissions for write"), Blocked, "insufficient"),
        (404, influx('bucket "x" not found'), Blocked, "bucket"),
        (404, "<html>Not Found</html>", Blocked, "refused"),
        (405, "", Blocked, "refused"),
        (408, "", Failed, "bad request"),
        (413, "<html>413</html>", TooLarge, "too large"),
        (
            422,
            influx("failure writing points to database: partial write: x dropped=3"),
            Rejected,
            "dropped=3",
        ),
        (422, "", Rejected, "unprocessable"),
        (429, influx("rate limit"), Throttled, "rate limit"),
        (500, influx("unexpected error writing points to database: partial write: a"), Rejected, "partial"),
        (500, influx("engine: cache-max-memory-size exceeded"), Failed, "cache-max"),
        (502, "<html>Bad Gateway</html>", Failed, "server error"),
        (503, "", Throttled, "wait"),
        (504, "", Failed, "server error"),
    ],
)
def test_each_answer_has_its_reaction(status, body, expected, reason):
    error = judge(status, {"Location": "http://portal.invalid/"}, body, NOW)
    assert type(error) is expected
    assert error.status == status
    assert reason in error.reason


def test_only_204_is_success():
    assert judge(204, {}, "", NOW) is None


def test_the_error_header_of_1_x_is_read_when_there_is_no_body():
    error = judge(400, {"X-Influxdb-Error": "unable to parse 'x'"}, "", NOW)
    assert isinstance(error, Rejected)
    assert error.reason == "unable to parse 'x'"


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        (None, None),
        ("7", 7_000),
        (" 0 ", 0),
        ("-3", None),
        ("soon", None),
        ("Mon, 01 Dec 2025 00:00:30 GMT", 30_000),
        ("Sun, 30 Nov 2025 23:00:00 GMT", 0),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(header, wait):
    assert retry_after(header, NOW) == wait


def test_a_hostile_body_is_cut_and_parsed_without_harm():
    error = judge(500, {}, "[" * 100_000, NOW)
    assert isinstance(error, Failed)
    assert len(error.reason) <= 500
