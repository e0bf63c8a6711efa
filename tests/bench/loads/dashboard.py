"""What people at the dashboard cost: 20 clients of the event stream, 1,000 points a second.

50 Modbus TCP devices of 20 registers are polled once a second; windows without and with the clients take
turns in one run of the gateway. The others have no dashboard of their own, or none for many people.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.bench.child import Child
from tests.bench.loads.polling import IN_FLIGHT_S, LISTEN_S, START_S
from tests.bench.ours import CampusEdge
from tests.bench.processes import Running
from tests.bench.stage import NotReady, Pace, Sample, Stage, running, settle, settled_after, wait_for

DEVICES = 50
CLIENTS = 20


def lasts(pace: Pace, repetitions: int) -> float:
    """Seconds that the load takes, about."""
    each = 2 * pace.window_s + LISTEN_S + IN_FLIGHT_S + START_S
    return START_S + settled_after(pace, CampusEdge()) + repetitions * each


def run(stage: Stage, name: str, repetitions: int) -> Iterator[Sample]:
    """One run of this gateway."""
    system, folder, targets = CampusEdge(), stage.scratch(CampusEdge.name), stage.targets()
    with Child("field", str(DEVICES)) as field:
        try:
            with running(system.polling(folder, field.ready, targets)) as process:
                wait_for(process, "reading all devices", lambda: field.ask("polled", times=1) == DEVICES)
                settle(stage, system, time.monotonic())
                for number in range(repetitions):
                    stage.say(f"{name}: run {number + 1} of {repetitions}")
                    alone = _share(process, stage.pace.window_s)
                    with system.crowd(folder, targets, CLIENTS) as crowd:
                        time.sleep(LISTEN_S)
                        watched, seen = _watched(process, field, crowd, stage.pace.window_s)
                    figures = {
                        "clients_share": watched - alone,
                        "seen": seen,
                    }
                    yield Sample(name, system.name, figures)
        except NotReady as error:
            yield Sample(name, system.name, failed=str(error))
    stage.district.ask("clear")


def _share(process: Running, window_s: float) -> float:
    """CPU seconds a second."""
    began, before = time.monotonic(), process.cpu_s()
    time.sleep(window_s)
    return (process.cpu_s() - before) / (time.monotonic() - began)


def _watched(process: Running, field: Child, crowd: Child, window_s: float) -> tuple[float, float | None]:
    """CPU share with the clients, and the share of all reads that the least of them saw."""
    crowd.ask("clear")
    field.ask("clear")
    share = _share(process, window_s)
    wanted = {
        (f"d{device}", (one["first"] + n) & 0xFFFF)
        for device, one in enumerate(field.ask("take"))
        for n in range(len(one["times"]))
    }
    time.sleep(IN_FLIGHT_S)
    seen = min(len(wanted.intersection(map(tuple, client))) for client in crowd.ask("take"))
    return share, seen / len(wanted) if wanted else None
