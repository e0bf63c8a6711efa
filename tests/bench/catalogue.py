"""What the benchmark measures: the loads in their order, and what each figure is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.bench.loads import (
    button,
    dashboard,
    drain,
    history,
    line,
    memory,
    messages,
    outage,
    polling,
    reconnect,
    rules,
)
from tests.bench.stage import Pace, Sample, Stage
from tests.bench.system import System


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: what it is and the unit it is shown in, the factor from SI to that unit, decimals."""

    what: str
    unit: str = ""
    factor: float = 1.0
    decimals: int = 2
    compared: bool = True

    @property
    def title(self) -> str:
        """What stands at the head of its row."""
        return f"{self.what}, {self.unit}" if self.unit else self.what

    def show(self, value: float) -> str:
        """The number as it is printed."""
        return f"{value * self.factor:,.{self.decimals}f}"


FIGURES: dict[str, Figure] = {
    "cpu_per_1000": Figure("CPU for 1,000 points", "ms", 1000.0),
    "cpu_share": Figure("CPU", "% of a core", 100.0, 1, compared=False),
    "watched_cpu_per_1000": Figure("CPU for 1,000 points, watched", "ms", 1000.0),
    "clients_share": Figure("CPU for the clients", "% of a core", 100.0, 2),
    "seen": Figure("readings that every client saw", "%", 100.0, 1, compared=False),
    "points_per_s": Figure("points", "1/s", 1.0, 0, compared=False),
    "rss": Figure("RSS", "MB", 1e-6, 1),
    "pss": Figure("PSS", "MB", 1e-6, 1),
    "rss_peak": Figure("RSS with helpers at most", "MB", 1e-6, 1, compared=False),
    "watched_s": Figure("watched for", "min", 1 / 60, 0, compared=False),
    "rss_slope": Figure("RSS slope", "MB/h", 3600e-6, 2, compared=False),
    "gap_p50_s": Figure("gap p50", "s", 1.0, 4, compared=False),
    "gap_p99_s": Figure("gap p99", "s", 1.0, 4, compared=False),
    "missed": Figure("periods missed", "%", 100.0, 3, compared=False),
    "latency_p50_s": Figure("latency p50", "ms", 1000.0),
    "latency_p99_s": Figure("latency p99", "ms", 1000.0),
    "lost": Figure("lost", "%", 100.0, 3, compared=False),
    "lost_points": Figure("points lost", "", 1.0, 0, compared=False),
    "lost_young_points": Figure("points lost, younger than a group at the kill", "", 1.0, 0, compared=False),
    "copies": Figure("readings that came again", "%", 100.0, 2, compared=False),
    "back_s": Figure("restart to first delivery", "s"),
    "reconnect_s": Figure("link back to first delivery", "s"),
    "start_first_s": Figure("start to first reading", "s"),
    "start_all_s": Figure("start to all devices read", "s"),
    "exchanges_per_s": Figure("exchanges", "1/s"),
    "of_limit": Figure("of the limit", "%", 100.0, 1, compared=False),
    "drain_per_s": Figure("points drained", "1/s", 1.0, 0),
    "live_delay_p50_s": Figure("live points meanwhile, p50", "s", 1.0, 1, compared=False),
    "live_delay_max_s": Figure("live points meanwhile, at most", "s", 1.0, 1, compared=False),
    "bytes_per_point": Figure("bytes a point", "B"),
    "written_per_day": Figure("written at 200 readings / s", "GB/day", 1e-9),
    "write_cpu_per_1000": Figure("CPU for 1,000 points stored", "ms", 1000.0),
    "read_columns_s": Figure("reading one point's span, as columns", "ms", 1000.0, 1),
    "read_span_s": Figure("reading one point's span, as samples", "ms", 1000.0, 1),
    "samples": Figure("samples in that span", "", 1.0, 0, compared=False),
    "readings_per_cpu_s": Figure("readings", "1/CPU s", 1.0, 0),
    "instances": Figure("rule instances", "", 1.0, 0, compared=False),
    "core_share": Figure("CPU at 5,000 readings / s", "% of a core", 100.0, 1, compared=False),
    "readings": Figure("readings", "", 1.0, 0, compared=False),
    "occurrences": Figure("occurrences", "", 1.0, 0, compared=False),
}


