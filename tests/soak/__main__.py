"""`python -m tests.soak --for 10m`: the numbered school under faults drawn from a seed, and a report.

Everything runs on loopback. It passes when the ledger is exact, but for one group of readings and
what was under way at each kill, and when nothing is stored or delivered that was never sent.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from drivers.settings import parse_duration
from tests.end_to_end.numbered_school import NumberedSchool, numbered_school
from tests.soak.schedule import Act, Fault, acts
from tests.soak.watch import Sample, plot, sample
from tests.support.faults import writes_refused
from tests.support.influx import DropResponse, Status

GROUP_S = 1.0
RATE_A_DEVICE = 5.0
SAMPLE_S = 2.0


@dataclass
class Run:
    """What happened."""

    seed: int
    started: float = field(default_factory=time.monotonic)
    done: list[tuple[float, Act]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    kills: int = 0

    @property
    def now_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started


async def act(school: NumberedSchool, one: Act, run: Run) -> None:
    """Does one fault to the school, until it ends."""
    match one.fault:
        case Fault.UPLINK_DOWN:
            school.influx.down = True
            await asyncio.sleep(one.length_s)
            school.influx.down = False
        case Fault.ANSWERS_LOST:
            school.influx.faults.extend([DropResponse()] * 3)
        case Fault.SERVER_BUSY:
            school.influx.faults.extend([Status(503, {"Retry-After": "1"}), Status(429), Status(500)])
        case Fault.SERVER_KILLED:
            school.influx.kill()
            await asyncio.sleep(one.length_s)
            await school.influx.start()
        case Fault.GATEWAY_KILLED:
            await asyncio.to_thread(school.gateway.kill)
            run.kills += 1
            await asyncio.sleep(one.length_s)
            await asyncio.to_thread(school.gateway.start)
        case Fault.GATEWAY_FROZEN:
            os.kill(school.gateway.pid, signal.SIGSTOP)
            await asyncio.sleep(one.length_s)
            os.kill(school.gateway.pid, signal.SIGCONT)
        case Fault.BROKER_RESTARTED:
            await asyncio.to_thread(school.broker.stop)
            await asyncio.sleep(one.length_s)
            await asyncio.to_thread(school.broker.start)
        case Fault.DISK_REFUSES:
            with writes_refused(school.gateway.pid):
                await asyncio.sleep(one.length_s)


async def observe(school: NumberedSchool, run: Run) -> None:
    """Samples until cancelled."""
    while True:
        await asyncio.sleep(SAMPLE_S)
        pid, pending = None, None
        try:
            pid = school.gateway.pid
            answer = await asyncio.to_thread(school.gateway.get, "/sync")
            pending = answer["items"][0]["pending"]
        except (AssertionError, httpx.HTTPError):  # between a kill and a start nobody answers
            pass
        found = sample(pid, school.gateway.data, run.now_s, pending) if pid else None
        if found:
            run.samples.append(found)


def judge(run: Run, sent: Mapping[str, list[float]], stored: Mapping[str, list[float]],
          delivered: Mapping[str, list[float]]) -> list[str]:  # fmt: skip
    """What is wrong with the ledger; empty when it holds."""
    faults = []
    for device, numbers in sent.items():
        kept, there = stored.get(device, []), delivered.get(device, [])
        lost = len(numbers) - len(kept)
        if len(set(kept)) != len(kept):
            faults.append(f"{device}: {len(kept) - len(set(kept))} readings are stored twice")
        if not set(kept) <= set(numbers):
            faults.append(f"{device}: something is stored that was never sent")
        if lost > run.kills * (GROUP_S * RATE_A_DEVICE + 2):
            faults.append(f"{device}: {lost} of {len(numbers)} readings are missing after {run.kills} kills")
        if sorted(there) != sorted(kept):
            faults.append(f"{device}: the district holds {len(there)}, the gateway {len(kept)}")
    return faults


def report(run: Run, faults: list[str], sent: int, stored: int, folder: Path) -> Path:
    """Writes `report.html` and `run.json`; the former's path."""
    folder.mkdir(parents=True, exist_ok=True)
    marks = [at for at, _ in run.done]
    columns = {
        "resident memory, MB": [(s.at_s, s.rss_mb) for s in run.samples],
        "open files": [(s.at_s, float(s.files)) for s in run.samples],
        "threads": [(s.at_s, float(s.threads)) for s in run.samples],
        "logs of the databases, MB": [(s.at_s, s.log_mb) for s in run.samples],
        "databases, MB": [(s.at_s, s.data_mb) for s in run.samples],
        "waits for the district": [(s.at_s, float(s.pending)) for s in run.samples if s.pending is not None],
    }
    verdict = "passed" if not faults else "FAILED"
    rows = "".join(
        f"<tr><td>{at:.0f} s</td><td>{one.fault}</td><td>{one.length_s:.1f} s</td></tr>"
        for at, one in run.done
    )
    text = (
        f"<!doctype html><meta charset=utf-8><title>Soak {verdict}</title><h1>Soak: {verdict}</h1>"
        f"<p>Seed {run.seed}, {run.now_s:.0f} s, {len(run.done)} faults, {run.kills} kills;"
        f" {sent} readings sent, {stored} stored.</p>"
        + "".join(f"<p><b>{html.escape(fault)}</b></p>" for fault in faults)
        + "".join(plot(title, values, marks) for title, values in columns.items())
        + f"<table>{rows}</table>"
    )
    (folder / "report.html").write_text(text, encoding="utf-8")
    (folder / "run.json").write_text(
        json.dumps(
            {"seed": run.seed, "seconds": run.now_s, "kills": run.kills, "faults": faults, "sent": sent,
             "stored": stored, "acts": [(at, *one) for at, one in run.done],
             "samples": [s._asdict() for s in run.samples]},
            indent=1,
        ),
        encoding="utf-8",
    )  # fmt: skip
    return folder / "report.html"


