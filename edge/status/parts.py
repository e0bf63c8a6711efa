"""What the gateway's status is gathered from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.line.arbiter import Arbiter
from drivers.line.listener import Listener
from drivers.reading import Millis
from edge.bus import ReadingBus
from edge.config.fault import Fault
from edge.device_clocks import DeviceClocks
from edge.northbound import Northbound
from edge.pipeline.clock_watch import ClockWatch
from edge.pipeline.collector import Collector
from edge.pipeline.evaluator import Evaluator
from edge.pipeline.live import Latest
from edge.pipeline.notifier import Notifier
from edge.pipeline.recorder import Recorder
from edge.pipeline.unwritten import Unwritten
from edge.store.archivist import Archivist
from edge.store.folder import DataFolder
from edge.store.readings import ReadingStore
from edge.supervisor import Supervisor

if TYPE_CHECKING:
    from drivers.mqtt.broker import MqttBroker


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
    unwritten: Unwritten
    misconfigured: Sequence[Fault] = ()
    """The faults of the configuration that should run, while an earlier one stands in for it."""
