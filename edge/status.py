"""How lines, devices, destinations and the gateway itself fare, gathered for whoever asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from cloud_sync.reconcile import Reconciliation
from cloud_sync.uploader import Uploader
from drivers.line.arbiter import Arbiter
from drivers.line.counters import DeviceCounters, LineCounters, percentile
from drivers.line.listener import Listener
from drivers.mqtt.broker import MqttBroker
from drivers.reading import Millis, Value
from edge.bus import ReadingBus
from edge.config.fault import Fault
from edge.device_clocks import DeviceClocks, words
from edge.northbound import Northbound
from edge.pipeline.clock_watch import ClockWatch
from edge.pipeline.collector import Collector
from edge.pipeline.evaluator import Evaluator
from edge.pipeline.live import Latest
from edge.pipeline.notifier import Notifier
from edge.pipeline.recorder import Recorder
from edge.store.archivist import Archivist
from edge.store.folder import DataFolder
from edge.store.readings import ReadingStore
from edge.supervisor import Supervisor
from edge.synchronised import ClockState
from edge.web.services import (
    Check,
    Compared,
    DeviceHealth,
    HealthReport,
    HealthWord,
    LineStatus,
    Metric,
    Quarantined,
    SyncStatus,
)

QUIET_FACTOR = 3
QUIET_LEAST_MS = 60_000
DAMAGE_SAID_MS = 60_000
"""So long after a start the damage that it found stands as a condition; the alarm is latched."""
"""Data is late when nothing moved for three of the shortest periods, and at least a minute."""


def device_health(device: str, counters: DeviceCounters) -> DeviceHealth:
    """One device's counters as the dashboard shows them."""
    latencies = counters.latencies_ms
    return DeviceHealth(
        device=device,
        state=counters.state.value,
        last_good=counters.last_good,
        ok=counters.ok,
        errors=dict(counters.errors),
        latency_p50_ms=percentile(latencies, 0.5),
        latency_p95_ms=percentile(latencies, 0.95),
        cause=counters.cause.value if counters.cause else None,
        clock_offset_ms=counters.clock.offset_ms,
        clock_replaced=counters.clock.replaced,
    )


@dataclass(frozen=True, slots=True)
class Parts:
    """What the status is gathered from; the composition root fills it."""

    started_at: Millis
    clock: Callable[[], Millis]
    arbiters: Sequence[Arbiter | Listener]
    brokers: Sequence[MqttBroker]
    north: Northbound
    supervisor: Supervisor
    bus: ReadingBus
    collector: Collector
    recorder: Recorder
    store: ReadingStore
    evaluator: Evaluator
    notifier: Notifier
    latest: Latest
    shortest_period_ms: Millis | None
    """The shortest polling period, `None` when nothing is polled."""
    archivist: Archivist
    folder: DataFolder
    clock_watch: ClockWatch
    device_clocks: DeviceClocks
    misconfigured: Sequence[Fault] = ()
    """The faults of the configuration that should run, while an earlier one stands in for it."""