async def soak(seconds: float, seed: int, folder: Path) -> bool:
    """One run; whether it passed."""
    run = Run(seed)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="campus-edge-soak-")))
        async with numbered_school(work) as school:
            await school.begin()
            watching = asyncio.create_task(observe(school, run))
            for one in acts(seed):
                await asyncio.sleep(one.pause_s)
                if run.now_s > seconds:
                    break
                print(f"{run.now_s:7.1f} s  {one.fault} {one.length_s:.1f} s", flush=True)
                run.done.append((run.now_s, one))
                await act(school, one, run)
            school.influx.faults.clear()
            await school.quiet()
            await asyncio.sleep(8)  # a disk that refused last is tried again
            await school.drained(max(120.0, seconds / 4))
            watching.cancel()
            await asyncio.to_thread(school.gateway.stop)
            sent, stored, delivered = school.sent(), school.stored(), await school.delivered()
            faults = judge(run, sent, stored, delivered)
            if faults:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "gateway.log").write_bytes(school.gateway.log.read_bytes())
    total, kept = sum(map(len, sent.values())), sum(map(len, stored.values()))
    path = report(run, faults, total, kept, folder)
    for fault in faults:
        print(fault)
    word = "FAILED" if faults else "passed"
    print(f"{word}: seed {seed}, {kept} of {total} readings, {run.kills} kills; {path}")
    return not faults


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="./run soak", description="the numbered school under faults")
    parser.add_argument("--for", dest="duration", default="10m", help="how long, e.g. 10m or 2h")
    parser.add_argument("--seed", type=int, default=None, help="an earlier run's, to have it again")
    parser.add_argument("--out", type=Path, default=Path(".cache/soak"), help="folder of the report")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.randrange(1 << 31)
    print(f"seed {seed}", flush=True)
    seconds = parse_duration(arguments.duration).total_seconds()
    return 0 if asyncio.run(soak(seconds, seed, arguments.out)) else 1


if __name__ == "__main__":
    sys.exit(main())
