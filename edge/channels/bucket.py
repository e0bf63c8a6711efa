"""How many messages a provider takes: a token bucket with a reserve for life safety; pure."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.reading import Millis
from edge.channels.settings import ChannelKind


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` messages at once, refilled at `per_minute`; the last `reserve` are for priority 1."""

    per_minute: float
    burst: int
    reserve: int


RATES: dict[ChannelKind, Rate] = {
    # Below the providers' own limits (20 a minute; 钉钉 then goes silent for ten), rules.md 4.2.
    "wecom": Rate(15, 15, 5),
    "dingtalk": Rate(15, 15, 5),
    "feishu": Rate(60, 60, 5),
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

    def wait_ms(self, priority: int, now: Millis) -> int:
        """0 and a token is taken, or how long until there is one for this priority."""
        elapsed = max(0, now - self._at)
        self._tokens = min(self._rate.burst, self._tokens + elapsed * self._rate.per_minute / 60_000)
        self._at = now
        needed = 1.0 if priority == 1 else 1.0 + self._rate.reserve
        if self._tokens >= needed:
            self._tokens -= 1.0
            return 0
        return int((needed - self._tokens) * 60_000 / self._rate.per_minute) + 1
