"""What a server's answer to a write means; pure.

Only 204 is success: proxies and captive portals like to answer 200. The classes follow
the handlers of InfluxDB 1.x, 2.x and 3 and of the proxies before them; early 2.0 answers
500 where later ones answer 422, so the message counts beside the status.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from cloud_sync.errors import Blocked, Failed, Rejected, Throttled, TooLarge, Unreachable, UploadError
from drivers.reading import Millis

_SUCCESS = 204
_ABOUT_LINES = re.compile(
    r"partial write|dropped|unable to parse|conflict|retention|time outside|\blines?\b|\bfield\b|\btag\b"
    r"|\btimestamp\b|\bmeasurement\b",
    re.IGNORECASE,
)
_REASON_CHARS = 500


def judge(status: int, headers: Mapping[str, str], body: str, at: Millis) -> UploadError | None:
    """None for success, else the error to raise.

    `headers` must look names up without regard to case; `at` is now, for a Retry-After
    that is a date.
    """
    if status == _SUCCESS:
        return None
    reason = explain(headers, body)
    if status in (429, 503):
        return Throttled(reason or "asked to wait", status, retry_after(headers.get("Retry-After"), at))
    if status < 400:
        return _foreign(status, headers)
    if status >= 500:
        partial = "partial write" in reason.lower()
        return (Rejected if partial else Failed)(reason or "server error", status)
    if status == 413:
        return TooLarge(reason or "request entity too large", status)
    if status == 422 or (status == 400 and _ABOUT_LINES.search(reason)):
        return Rejected(reason or "unprocessable", status)
    if status in (400, 408):
        return Failed(reason or "bad request", status)
    return Blocked(reason or "refused", status)


def _foreign(status: int, headers: Mapping[str, str]) -> UploadError:
    if 300 <= status < 400:
        return Unreachable(
            f"redirected to {headers.get('Location', 'nowhere')[:200]}: uplink intercepted", status
        )
    return Unreachable("answered, but not as InfluxDB does: uplink intercepted", status)


def explain(headers: Mapping[str, str], body: str) -> str:
    """The server's own words: JSON `message` or `error` with its first line error, the
    error header of 1.x, else the beginning of a plain body."""
    text = ""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, dict):
        text = _text(answer.get("message")) or _text(answer.get("error"))
        details = answer.get("data")
        if isinstance(details, list) and details and isinstance(details[0], dict):
            text = f"{text}: {_text(details[0].get('error_message'))}"
    text = text or headers.get("X-Influxdb-Error", "")
    if not text and "<" not in body:
        text = body
    return " ".join(text.split())[:_REASON_CHARS]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def retry_after(header: str | None, at: Millis) -> Millis | None:
    """The wait that a Retry-After header asks for (RFC 9110, 10.2.3), None when unreadable."""
    if header is None:
        return None
    header = header.strip()
    if re.fullmatch(r"\d{1,9}", header):
        return int(header) * 1000
    try:
        when = parsedate_to_datetime(header)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    elapsed = when - datetime(1970, 1, 1, tzinfo=UTC)
    return max(0, round(elapsed.total_seconds() * 1000) - at)
