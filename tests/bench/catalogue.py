"""What the benchmark measures: the loads in their order, and what each figure is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.bench.loads import button, drain, history, line, memory, messages, outage, polling, rules
from tests.bench.stage import Sample, Stage


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: its title with the unit it is shown in, the factor from SI to that unit, decimals."""

    title: str
    factor: float = 1.0
    decimals: int = 2
    compared: bool = True

    def show(self, value: float) -> str:
        """The number as it is printed."""
        return f"{value * self.factor:,.{self.decimals}f}"


FIGURES: dict[str, Figure] = {
    "cpu_per_1000": Figure("CPU ms / 1,000 points", 1000.0),
    "cpu_share": Figure("CPU, % of a core", 100.0, 1, compared=False),
    "watched_cpu_per_1000": Figure("CPU ms / 1,000 points, watched", 1000.0),
    "points_per_s": Figure("points / s", 1.0, 0, compared=False),
    "rss": Figure("RSS, MB", 1e-6, 1),
    "pss": Figure("PSS, MB", 1e-6, 1),
    "rss_peak": Figure("RSS with helpers at most, MB", 1e-6, 1, compared=False),
    "rss_slope": Figure("RSS slope, MB / h", 3600e-6, 2, compared=False),
    "gap_p50_s": Figure("gap p50, s", 1.0, 4, compared=False),
    "gap_p99_s": Figure("gap p99, s", 1.0, 4, compared=False),
    "missed": Figure("periods missed, %", 100.0, 3, compared=False),
    "latency_p50_s": Figure("latency p50, ms", 1000.0),
    "latency_p99_s": Figure("latency p99, ms", 1000.0),
    "lost": Figure("lost, %", 100.0, 3, compared=False),
    "lost_points": Figure("points lost", 1.0, 0, compared=False),
    "lost_young_points": Figure("points lost, younger than 6 s at the kill", 1.0, 0, compared=False),
    "copies": Figure("readings that came again, %", 100.0, 2, compared=False),
    "back_s": Figure("restart to first delivery, s"),
    "start_first_s": Figure("start to first reading, s"),
    "start_all_s": Figure("start to all devices read, s"),
    "exchanges_per_s": Figure("exchanges / s"),
    "of_limit": Figure("of the limit, %", 100.0, 1, compared=False),
    "drain_per_s": Figure("points drained / s", 1.0, 0),
    "live_delay_p50_s": Figure("live points meanwhile, p50 s", 1.0, 1, compared=False),
    "live_delay_max_s": Figure("live points meanwhile, max s", 1.0, 1, compared=False),
    "bytes_per_point": Figure("bytes / point"),
    "written_per_day": Figure("written at 200 readings / s, GB / day", 1e-9),
    "write_cpu_per_1000": Figure("CPU ms / 1,000 points stored", 1000.0),
    "read_span_s": Figure("reading one point's span, ms", 1000.0, 1),
    "samples": Figure("samples in that span", 1.0, 0, compared=False),
    "readings_per_cpu_s": Figure("readings / CPU s", 1.0, 0),
    "instances": Figure("rule instances", 1.0, 0, compared=False),
    "core_share": Figure("of a core at 5,000 readings / s, %", 100.0, 1, compared=False),
    "readings": Figure("readings", 1.0, 0, compared=False),
    "occurrences": Figure("occurrences", 1.0, 0, compared=False),
}


@dataclass(frozen=True, slots=True)
class Load:
    """One load: `name` is what `--only` takes; `quick` tells whether `--quick` runs it, `peered` whether
    other gateways take part."""

    name: str
    title: str
    about: str
    run: Callable[[Stage, str], Iterator[Sample]]
    quick: bool = True
    peered: bool = True


_POLLING = (
    "{} Modbus TCP devices of 20 registers, one request each a second. CPU, memory and the grid are taken"
    " while nobody looks on; then one listener follows every reading to where it first shows outside the"
    " system. Gaps and starts are seen at the devices."
)
LOADS: tuple[Load, ...] = (
    Load("line", "One line at 9600 8N1, 20 devices", line.__doc__ or "", lambda s, n: line.run(s, n, 0)),
    Load(
        "line-dead",
        "The same line, 5 of the 20 devices dead",
        "Exchanges of the 15 live devices, which want 15 a second.",
        lambda s, n: line.run(s, n, line.DEAD),
    ),
    Load(
        "poll-50",
        "50 Modbus TCP devices",
        _POLLING.format(50),
        lambda s, n: polling.run(s, n, 50, s.pace.repetitions),
        quick=False,
    ),
    Load(
        "poll-200",
        "200 Modbus TCP devices",
        _POLLING.format(200),
        lambda s, n: polling.run(s, n, 200, s.pace.repetitions),
    ),
    Load(
        "messages",
        "500 MQTT messages a second",
        "50 devices, ten values a message. Losses of systems with a district are counted there, else at the"
        " watched place, which for this gateway shows at most two values a second of a point.",
        lambda s, n: messages.run(s, n, s.pace.side_repetitions),
        quick=False,
    ),
    Load(
        "button",
        "Button to webhook",
        button.__doc__ or "",
        lambda s, n: button.run(s, n, s.pace.side_repetitions),
    ),
    Load(
        "kill",
        "kill -9 in an outage",
        "50 devices are polled; the link goes down, the system is killed, the link returns, it starts again."
        " Lost is what was read from the devices in the outage and never came.",
        lambda s, n: outage.run(s, n, s.pace.side_repetitions),
        quick=False,
    ),
    Load(
        "drain",
        "Drain after an outage",
        drain.__doc__ or "",
        lambda s, n: drain.run(s, n, s.pace.side_repetitions),
    ),
    Load(
        "rules",
        "Rules alone",
        rules.__doc__ or "",
        lambda s, n: rules.run(s, n, s.pace.repetitions),
        peered=False,
    ),
    Load("history", "History on disk", history.__doc__ or "", history.run, peered=False),
    Load("memory", "An hour of 10,000 points", memory.__doc__ or "", memory.run, quick=False, peered=False),
)
