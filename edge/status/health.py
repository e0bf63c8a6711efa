"""Whether the gateway is well: one check for each thing that must be."""

from __future__ import annotations

from collections.abc import Mapping

from drivers.reading import Millis, Value
from edge.device_clocks import words
from edge.status.field import FieldStatus
from edge.status.parts import Parts
from edge.status.storage import check_history, check_store, storage_failure
from edge.web.services.health import Check, HealthReport, HealthWord

QUIET_FACTOR = 3
QUIET_LEAST_MS = 60_000
"""Data is late when nothing moved for three of the shortest periods, and at least a minute."""
DAMAGE_SAID_MS = 60_000
"""So long after a start the damage that it found stands as a condition; the alarm is latched."""


class Health:
    """Answers for the gateway as a whole: to people, to the watchdog and to the gateway's own rules."""

    def __init__(self, parts: Parts, field: FieldStatus) -> None:
        self._parts = parts
        self._field = field

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

    def report(self) -> HealthReport:
        """One check for each thing that must be well; the worst word decides."""
        checks = (
            self._check_data(),
            self._check_field(),
            check_store(self._parts),
            self._check_clock(),
            check_history(self._parts),
            self._check_alarms(),
            self._check_sync(),
            self._check_tasks(),
            self._check_configuration(),
        )
        return HealthReport(worst(checks), checks)

    def facts(self) -> Mapping[str, Value]:
        """What the gateway's own rules look at."""
        parts = self._parts
        fresh = parts.clock() - parts.started_at < DAMAGE_SAID_MS
        return {
            "storage_failed": bool(storage_failure(parts)),
            "storage_damaged": bool(parts.folder.findings) and fresh,
            "clock_doubtful": parts.clock_watch.doubtful,
            "device_clock_off": bool(self._clocks_off()),
            "push_failing": bool(parts.notifier.health.failing()),
            "configuration_faulty": bool(parts.misconfigured),
        }

    def _check_data(self) -> Check:
        moves = self.data_moves()
        return Check("data", "ok" if moves else "failed", "" if moves else "no reading came recently")

    def _check_field(self) -> Check:
        down = [line.id for line in self._field.lines() if not line.connected]
        silent = [name for name, c in self._field.counters().items() if c.state.value == "silent"]
        told = (
            f"lines down: {', '.join(down)}" if down else "",
            f"silent devices: {', '.join(silent[:20])}" if silent else "",
        )
        detail = "; ".join(text for text in told if text)
        return Check("field", "degraded" if detail else "ok", detail)

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
        return self._parts.device_clocks.off(self._field.counters())

    def _check_alarms(self) -> Check:
        parts = self._parts
        if parts.evaluator.last_error:
            return Check("alarms", "failed", parts.evaluator.last_error)
        errors = parts.notifier.errors
        detail = "; ".join(f"{name}: {error}" for name, error in errors.items())
        return Check("alarms", "degraded" if errors else "ok", detail)

    def _check_sync(self) -> Check:
        north = self._parts.north
        sending = [one.trouble for one in (*north.uploaders, *north.hourly.values())]
        faults = [fault for fault in (*sending, *(one.trouble for one in north.nightly.values())) if fault]
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


def worst(checks: tuple[Check, ...]) -> HealthWord:
    """The word of the check that is worst off."""
    ranked: tuple[HealthWord, ...] = ("failed", "degraded", "ok")
    return next(word for word in ranked if word == "ok" or any(c.status == word for c in checks))
