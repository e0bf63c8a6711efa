"""What a line and its devices went through, counted, and the likely cause in a word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from drivers.device_clock import DeviceClock
from drivers.line.recent import Recent
from drivers.reading import Millis

SILENT_AFTER = 3
"""Failed rounds in a row after which a device counts as silent and is only probed."""
GARBLED_AFTER = 12
"""The same for a device of which bytes are heard, but no frame."""


class DeviceState(StrEnum):
    """How a device answers."""

    UNKNOWN = "unknown"
    OK = "ok"
    DEGRADED = "degraded"  # the last round failed, or parts of it
    SILENT = "silent"


class Cause(StrEnum):
    """The likely cause of a failure, for a person with a screwdriver."""

    POWER_OR_WIRING = "power_or_wiring"
    BAUDRATE_OR_FRAMING = "baudrate_or_framing"
    WRONG_ADDRESS = "wrong_address"
    NOISE = "noise"
    REFUSED = "refused"
    LINE_DOWN = "line_down"
    CLOCK = "clock"  # it answers, but its own clock is wrong


@dataclass(slots=True)
class DeviceCounters:
    """One device's counters; plain numbers, read by health, API and metrics."""

    ok: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    failures: int = 0
    """Failed rounds in a row."""
    last_good: Millis | None = None
    last_error: str = ""
    retries: int = 0
    missed: int = 0
    """Periods skipped because the line was busy."""
    latencies_ms: Recent = field(default_factory=lambda: Recent(128))
    clock: DeviceClock = field(default_factory=DeviceClock)
    """The device's own clock, where it has one."""

    def succeeded(self, at: Millis, partly: bool) -> None:
        """A round brought at least one good reading; `partly`: not all."""
        self.ok += 1
        self.failures = 0
        self.last_good = at
        if not partly:
            self.last_error = ""

    def failed(self, reason: str) -> None:
        """A round brought nothing good."""
        self.failures += 1
        self.last_error = reason

    @property
    def patience(self) -> int:
        """Failed rounds in a row that make this device silent, by how it fails."""
        return SILENT_AFTER if self.last_error in ("timeout", "line_down") else GARBLED_AFTER

    @property
    def state(self) -> DeviceState:
        """`silent` after `patience` failed rounds in a row."""
        if self.failures >= self.patience:
            return DeviceState.SILENT
        if self.failures or self.last_error:
            return DeviceState.DEGRADED
        return DeviceState.OK if self.ok else DeviceState.UNKNOWN

    @property
    def cause(self) -> Cause | None:
        """The likely cause of the present trouble, `None` when there is none."""
        if self.state in (DeviceState.OK, DeviceState.UNKNOWN):
            return Cause.CLOCK if self.clock.off else None
        reason = self.last_error
        if reason.startswith("exception") or reason == "not_supported":
            return Cause.REFUSED
        named = {
            "line_down": Cause.LINE_DOWN,
            "wrong_address": Cause.WRONG_ADDRESS,
            "payload": Cause.NOISE,
            "offline": Cause.POWER_OR_WIRING,
            "timeout": Cause.POWER_OR_WIRING,
        }
        if reason in named:
            return named[reason]
        return Cause.NOISE if self.ok else Cause.BAUDRATE_OR_FRAMING


@dataclass(slots=True)
class LineCounters:
    """One line's counters."""

    exchanges: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    opened: int = 0
    connected_since: Millis | None = None
    last_error: str = ""
    busy_s: float = 0.0
    measured_s: float = 0.0
    utilisation: float = 0.0
    oldest_due_ms: float = 0.0

    def worked(self, busy_s: float, elapsed_s: float) -> None:
        """Adds a stretch of time; utilisation is the share of the last minute or so."""
        self.busy_s += busy_s
        self.measured_s += elapsed_s
        if self.measured_s >= 10.0:
            share = min(1.0, self.busy_s / self.measured_s)
            self.utilisation = share if not self.utilisation else 0.5 * self.utilisation + 0.5 * share
            self.busy_s = self.measured_s = 0.0
        elif not self.utilisation and self.measured_s >= 1.0:
            self.utilisation = min(1.0, self.busy_s / self.measured_s)


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value below which `share` (0..1) of the values lie; None for no values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