@dataclass(frozen=True, slots=True)
class Load:
    """One load: `name` is what `--only` takes; `lasts` tells about how many seconds it takes at a pace with
    these systems; `quick` whether `--quick` runs it, `peered` whether other gateways take part."""

    name: str
    title: str
    about: str
    run: Callable[[Stage, str], Iterator[Sample]]
    lasts: Callable[[Pace, Sequence[System]], float]
    quick: bool = True
    peered: bool = True


_POLLING = (
    "{} Modbus TCP devices of 20 registers, one request each a second. CPU, memory and the grid are taken"
    " while nobody looks on; then one listener follows every reading to where it first shows outside the"
    " system. Gaps and starts are seen at the devices."
)
LOADS: tuple[Load, ...] = (
    Load(
        "line",
        "One line at 9600 8N1, 20 devices",
        line.__doc__ or "",
        lambda s, n: line.run(s, n, 0),
        lambda p, _: line.lasts(p),
        peered=False,
    ),
    Load(
        "line-dead",
        "The same line, 5 of the 20 devices dead",
        "Exchanges of the 15 live devices, which want 15 a second.",
        lambda s, n: line.run(s, n, line.DEAD),
        lambda p, _: line.lasts(p),
        peered=False,
    ),
    Load(
        "poll-50",
        "50 Modbus TCP devices",
        _POLLING.format(50),
        lambda s, n: polling.run(s, n, 50, s.pace.repetitions),
        lambda p, systems: polling.lasts(p, systems, p.repetitions),
    ),
    Load(
        "poll-200",
        "200 Modbus TCP devices",
        _POLLING.format(200),
        lambda s, n: polling.run(s, n, 200, s.pace.repetitions),
        lambda p, systems: polling.lasts(p, systems, p.repetitions),
    ),
    Load(
        "messages",
        "500 MQTT messages a second",
        "50 devices, ten values a message. Losses of systems with a district are counted there, else at the"
        " watched place, which for this gateway shows at most two values a second of a point.",
        lambda s, n: messages.run(s, n, s.pace.side_repetitions),
        lambda p, systems: messages.lasts(p, systems, p.side_repetitions),
        quick=False,
    ),
    Load(
        "button",
        "Button to webhook",
        button.__doc__ or "",
        lambda s, n: button.run(s, n, s.pace.side_repetitions),
        lambda p, systems: button.lasts(p, systems, p.side_repetitions),
    ),
    Load(
        "kill",
        "kill -9 in an outage",
        "50 devices are polled; the link goes down, the system is killed, the link returns, it starts again."
        " Lost is what was read from the devices in the outage and never came; what was read within the last"
        f" {outage.YOUNG_S:.0f} s before the kill, a group of this gateway, is counted apart.",
        lambda s, n: outage.run(s, n, s.pace.side_repetitions),
        lambda p, systems: outage.lasts(p, systems, p.side_repetitions),
        quick=False,
    ),
    Load(
        "reconnect",
        "A cut link",
        reconnect.__doc__ or "",
        lambda s, n: reconnect.run(s, n, s.pace.side_repetitions),
        lambda p, systems: reconnect.lasts(p, systems, p.side_repetitions),
        quick=False,
    ),
    Load(
        "drain",
        "Drain after an outage",
        drain.__doc__ or "",
        lambda s, n: drain.run(s, n, s.pace.side_repetitions),
        lambda p, _: drain.lasts(p, p.side_repetitions),
        peered=False,
    ),
    Load(
        "dashboard",
        "20 people at the dashboard",
        dashboard.__doc__ or "",
        lambda s, n: dashboard.run(s, n, s.pace.side_repetitions),
        lambda p, _: dashboard.lasts(p, p.side_repetitions),
        quick=False,
        peered=False,
    ),
    Load(
        "rules",
        "Rules alone",
        rules.__doc__ or "",
        lambda s, n: rules.run(s, n, s.pace.repetitions),
        lambda p, _: rules.lasts(p, p.repetitions),
        peered=False,
    ),
    Load(
        "history",
        "History on disk",
        history.__doc__ or "",
        history.run,
        lambda p, _: history.lasts(p),
        peered=False,
    ),
    Load(
        "memory",
        "An hour of 10,000 points",
        memory.__doc__ or "",
        memory.run,
        lambda p, _: memory.lasts(p),
        quick=False,
        peered=False,
    ),
)
