"""`./run bench`: this gateway beside its peers and beside the floor, on the reader's own machine.

    ./run bench [--quick] [--only LOAD]... [--without SYSTEM]... [--out FOLDER] [--json]

Everything stays on loopback; every process that is started is ended by its id.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console

from tests.bench.broker import Broker
from tests.bench.catalogue import LOADS, Load
from tests.bench.child import ROOT, Child
from tests.bench.machine import describe, load_average
from tests.bench.node_red import NodeRed
from tests.bench.ours import CampusEdge, Floor
from tests.bench.peers import Peer, install_all
from tests.bench.report import Report, table
from tests.bench.stage import QUICK, Pace, Sample, Stage
from tests.bench.system import System
from tests.bench.thingsboard import ThingsBoard

OUT = ROOT / ".cache" / "bench" / "report"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="short windows, fewer loads")
    parser.add_argument(
        "--only", action="append", choices=[load.name for load in LOADS], help="this load (may be repeated)"
    )
    parser.add_argument(
        "--without", action="append", default=[], choices=["floor", "thingsboard", "node-red"],
        help="leave this system out (may be repeated)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the report")
    parser.add_argument("--json", action="store_true", help="print the results as JSON instead of the table")
    return parser.parse_args()


def main() -> int:
    """Installs the peers, runs the loads, writes and prints the report."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    logging.disable(logging.WARNING)
    progress = Console(stderr=True)
    began = time.monotonic()

    def say(text: str) -> None:
        progress.print(f"[dim]{time.monotonic() - began:6.0f} s[/dim]  {text}", highlight=False)

    say("peers: installing those that are missing")
    loads = [
        load
        for load in LOADS
        if load.name in (arguments.only or [load.name])
        and (arguments.only or load.quick or not arguments.quick)
    ]
    peered = any(load.peered for load in loads)
    peers = install_all(lambda name: peered and name not in arguments.without)
    systems = _systems(peers, arguments.without)
    for system in systems:
        if system.missing:
            say(f"{system.title}: {system.missing}")
    machine = describe(peers.values()) | {"load before": load_average()}
    samples = _run(loads, systems, QUICK if arguments.quick else Pace(), say)
    machine |= {"load after": load_average(), "took": f"{time.monotonic() - began:.0f} s"}
    report = Report(samples, systems, machine, arguments.quick)
    path = report.write(arguments.out)
    if arguments.json:
        print(json.dumps(report.as_json(), ensure_ascii=False))
    else:
        _print(report)
    say(f"report: {path}")
    return 0


def _systems(peers: Mapping[str, Peer], without: list[str]) -> list[System]:
    every: list[System] = [CampusEdge(), Floor()]
    if "thingsboard" in peers:
        every.append(ThingsBoard(peers["thingsboard"]))
    if "node-red" in peers:
        every.append(NodeRed(peers["node-red"]))
    return [system for system in every if system.name not in without]


def _run(loads: list[Load], systems: list[System], pace: Pace, say: Callable[[str], None]) -> list[Sample]:
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory(prefix="campus-edge-bench-") as name:
        folder = Path(name)
        with (
            Broker(folder) as broker,
            Child("platform", str(broker.port)) as platform,
            Child("district") as district,
        ):
            stage = Stage(folder, systems, pace, broker, platform, district, say)
            began = time.monotonic()
            for load in loads:
                if time.monotonic() - began > pace.limit_s:
                    say(f"{load.name}: left out, the time is up")
                    continue
                samples.extend(load.run(stage, load.name))
    return samples


def _print(report: Report) -> None:
    console = Console(width=None if sys.stdout.isatty() else 200)
    for name, what in report.machine.items():
        console.print(f"[dim]{name}:[/dim] {what}", highlight=False)
    console.print(table(report))


if __name__ == "__main__":
    sys.exit(main())
