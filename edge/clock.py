"""The wall clock, asked in one place."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from drivers.reading import Millis

Clock = Callable[[], Millis]


def now() -> Millis:
    """Milliseconds since the epoch, UTC."""
    return time.time_ns() // 1_000_000


def rfc3339(at: Millis | None) -> str | None:
    """An instant as RFC 3339 UTC with milliseconds; `None` stays `None`."""
    if at is None:
        return None
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
