"""A run as a page with plots, and as JSON."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path

from tests.soak.criteria import Criterion, shares
from tests.soak.run import Run
from tests.soak.watch import plot


def write(
    run: Run, found: Sequence[Criterion], faults: Sequence[str], counts: tuple[int, int], folder: Path
) -> Path:
    """Writes `report.html` and `run.json`; the former's path. `counts`: readings sent and stored."""
    folder.mkdir(parents=True, exist_ok=True)
    sent, stored = counts
    failed = bool(faults) or not all(criterion.holds for criterion in found)
    verdict = "FAILED" if failed else "passed"
    acts = "".join(
        f"<tr><td>{at:.0f} s</td><td>{one.fault}</td><td>{one.length_s:.1f} s</td></tr>"
        for at, one in run.done
    )
    text = (
        f"<!doctype html><meta charset=utf-8><title>Soak {verdict}</title><h1>Soak: {verdict}</h1>"
        f"<p>Seed {run.seed}, {run.now_s:.0f} s, {len(run.done)} faults, {run.kills} kills,"
        f" {run.steps} steps of the clock; {sent} readings sent, {stored} stored;"
        f" {len(run.alarms_s)} alarms timed.</p>"
        + "".join(f"<p><b>{html.escape(fault)}</b></p>" for fault in faults)
        + f"<table>{''.join(map(_row, found))}</table>"
        + _plots(run)
        + f"<table>{acts}</table>"
    )
    (folder / "report.html").write_text(text, encoding="utf-8")
    (folder / "run.json").write_text(
        json.dumps(
            {"seed": run.seed, "seconds": run.now_s, "kills": run.kills, "steps": run.steps,
             "faults": list(faults), "sent": sent, "stored": stored, "alarms_s": run.alarms_s,
             "criteria": [{**c._asdict(), "holds": c.holds} for c in found],
             "outages": [o._asdict() for o in run.outages], "acts": [(at, *one) for at, one in run.done],
             "samples": [
                 {**s._asdict(), "queues": s.queues._asdict() if s.queues else None} for s in run.samples
             ]},
            indent=1,
        ),
        encoding="utf-8",
    )  # fmt: skip
    return folder / "report.html"


def said(criterion: Criterion) -> str:
    """One criterion in a line."""
    word = "not judged" if criterion.found is None else "holds" if criterion.holds else "FAILED"
    value = "-" if criterion.found is None else f"{criterion.found:.2f}"
    return f"{criterion.name}: {value} {criterion.unit} (at most {criterion.most:g}): {word}"


def _row(criterion: Criterion) -> str:
    style = "" if criterion.holds else ' style="color:#c33"'
    return f"<tr{style}><td>{html.escape(said(criterion))}</td></tr>"


def _plots(run: Run) -> str:
    marks = [at for at, _ in run.done]
    heard = [(s.at_s, s.queues) for s in run.samples if s.queues is not None]
    columns = {
        "resident memory, MB": [(s.at_s, s.rss_mb) for s in run.samples],
        "open files": [(s.at_s, float(s.files)) for s in run.samples],
        "threads": [(s.at_s, float(s.threads)) for s in run.samples],
        "processor, % of a core": shares(run.samples),
        "largest log of a database, MB": [(s.at_s, s.log_mb) for s in run.samples],
        "databases, MB": [(s.at_s, s.data_mb) for s in run.samples],
        "written by the process, MB": [(s.at_s, s.written_mb) for s in run.samples],
        "waits for the district": [(at, float(q.pending)) for at, q in heard],
        "age of the oldest that waits, s": [(at, q.oldest_s) for at, q in heard],
        "not committed yet": [(at, q.held) for at, q in heard],
        "restarts of tasks": [(at, q.restarts) for at, q in heard],
    }
    return "".join(plot(title, values, marks) for title, values in columns.items())
