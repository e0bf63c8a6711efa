"""How many messages a provider takes: a token bucket with a reserve for life safety; pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from drivers.reading import Millis
from edge.channels.settings import ChannelKind


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` messages at once, refilled at `per_minute`; the last `reserve` are for priority 1.

    So in any minute there are at most `burst + per_minute`, and in any second `per_second`.
    """

    per_minute: float
    burst: int
    reserve: int
    per_second: int | None = None


RATES: Mapping[ChannelKind, Rate] = {
    # Below the providers' own limits in every minute (20; 钉钉 then goes silent for ten) and second
    # (飞书: 100 and 5), rules.md 4.2.
    "wecom": Rate(8, 11, 5),
    "dingtalk": Rate(8, 11, 5),
    "feishu": Rate(60, 30, 5, per_second=4),
    "email": Rate(30, 30, 5),
    "mqtt": Rate(600, 600, 50),
    "webhook": Rate(600, 600, 50),
}


class Bucket:
    """One channel's tokens."""

    def __init__(self, rate: Rate, now: Millis) -> None:
        self._rate = rate
        self._tokens = float(rate.burst)
        self._at = now
        self._sent: deque[Millis] = deque(maxlen=rate.per_second)

    def wait_ms(self, priority: int, now: Millis) -> int:
        """0 and a token is taken, or how long until there is one for this priority."""
        elapsed = max(0, now - self._at)
        self._tokens = min(self._rate.burst, self._tokens + elapsed * self._rate.per_minute / 60_000)
        self._at = now
        if self._rate.per_second is not None and len(self._sent) == self._rate.per_second:
            since = now - self._sent[0]
            if 0 <= since < 1000:
                return 1000 - since
        needed = 1.0 if priority == 1 else 1.0 + self._rate.reserve
        if self._tokens >= needed:
            self._tokens -= 1.0
            if self._rate.per_second is not None:
                self._sent.append(now)
            return 0
        return int((needed - self._tokens) * 60_000 / self._rate.per_minute) + 1
