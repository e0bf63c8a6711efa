"""The gateway's own numbers, as Prometheus families."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from drivers.line.counters import DeviceCounters
from edge.status.field import FieldStatus
from edge.status.parts import Parts
from edge.status.storage import storage_failure
from edge.synchronised import ClockState
from edge.web.services.lines import LineStatus
from edge.web.services.metrics import Metric


class Metrics:
    """Gathers the families whenever they are asked for; nothing is counted here."""

    def __init__(self, parts: Parts, field: FieldStatus) -> None:
        self._parts = parts
        self._field = field

    def families(self) -> Sequence[Metric]:
        """All of them, in a fixed order."""
        parts = self._parts
        return (
            *_of_readings(parts),
            *_of_storage(parts),
            *_of_clock(parts),
            *_of_pushes(parts),
            *_of_unwritten(parts),
            *_of_history(parts),
            *_of_devices(self._field.counters()),
            *_of_lines(self._field.lines()),
            *_of_tasks(parts),
        )


def _of_readings(parts: Parts) -> tuple[Metric, ...]:
    dropped = parts.collector.dropped + parts.recorder.dropped
    return (
        _one("campus_edge_readings_good_total", "Good readings published.", "counter", parts.latest.good),
        _one("campus_edge_readings_bad_total", "Bad readings published.", "counter", parts.latest.bad),
        _one("campus_edge_readings_stored_total", "Readings committed.", "counter", parts.store.stored),
        _one("campus_edge_readings_duplicate_total", "Second values of a point in one ms.", "counter",
             parts.store.duplicates),
        _one("campus_edge_readings_dropped_total", "Readings lost to full buffers.", "counter", dropped),
    )  # fmt: skip


def _of_storage(parts: Parts) -> tuple[Metric, ...]:
    folder = parts.folder
    failed = float(bool(storage_failure(parts)))
    copied = [salvage.progress for salvage, _ in folder.salvages]
    return (
        _one("campus_edge_store_held", "Readings not yet committed.", "gauge", parts.recorder.held),
        _one("campus_edge_store_failed", "1 while a file cannot be written.", "gauge", failed),
        _one("campus_edge_store_damage_found", "Damaged or lost files found by this start.", "gauge",
             len(folder.findings)),
        _one("campus_edge_salvage_rows", "Rows copied from damaged files in this run.", "gauge",
             sum(one.rows for one in copied)),
        _one("campus_edge_salvage_gaps", "Places of damaged files that could not be read.", "gauge",
             sum(one.gaps for one in copied)),
        _one("campus_edge_ballast_released_total", "Times that the ballast was given up.", "counter",
             folder.ballast.released),
    )  # fmt: skip


def _of_clock(parts: Parts) -> tuple[Metric, ...]:
    watch = parts.clock_watch
    return (
        _one("campus_edge_clock_synchronised", "1 while the clock is synchronised.", "gauge",
             float(watch.state is ClockState.SYNCED)),
        _one("campus_edge_clock_doubtful", "1 while rows may have to be dated anew.", "gauge",
             float(watch.doubtful)),
        _one("campus_edge_clock_moved_rows", "Rows that were dated anew in this run.", "gauge", watch.moved),
    )  # fmt: skip


def _of_pushes(parts: Parts) -> tuple[Metric, ...]:
    notifier = parts.notifier
    return (
        _one("campus_edge_pushes_held", "Pushes that stand in memory only.", "gauge", notifier.held),
        _one("campus_edge_pushes_delivered_total", "Pushes delivered.", "counter", notifier.delivered),
        _one("campus_edge_pushes_failed_total", "Pushes failed for good.", "counter", notifier.failed),
    )


def _of_unwritten(parts: Parts) -> tuple[Metric, ...]:
    unwritten = parts.unwritten
    return (
        _one("campus_edge_commands_unwritten", "Commands of sirens that stand in memory only.", "gauge",
             len(unwritten)),
        _one("campus_edge_commands_unwritten_total", "Commands of sirens that the disk refused.", "counter",
             unwritten.total),
        _one("campus_edge_commands_unwritten_lost_total", "Such commands that nobody wrote down.", "counter",
             unwritten.lost),
    )  # fmt: skip


def _of_history(parts: Parts) -> tuple[Metric, ...]:
    full = parts.archivist.occupancy
    known = (
        ("campus_edge_history_days_left", "Days until the store's budget is full.", full.days_left),
        ("campus_edge_history_bytes_per_day", "Bytes that a day takes, sealed.", full.bytes_per_day),
        ("campus_edge_history_bytes_per_point", "Bytes of a sealed reading.", full.bytes_per_point),
    )
    return (
        _one("campus_edge_history_bytes", "Bytes of all stored readings.", "gauge", full.used_bytes),
        _one("campus_edge_history_budget_bytes", "Bytes that they may take.", "gauge", full.max_bytes),
        *(_one(name, text, "gauge", value) for name, text, value in known if value is not None),
        Metric(
            "campus_edge_history_shed_total", "Readings given up for the budget, by what they were.",
            "counter", tuple(({"what": what}, float(n)) for what, n in full.shed_points.items()),
        ),
    )  # fmt: skip


def _of_devices(counters: Mapping[str, DeviceCounters]) -> tuple[Metric, ...]:
    return (
        Metric(
            "campus_edge_device_rounds_total", "Rounds that brought something good.", "counter",
            tuple(({"device": name}, float(c.ok)) for name, c in counters.items()),
        ),
        Metric(
            "campus_edge_device_errors_total", "Failures by reason.", "counter",
            tuple(
                ({"device": name, "reason": reason}, float(count))
                for name, c in counters.items()
                for reason, count in c.errors.items()
            ),
        ),
        Metric(
            "campus_edge_device_clock_offset_seconds", "How far a device's own clock is ahead.", "gauge",
            tuple(
                ({"device": name}, c.clock.offset_ms / 1000)
                for name, c in counters.items()
                if c.clock.offset_ms is not None
            ),
        ),
        Metric(
            "campus_edge_device_times_replaced_total", "Times of devices that were not believed.",
            "counter", tuple(
                ({"device": name}, float(c.clock.replaced))
                for name, c in counters.items()
                if c.clock.replaced
            ),
        ),
    )  # fmt: skip


def _of_lines(lines: Sequence[LineStatus]) -> tuple[Metric, ...]:
    return (
        Metric(
            "campus_edge_line_utilisation", "Share of time a line is busy.", "gauge",
            tuple(({"line": line.id}, line.utilisation) for line in lines),
        ),
        Metric(
            "campus_edge_line_exchanges_total", "Exchanges or messages of a line.", "counter",
            tuple(({"line": line.id}, float(line.exchanges)) for line in lines),
        ),
        Metric(
            "campus_edge_line_faults_total", "What was wrong on a line itself, by what it was.", "counter",
            tuple(
                ({"line": line.id, "fault": fault}, float(count))
                for line in lines
                for fault, count in line.faults.items()
            ),
        ),
    )  # fmt: skip


def _of_tasks(parts: Parts) -> tuple[Metric, ...]:
    return (
        Metric(
            "campus_edge_task_restarts_total", "Restarts of supervised tasks.", "counter",
            tuple(({"task": t.name}, float(t.restarts)) for t in parts.supervisor.tasks.values()),
        ),
        Metric(
            "campus_edge_queue_dropped_total", "Readings dropped by a full subscription.", "counter",
            tuple(({"queue": s.name}, float(s.dropped)) for s in parts.bus.subscriptions),
        ),
    )  # fmt: skip


def _one(name: str, text: str, kind: Literal["counter", "gauge"], value: float) -> Metric:
    return Metric(name, text, kind, (({}, float(value)),))
