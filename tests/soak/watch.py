"""Samples of the gateway's process, files and queues, and their picture."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_WIDTH, _HEIGHT = 860, 120
_TICKS = os.sysconf("SC_CLK_TCK")


class Queues(NamedTuple):
    """What the gateway says of itself: readings that wait for the district and the age of the oldest (s),
    readings not committed yet, restarts of its tasks."""

    pending: int
    oldest_s: float
    held: float
    restarts: float


class Sample(NamedTuple):
    """One look: seconds since the start, process, MB resident, open files, threads, MB of the largest log
    and of all databases, MB that the process has written and seconds it has computed, its queues (`None`
    while nobody answers)."""

    at_s: float
    pid: int
    rss_mb: float
    files: int
    threads: int
    log_mb: float
    data_mb: float
    written_mb: float
    cpu_s: float
    queues: Queues | None


def sample(pid: int, data: Path, at_s: float, queues: Queues | None) -> Sample | None:
    """The process and its files now; `None` when it is not there."""
    process = Path(f"/proc/{pid}")
    try:
        status = _facts((process / "status").read_text())
        io = _facts((process / "io").read_text())
        computed = (process / "stat").read_text().rpartition(")")[2].split()
        files = len(list((process / "fd").iterdir()))
    except OSError:
        return None
    if "VmRSS" not in status:
        return None
    sizes = {path.name: path.stat().st_size for path in data.glob("*.db*") if path.exists()}
    return Sample(
        at_s, pid, int(status["VmRSS"].split()[0]) / 1024, files, int(status["Threads"]),
        max((size for name, size in sizes.items() if name.endswith("-wal")), default=0) / 1e6,
        sum(sizes.values()) / 1e6, int(io["write_bytes"]) / 1e6,
        (int(computed[11]) + int(computed[12])) / _TICKS, queues,
    )  # fmt: skip


def _facts(text: str) -> Mapping[str, str]:
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def plot(title: str, samples: Sequence[tuple[float, float]], marks: Sequence[float]) -> str:
    """A line over time as SVG; faults are ticks at the bottom."""
    if not samples:
        return ""
    end = max(samples[-1][0], 1.0)
    top = max(value for _, value in samples) or 1.0
    points = " ".join(f"{x / end * _WIDTH:.1f},{_HEIGHT - y / top * (_HEIGHT - 10):.1f}" for x, y in samples)
    ticks = "".join(
        f'<line x1="{m / end * _WIDTH:.1f}" x2="{m / end * _WIDTH:.1f}" y1="{_HEIGHT - 8}" y2="{_HEIGHT}"'
        ' stroke="#c33"/>'
        for m in marks
    )
    return (
        f"<h3>{title} (highest {top:.1f})</h3>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" style="background:#f6f6f6">'
        f'<polyline points="{points}" fill="none" stroke="#246" stroke-width="1.5"/>{ticks}</svg>'
    )
