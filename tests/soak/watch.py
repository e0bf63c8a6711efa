"""Samples of the gateway's process and files, and their picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_WIDTH, _HEIGHT = 860, 120


class Sample(NamedTuple):
    """One look: seconds since the start, MB resident, open files, threads, log and data sizes in MB,
    readings that wait for the district (`None` while nobody answers)."""

    at_s: float
    rss_mb: float
    files: int
    threads: int
    log_mb: float
    data_mb: float
    pending: int | None


def sample(pid: int, data: Path, at_s: float, pending: int | None) -> Sample | None:
    """The process and its files now; `None` when it is not there."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return None
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    if "VmRSS" not in facts:
        return None
    sizes = {path.name: path.stat().st_size for path in data.glob("*.db*") if path.exists()}
    return Sample(
        at_s, int(facts["VmRSS"].split()[0]) / 1024, files, int(facts["Threads"]),
        sum(size for name, size in sizes.items() if name.endswith("-wal")) / 1e6,
        sum(sizes.values()) / 1e6, pending,
    )  # fmt: skip


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
