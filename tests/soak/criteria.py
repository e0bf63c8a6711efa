"""What a run must hold beside the ledger, judged from its samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from statistics import fmean, quantiles
from typing import NamedTuple

from tests.soak.schedule import HOUR_S, steady
from tests.soak.watch import Sample

DAY_S = 86_400.0
SETTLED_S = 600.0
"""So long after the beginning of a steady hour growth counts."""
SHORT_S = 600.0
"""A shorter run says nothing of a day."""


class Criterion(NamedTuple):
    """One of them: what was found (`None`: the run was too short for it) and the most that may be."""

    name: str
    found: float | None
    most: float
    unit: str

    @property
    def holds(self) -> bool:
        """Whether it holds, as far as the run says."""
        return self.found is None or self.found <= self.most


class Outage(NamedTuple):
    """The district was away for so long, until an instant; when the queue was short again (`None`: the
    next outage or the end came first)."""

    length_s: float
    until_s: float
    drained_s: float | None


def criteria(
    samples: Sequence[Sample],
    alarms_s: Sequence[float],
    outages: Sequence[Outage],
    log_mb: float,
    run_s: float,
) -> list[Criterion]:
    """All of them."""
    long = run_s >= SHORT_S
    hours = list(_steady_hours(samples))
    lives = [list(life) for _, life in groupby(samples, key=lambda s: s.pid)]
    watched_s = sum(life[-1].at_s - life[0].at_s for life in lives)
    written_mb = sum(life[-1].written_mb - life[0].written_mb for life in lives)
    computed_s = sum(life[-1].cpu_s - life[0].cpu_s for life in lives)
    late = [o.drained_s - o.until_s - max(2 * o.length_s, 30.0) for o in outages if o.drained_s is not None]
    return [
        Criterion("memory grows in a steady hour", _worst(_slope(h, "rss_mb") for h in hours), 1.0, "MB/h"),
        Criterion("open files grow in a steady hour", _worst(_growth(h, "files") for h in hours), 5.0, ""),
        Criterion("threads grow in a steady hour", _worst(_growth(h, "threads") for h in hours), 1.5, ""),
        Criterion("largest log of a database", max((s.log_mb for s in samples), default=None), 17.0, "MB"),
        Criterion("99 % of alarms were pushed within", _percentile_99(alarms_s), 10.0, "s"),
        Criterion("processor", 100 * computed_s / watched_s if watched_s else None, 40.0, "% of a core"),
        Criterion("written", written_mb / watched_s * DAY_S / 1e3 if long else None, 0.5, "GB/day"),
        Criterion("log", log_mb / run_s * DAY_S if long else None, 5.0, "MB/day"),
        Criterion("queue short again later than twice an outage by", max(late, default=None), 0.0, "s"),
    ]


def _steady_hours(samples: Sequence[Sample]) -> Iterator[list[Sample]]:
    """The settled part of each whole hour without a start."""
    for hour, found in groupby(samples, key=lambda s: int(s.at_s // HOUR_S)):
        kept = [s for s in found if s.at_s - hour * HOUR_S >= SETTLED_S]
        whole = kept and kept[-1].at_s - kept[0].at_s > 0.75 * (HOUR_S - SETTLED_S)
        if whole and steady(kept[0].at_s) and len({s.pid for s in kept}) == 1:
            yield kept


def _slope(samples: Sequence[Sample], name: str) -> float:
    """Least squares, per hour."""
    times = [s.at_s / HOUR_S for s in samples]
    values = [float(getattr(s, name)) for s in samples]
    middle, mean = fmean(times), fmean(values)
    square = sum((t - middle) ** 2 for t in times)
    return sum((t - middle) * (v - mean) for t, v in zip(times, values, strict=True)) / square


def _growth(samples: Sequence[Sample], name: str) -> float:
    """From the mean of the first quarter to that of the last."""
    values = [float(getattr(s, name)) for s in samples]
    quarter = max(1, len(values) // 4)
    return fmean(values[-quarter:]) - fmean(values[:quarter])


def _worst(values: Iterator[float]) -> float | None:
    return max(values, default=None)


def _percentile_99(values: Sequence[float]) -> float | None:
    if len(values) < 2:
        return None
    return quantiles(values, n=100, method="inclusive")[98]


def shares(samples: Sequence[Sample]) -> list[tuple[float, float]]:
    """The processor between each two looks at one process, in percent."""
    return [
        (after.at_s, 100 * (after.cpu_s - before.cpu_s) / (after.at_s - before.at_s))
        for before, after in pairwise(samples)
        if before.pid == after.pid and after.at_s > before.at_s
    ]
