"""Whether what is measured can be stored, how full the store is, and what damage a start found."""

from __future__ import annotations

from edge.status.parts import Parts
from edge.web.services.health import Check


def storage_failure(parts: Parts) -> str:
    """Why something cannot be written, empty when all can."""
    error = (
        parts.recorder.last_error
        or parts.evaluator.last_error
        or parts.folder.core.error
        or parts.folder.telemetry.error
    )
    return f"{error}; {parts.recorder.held} readings held in memory" if error else ""


def check_store(parts: Parts) -> Check:
    """Whether all files can be written, and are whole."""
    if failure := storage_failure(parts):
        return Check("store", "failed", f"storage failed: {failure}")
    told = [f"{f.file}: {f.detail}" for f in parts.folder.findings]
    told += [
        f"{salvage.source.name}: {salvage.progress.rows} rows copied so far"
        for salvage, _ in parts.folder.salvages
        if not salvage.progress.done
    ]
    return Check("store", "degraded" if told else "ok", "; ".join(told))


def check_history(parts: Parts) -> Check:
    """How full the store is, in bytes and in days."""
    archivist = parts.archivist
    full = archivist.occupancy
    text = f"{full.used_bytes / 1e6:.0f} MB of {full.max_bytes / 1e6:.0f} MB"
    if full.bytes_per_day is not None:
        text += f"; {full.bytes_per_day / 1e6:.1f} MB a day"
    if full.days_left is not None:
        text += f"; room for {full.days_left:.0f} days" if full.days_left else "; the oldest day goes"
    if archivist.last_error:
        return Check("history", "failed", f"{archivist.last_error}; {text}")
    if lost := full.shed_points.get("raw_unsent"):
        return Check("history", "degraded", f"{lost} readings were given up unsent; {text}")
    return Check("history", "ok", text)
