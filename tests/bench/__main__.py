"""`./run bench`: this gateway beside its peers and beside the floor, on the reader's own machine.

    ./run bench [--quick] [--only LOAD]... [--without SYSTEM]... [--repetitions N] [--out FOLDER] [--json]

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
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from tests.bench.broker import Broker
from tests.bench.catalogue import LOADS, Load
from tests.bench.child import ROOT, Child
from tests.bench.machine import describe, load_average
from tests.bench.node_red import NodeRed
from tests.bench.ours import CampusEdge, Floor
from tests.bench.peers import Peer, install_all
from tests.bench.report import Report, goals, table
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
    parser.add_argument(
        "--repetitions",
        type=int,
        choices=range(1, 100),
        metavar="N",
        help="of each load; fewer than three are a look",
    )
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

    loads = _chosen(arguments)
    say("peers: installing those that are missing")
    wanted = (
        {"thingsboard", "node-red"} - set(arguments.without) if any(one.peered for one in loads) else set()
    )
    peers = install_all(wanted.__contains__)
    installing = sum(peer.took_s for peer in peers.values())
    systems, pace = _systems(peers, arguments.without), _pace(arguments.quick, arguments.repetitions)
    _announce(loads, systems, pace, say)
    machine = describe(peers.values()) | {"load before": load_average()}
    samples, parts = _run(loads, systems, pace, say)
    took = time.monotonic() - began - installing
    machine |= {"load after": load_average(), "took": f"{took:.0f} s"}
    if installing:
        machine["installing peers, once, not counted"] = f"{installing:.0f} s"
    report = Report(samples, systems, machine, arguments.quick, parts)
    path = report.write(arguments.out)
    if arguments.json:
        print(json.dumps(report.as_json(), ensure_ascii=False))
    else:
        _print(report)
    say(f"report: {path}")
    return 0


def _chosen(arguments: argparse.Namespace) -> list[Load]:
    if arguments.only:
        return [load for load in LOADS if load.name in arguments.only]
    return [load for load in LOADS if load.quick or not arguments.quick]


def _announce(loads: list[Load], systems: list[System], pace: Pace, say: Callable[[str], None]) -> None:
    """What cannot run, and how long the rest will take."""
    for system in systems:
        if system.missing:
            say(f"{system.title}: {system.missing}")
    able = [system for system in systems if not system.missing]
    for load in loads:
        say(f"{load.name}: about {_time(load.lasts(pace, able))}")
    say(f"in all about {_time(sum(load.lasts(pace, able) for load in loads))}")


def _pace(quick: bool, repetitions: int | None) -> Pace:
    pace = QUICK if quick else Pace()
    if repetitions is None:
        return pace
    return replace(pace, repetitions=repetitions, side_repetitions=repetitions)


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _systems(peers: Mapping[str, Peer], without: list[str]) -> list[System]:
    every: list[System] = [CampusEdge(), Floor()]
    if "thingsboard" in peers:
        every.append(ThingsBoard(peers["thingsboard"]))
    if "node-red" in peers:
        every.append(NodeRed(peers["node-red"]))
    return [system for system in every if system.name not in without]


def _run(
    loads: list[Load], systems: list[System], pace: Pace, say: Callable[[str], None]
) -> tuple[list[Sample], dict[str, float]]:
    """The samples of all loads, and what each load took (s)."""
    samples: list[Sample] = []
    parts: dict[str, float] = {}
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
                start = time.monotonic()
                if start - began > pace.limit_s:
                    say(f"{load.name}: left out, the time is up")
                    continue
                samples.extend(load.run(stage, load.name))
                parts[load.name] = time.monotonic() - start
    return samples, parts


def _print(report: Report) -> None:
    console = Console(width=None if sys.stdout.isatty() else 200)
    for name, what in report.machine.items():
        console.print(f"[dim]{name}:[/dim] {what}", highlight=False)
    parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in report.parts.items())
    console.print(f"[dim]parts:[/dim] {parts}", highlight=False)
    console.print(f"[dim]repetitions:[/dim] {report.runs()}", highlight=False)
    console.print(table(report))
    console.print(goals(report))


if __name__ == "__main__":
    sys.exit(main())
