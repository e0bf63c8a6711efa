"""A backlog from an outage on its way out, beside a bare loop that POSTs the same bytes.

Two districts: one that takes everything at once, so that the sender is the limit, and the
demo's stand-in, which checks and parses, so that both ends share the machine.
"""

from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from tests.bench.child import Child
from tests.bench.defaults import ON_THE_WAY_S
from tests.bench.field import REGISTERS
from tests.bench.figures import percentile
from tests.bench.fill import fill, school_day
from tests.bench.floor import INSERT, connect
from tests.bench.ours import CampusEdge, Floor
from tests.bench.processes import Running
from tests.bench.stage import NotReady, Pace, Sample, Stage, running, wait_for
from tests.bench.stand_in import BUCKET, ORG, TOKEN

DEVICES = 50
PATIENCE_S = 300.0
TAKE_POINTS = 5_000 * REGISTERS
"""What the sender takes out of its store at once; the first one is prepared before the first write."""
DEFAULT: Mapping[str, Any] = {}
UNBOUND: Mapping[str, Any] = {"drain": 1.0}
STAND_IN: Mapping[str, Any] = {"drain": 1.0, "read_timeout": "60s"}
BARE = "bare POST loop"
Held = Sequence[tuple[float, int]]
VARIANTS = (
    ("taken at once, default settings", "district", DEFAULT),
    ("taken at once, drain: 1.0", "district", UNBOUND),
    ("stand-in, drain: 1.0", "stand_in", STAND_IN),
)
POINT_S, START_S = 25e-6, 5.0
"""What a point takes to be made, stored and sent, and what a system takes to start, for estimates."""


def lasts(pace: Pace, repetitions: int) -> float:
    """Seconds that the load takes, about; beside the floor, which sends in one of the variants."""
    variants = len(_variants(pace))
    waiting = 0.0 if pace.quick else 2 * ON_THE_WAY_S
    return repetitions * ((variants + 1) * (pace.backlog_points * POINT_S + START_S) + waiting)


def _variants(pace: Pace) -> Sequence[tuple[str, str, Mapping[str, Any]]]:
    """In a quick look only the one that shows the sender's own limit."""
    return [one for one in VARIANTS if one[2] is UNBOUND] if pace.quick else VARIANTS


def run(stage: Stage, name: str, repetitions: int) -> Iterator[Sample]:
    """At the default share of the time and without a bound, live polling going on beside it."""
    for number in range(repetitions):
        for title, district, sync in _variants(stage.pace):
            variant = f"{name}, {title}"
            stage.say(f"{variant}, run {number + 1} of {repetitions}")
            try:
                with Child("field", str(DEVICES)) as field, Child(district) as server:
                    yield _ours(stage, variant, field, server, sync)
                    if sync is STAND_IN:
                        yield _bare(stage, variant, server, district)
                if sync is UNBOUND:
                    with Child(district) as server:
                        yield _floor(stage, variant, server)
            except NotReady as error:
                yield Sample(variant, CampusEdge.name, failed=str(error))


def _ours(stage: Stage, name: str, field: Child, server: Child, sync: Mapping[str, Any]) -> Sample:
    folder, targets = stage.scratch("drain"), replace(stage.targets(), district=server.ready)
    launch = CampusEdge(sync).polling(folder, field.ready, targets)
    seconds = max(1, stage.pace.backlog_points // (DEVICES * REGISTERS))
    start = int(time.time() * 1000) - (seconds + 60) * 1000
    ticks = school_day(DEVICES, REGISTERS, start, seconds)
    backlog = asyncio.run(fill(folder / "school.yaml", folder / "data", ticks))
    began = time.time() * 1000
    with running(launch) as process:
        rate, cost = _drained(process, server, backlog)
        delays: list[float] = []
        if sync is not STAND_IN and not stage.pace.quick:
            time.sleep(ON_THE_WAY_S)
            delays = server.ask("delays", since=began)
    figures = {
        "drain_per_s": rate,
        "cpu_per_1000": cost,
        "live_delay_p50_s": _seconds(percentile(delays, 0.5)),
        "live_delay_max_s": _seconds(max(delays, default=None)),
    }
    return Sample(name, CampusEdge.name, figures)


def _drained(process: Running, server: Child, backlog: int) -> tuple[float | None, float | None]:
    """Waits for the backlog: points a second, and CPU seconds a thousand points, its start left out."""
    wait_for(process, "sending", lambda: int(server.ask("writes")) > 0)
    since, before = time.monotonic(), process.cpu_s()
    wait_for(process, "drained", lambda: int(server.ask("points")) >= backlog, PATIENCE_S, 0.5)
    used, held = process.cpu_s() - before, server.ask("held")
    points = held[-1][1] - max((count for at, count in held if at <= since), default=0)
    return drain_rate(held, backlog, TAKE_POINTS), used / points * 1000 if points > 0 else None


def _seconds(millis: float | None) -> float | None:
    return None if millis is None else millis / 1000


def drain_rate(held: Held, backlog: int, first: int) -> float | None:
    """Points a second from when `first` points had come until `backlog` had; None when that is one write."""
    begin = next(((at, points) for at, points in held if points >= first), None)
    end = next(((at, points) for at, points in held if points >= backlog), None)
    if begin is None or end is None or end[0] <= begin[0]:
        return None
    return (end[1] - begin[1]) / (end[0] - begin[0])


def _bare(stage: Stage, name: str, server: Child, district: str) -> Sample:
    """The bodies that just came, ready-made, once more to a fresh server over one kept connection."""
    folder = stage.scratch("bodies")
    count = server.ask("dump", folder=str(folder))
    bodies = [(folder / str(number)).read_bytes() for number in range(count)]
    with Child(district) as fresh:
        address = urlsplit(fresh.ready)
        connection = http.client.HTTPConnection(address.hostname or "", address.port or 0)
        headers = {"Content-Encoding": "gzip", "Authorization": f"Token {TOKEN}"}
        target = f"/api/v2/write?org={ORG}&bucket={BUCKET}&precision=ms"
        for body in bodies:
            connection.request("POST", target, body, headers)
            connection.getresponse().read()
        connection.close()
        held = fresh.ask("held")
    return Sample(name, BARE, {"drain_per_s": drain_rate(held, held[-1][1], TAKE_POINTS)})


def _floor(stage: Stage, name: str, server: Child) -> Sample:
    """The hand-written loop over rows of its own; it polls nothing meanwhile."""
    folder, targets = stage.scratch("floor"), replace(stage.targets(), district=server.ready)
    seconds = max(1, stage.pace.backlog_points // (DEVICES * REGISTERS))
    start = int(time.time() * 1000) - (seconds + 60) * 1000
    series = {(f"d{d}", f"r{p:02d}"): d * REGISTERS + p for d in range(DEVICES) for p in range(REGISTERS)}
    database = connect(folder)
    database.execute("BEGIN")
    for at, tick in school_day(DEVICES, REGISTERS, start, seconds):
        rows = [(series[device, point], at, value) for device, point, value in tick]
        database.executemany(INSERT, rows)
    database.execute("COMMIT")
    database.close()
    backlog = seconds * DEVICES * REGISTERS
    with running(Floor().polling(folder, [], targets)) as process:
        rate, cost = _drained(process, server, backlog)
    return Sample(name, Floor.name, {"drain_per_s": rate, "cpu_per_1000": cost})