class Status:
    """Answers for lines, devices, sync, health and metrics."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @property
    def parts(self) -> Parts:
        """What it is gathered from."""
        return self._parts

    def counters(self) -> Mapping[str, DeviceCounters]:
        """Every device's counters."""
        found = {d.id: d.counters for arbiter in self._parts.arbiters for d in arbiter.devices.values()}
        for broker in self._parts.brokers:
            found.update(broker.devices)
        return found

    def device(self, device: str) -> DeviceHealth:
        """One device's health; KeyError when there is none."""
        counters = self.counters()[device]
        self._parts.device_clocks.note({device: counters})
        return device_health(device, counters)

    def lines(self) -> Sequence[LineStatus]:
        """Every line with its devices."""
        found = []
        for arbiter in self._parts.arbiters:
            devices = {d.id: d.counters for d in arbiter.devices.values()}
            found.append(_line(arbiter.line.id, arbiter.line.url, arbiter.counters, devices))
        for broker in self._parts.brokers:
            found.append(_line(broker.line.id, broker.line.url, broker.counters, broker.devices))
        return found

    async def sync(self) -> Sequence[SyncStatus]:
        """Every destination."""
        return [await self._destination(uploader) for uploader in self._parts.north.uploaders]

    async def _destination(self, uploader: Uploader) -> SyncStatus:
        status = await uploader.status()
        north = self._parts.north
        quarantine = north.quarantine
        parked = await quarantine.list(status.id)
        stand_in = north.stand_ins.get(status.id)
        hourly, nightly = north.hourly.get(status.id), north.nightly.get(status.id)
        return SyncStatus(
            id=status.id,
            url=status.url,
            stand_in=stand_in is not None,
            pending=status.pending,
            oldest_pending=status.oldest,
            last_success=status.last_success,
            rate_per_s=status.rate_per_s,
            sent=status.sent,
            quarantined=await quarantine.count(status.id),
            quarantine=tuple(Quarantined(p.at, p.line, p.status, p.reason) for p in parked),
            blocked=status.blocked,
            reason=status.reason or status.fault,
            received=await stand_in.points() if stand_in else None,
            hours_pending=None if hourly is None else (await hourly.status()).pending,
            hours_trouble="" if hourly is None else hourly.trouble,
            compared=None if nightly is None or nightly.last is None else _compared(nightly.last),
        )

    def data_moves(self) -> bool:
        """Whether readings (good or bad) came recently enough, or none are due.

        Storing is not asked here: a full disk must not make the watchdog restart us again and again.
        """
        parts = self._parts
        if parts.shortest_period_ms is None:
            return True
        patience = max(QUIET_LEAST_MS, QUIET_FACTOR * parts.shortest_period_ms)
        last = max(parts.latest.last_at or 0, parts.started_at)
        return parts.clock() - last <= patience

    def health(self) -> HealthReport:
        """One check for each thing that must be well; the worst word decides."""
        checks = (
            self._check_data(),
            self._check_lines(),
            self._check_store(),
            self._check_clock(),
            self._check_history(),
            self._check_alarms(),
            self._check_sync(),
            self._check_tasks(),
            self._check_configuration(),
        )
        words: tuple[HealthWord, ...] = ("failed", "degraded", "ok")
        worst = next(word for word in words if word == "ok" or any(c.status == word for c in checks))
        return HealthReport(worst, checks)

    def _check_data(self) -> Check:
        moves = self.data_moves()
        return Check("data", "ok" if moves else "failed", "" if moves else "no reading came recently")

    def _check_lines(self) -> Check:
        down = [line.id for line in self.lines() if not line.connected]
        silent = [name for name, c in self.counters().items() if c.state.value == "silent"]
        detail = "; ".join(
            text
            for text in (
                f"lines down: {', '.join(down)}" if down else "",
                f"silent devices: {', '.join(silent[:20])}" if silent else "",
            )
            if text
        )
        return Check("field", "degraded" if detail else "ok", detail)

    def _check_store(self) -> Check:
        failure = self._storage_failure()
        if failure:
            return Check("store", "failed", f"storage failed: {failure}")
        told = [f"{f.file}: {f.detail}" for f in self._parts.folder.findings]
        told += [
            f"{salvage.source.name}: {salvage.progress.rows} rows copied so far"
            for salvage, _ in self._parts.folder.salvages
            if not salvage.progress.done
        ]
        return Check("store", "degraded" if told else "ok", "; ".join(told))

    def _check_clock(self) -> Check:
        watch = self._parts.clock_watch
        if watch.doubtful:
            held = "; what is measured is not sent yet" if watch.holding else ""
            return Check("clock", "degraded", f"the clock was not set since the machine started{held}")
        if off := self._clocks_off():
            return Check("clock", "degraded", words(off))
        return Check("clock", "ok", watch.state.value)

    def _clocks_off(self) -> Mapping[str, Millis]:
        """Devices whose own clocks are wrong; none is judged by a clock that is doubted itself."""
        if self._parts.clock_watch.doubtful:
            return {}
        return self._parts.device_clocks.off(self.counters())

    def _storage_failure(self) -> str:
        """Why something cannot be written, empty when all can."""
        parts = self._parts
        error = (
            parts.recorder.last_error
            or parts.evaluator.last_error
            or parts.folder.core.error
            or parts.folder.telemetry.error
        )
        return f"{error}; {parts.recorder.held} readings held in memory" if error else ""

    def facts(self) -> Mapping[str, Value]:
        """What the gateway's own rules look at."""
        parts = self._parts
        fresh = parts.clock() - parts.started_at < DAMAGE_SAID_MS
        return {
            "storage_failed": bool(self._storage_failure()),
            "storage_damaged": bool(parts.folder.findings) and fresh,
            "clock_doubtful": parts.clock_watch.doubtful,
            "device_clock_off": bool(self._clocks_off()),
            "push_failing": bool(parts.notifier.health.failing()),
            "configuration_faulty": bool(parts.misconfigured),
        }

    def _check_history(self) -> Check:
        """How full the store is, in bytes and in days."""
        archivist = self._parts.archivist
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

    def _check_alarms(self) -> Check:
        parts = self._parts
        if parts.evaluator.last_error:
            return Check("alarms", "failed", parts.evaluator.last_error)
        errors = parts.notifier.errors
        detail = "; ".join(f"{name}: {error}" for name, error in errors.items())
        return Check("alarms", "degraded" if errors else "ok", detail)

    def _check_sync(self) -> Check:
        north = self._parts.north
        faults = [u.trouble for u in (*north.uploaders, *north.hourly.values()) if u.trouble]
        return Check("sync", "degraded" if faults else "ok", "; ".join(faults))

    def _check_tasks(self) -> Check:
        failing = [t.name for t in self._parts.supervisor.tasks.values() if t.last_error and not t.running]
        return Check("tasks", "degraded" if failing else "ok", ", ".join(failing))

    def _check_configuration(self) -> Check:
        faults = self._parts.misconfigured
        if not faults:
            return Check("configuration", "ok")
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        detail = f"faulty, the last good one runs: {faults[0]}{more}"
        return Check("configuration", "degraded", detail)

    def metrics(self) -> Sequence[Metric]:
        """The gateway's own numbers for Prometheus."""
        parts = self._parts
        counters = self.counters()
        plain: tuple[Metric, ...] = (
            _one("campus_edge_readings_good_total", "Good readings published.", "counter", parts.latest.good),
            _one("campus_edge_readings_bad_total", "Bad readings published.", "counter", parts.latest.bad),
            _one("campus_edge_readings_stored_total", "Readings committed.", "counter", parts.store.stored),
            _one("campus_edge_readings_duplicate_total", "Second values of a point in one ms.", "counter",
                 parts.store.duplicates),
            _one("campus_edge_readings_dropped_total", "Readings lost to full buffers.", "counter",
                 parts.collector.dropped + parts.recorder.dropped),
            _one("campus_edge_store_held", "Readings not yet committed.", "gauge", parts.recorder.held),
            _one("campus_edge_store_failed", "1 while a file cannot be written.", "gauge",
                 float(bool(self._storage_failure()))),
            _one("campus_edge_store_damage_found", "Damaged or lost files found by this start.", "gauge",
                 len(parts.folder.findings)),
            _one("campus_edge_salvage_rows", "Rows copied from damaged files in this run.", "gauge",
                 sum(s.progress.rows for s, _ in parts.folder.salvages)),
            _one("campus_edge_salvage_gaps", "Places of damaged files that could not be read.", "gauge",
                 sum(s.progress.gaps for s, _ in parts.folder.salvages)),
            _one("campus_edge_ballast_released_total", "Times that the ballast was given up.", "counter",
                 parts.folder.ballast.released),
            _one("campus_edge_clock_synchronised", "1 while the clock is synchronised.", "gauge",
                 float(parts.clock_watch.state is ClockState.SYNCED)),
            _one("campus_edge_clock_doubtful", "1 while rows may have to be dated anew.", "gauge",
                 float(parts.clock_watch.doubtful)),
            _one("campus_edge_clock_moved_rows", "Rows that were dated anew in this run.", "gauge",
                 parts.clock_watch.moved),
            _one("campus_edge_pushes_held", "Pushes that stand in memory only.", "gauge",
                 parts.notifier.held),
            _one("campus_edge_pushes_delivered_total", "Pushes delivered.", "counter",
                 parts.notifier.delivered),
            _one("campus_edge_pushes_failed_total", "Pushes failed for good.", "counter",
                 parts.notifier.failed),
        )  # fmt: skip
        full = parts.archivist.occupancy
        known = (
            ("campus_edge_history_days_left", "Days until the store's budget is full.", full.days_left),
            ("campus_edge_history_bytes_per_day", "Bytes that a day takes, sealed.", full.bytes_per_day),
            ("campus_edge_history_bytes_per_point", "Bytes of a sealed reading.", full.bytes_per_point),
        )
        occupancy = (
            _one("campus_edge_history_bytes", "Bytes of all stored readings.", "gauge", full.used_bytes),
            _one("campus_edge_history_budget_bytes", "Bytes that they may take.", "gauge", full.max_bytes),
            *(_one(name, text, "gauge", value) for name, text, value in known if value is not None),
            Metric(
                "campus_edge_history_shed_total", "Readings given up for the budget, by what they were.",
                "counter", tuple(({"what": what}, float(n)) for what, n in full.shed_points.items()),
            ),
        )  # fmt: skip
        labelled = (
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
            Metric(
                "campus_edge_line_utilisation", "Share of time a line is busy.", "gauge",
                tuple(({"line": line.id}, line.utilisation) for line in self.lines()),
            ),
            Metric(
                "campus_edge_task_restarts_total", "Restarts of supervised tasks.", "counter",
                tuple(({"task": t.name}, float(t.restarts)) for t in parts.supervisor.tasks.values()),
            ),
            Metric(
                "campus_edge_queue_dropped_total", "Readings dropped by a full subscription.", "counter",
                tuple(({"queue": s.name}, float(s.dropped)) for s in parts.bus.subscriptions),
            ),
        )  # fmt: skip
        return plain + occupancy + labelled


def _compared(found: Reconciliation) -> Compared:
    return Compared(
        found.at,
        found.same,
        len(found.days),
        sum(day.values for day in found.days),
        sum(day.missing for day in found.days),
        sum(day.resent for day in found.days),
        sum(day.still for day in found.days),
        sum(day.surplus for day in found.days),
        found.spot.asked,
        found.spot.wrong,
        found.reason,
    )


def _one(name: str, text: str, kind: str, value: float) -> Metric:
    return Metric(name, text, "counter" if kind == "counter" else "gauge", (({}, float(value)),))


def _line(name: str, url: str, counters: LineCounters, devices: Mapping[str, DeviceCounters]) -> LineStatus:
    scheme = urlsplit(url).scheme
    return LineStatus(
        id=name,
        url=url,
        kind="mqtt" if scheme.startswith("mqtt") else "tcp" if scheme == "tcp" else "serial",
        connected=counters.connected_since is not None,
        since=counters.connected_since,
        utilisation=round(counters.utilisation, 4),
        queue_age=round(counters.oldest_due_ms),
        last_error=counters.last_error,
        devices=tuple(device_health(device, c) for device, c in devices.items()),
    )
