"""How well the alarms serve the desk: the figures of ISA-18.2 and EEMUA 191 over a stretch of time.

Distributions, not means: a quiet month with one bad hour is a bad hour.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drivers.reading import Millis
from rules.alarm import AlarmState

BIN_MS = 600_000
"""The stretch that load is counted in."""
FLOOD_OVER = 10
"""More alarms than this in a stretch are a flood."""
STALE_MS = 86_400_000
"""An alarm that stands longer says nothing any more."""
TOP = 10


@dataclass(frozen=True, slots=True)
class Load:
    """One rule on one scope and how much of all it made, 0 to 1."""

    rule: str
    scope: str
    occurrences: int
    share: float


@dataclass(frozen=True, slots=True)
class AlarmReport:
    """All that was told in [since, until): `bins` says in how many stretches of ten minutes so many
    alarms came, quiet ones included; shares are 0 to 1; suppressed and shelved ones are only counted."""

    since: Millis
    until: Millis
    occurrences: int
    suppressed: int
    shelved: int
    per_hour: float
    urgent_per_day: float
    bins: Mapping[int, int]
    busiest: int
    flood_share: float
    by_priority: Mapping[int, int]
    top: tuple[Load, ...]
    chattering: int
    standing_over_a_day: int
    unacknowledged: int


def report(occurrences: Sequence[AlarmState], since: Millis, until: Millis) -> AlarmReport:
    """The report of occurrences that were raised in [since, until); `until` must lie behind `since`."""
    if until <= since:
        raise ValueError("until must lie behind since")
    inside = [s for s in occurrences if s.raised_at is not None and since <= s.raised_at < until]
    told = [s for s in inside if s.told]
    stretches = -(-(until - since) // BIN_MS)
    counts = Counter((s.raised_at - since) // BIN_MS for s in told if s.raised_at is not None)
    bins = Counter(counts.values())
    bins[0] = stretches - len(counts)
    load = Counter((s.rule, s.scope) for s in told)
    days = (until - since) / 86_400_000
    return AlarmReport(
        since=since,
        until=until,
        occurrences=len(told),
        suppressed=sum(bool(s.suppressed_by) or not s.told for s in inside),
        shelved=sum(s.shelved_until is not None for s in inside),
        per_hour=len(told) / (days * 24),
        urgent_per_day=sum(s.priority <= 2 for s in told) / days,
        bins=dict(sorted(bins.items())),
        busiest=max(counts.values(), default=0),
        flood_share=sum(n for size, n in bins.items() if size > FLOOD_OVER) / stretches,
        by_priority={prio: sum(s.priority == prio for s in told) for prio in range(1, 5)},
        top=tuple(
            Load(rule, scope, number, number / len(told))
            for (rule, scope), number in sorted(load.items(), key=lambda one: (-one[1], one[0]))[:TOP]
        ),
        chattering=sum(s.chattering for s in inside),
        standing_over_a_day=sum(
            s.is_raised and s.raised_at is not None and until - s.raised_at > STALE_MS for s in inside
        ),
        unacknowledged=sum(not s.acked for s in inside),
    )
