"""Between the lines and the bus: readings are judged by what came before, counters corrected.

A reading that cannot follow the last one is bad (`rate`, `counter_fell`); a value that has not
moved for too long is stale (`stuck`); a counter's value becomes the corrected one.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence

from drivers.plausibility import TOO_FAST, PointWatch
from drivers.profile import PointMap
from drivers.reading import Batch, Millis, Origin, Quality, Reading, Value
from drivers.register import Change, Register, RegisterLimits
from drivers.settings import millis
from edge.config.configuration import Configuration, DeviceModel
from edge.store.registers import Corrected, PointKey, RegisterStore, Remembered

_LOG = logging.getLogger(__name__)
_GOOD, _LIVE = Quality.GOOD, Origin.LIVE

IDENTITIES: Mapping[str, Change] = {
    "serial_number": Change.REPLACED,
    "ct_ratio": Change.RATIO,
    "pt_ratio": Change.RATIO,
}
"""Points by which a meter tells that its counters begin anew."""

SAVE_EVERY_MS = 600_000
"""Counters' faces are kept this often, and at the end; a correction is kept at once."""


class Identity:
    """What a meter says of itself; its counters are told when that changes."""

    __slots__ = ("_change", "_registers", "value")

    def __init__(self, change: Change, registers: Sequence[Register], value: Value | None) -> None:
        self._change = change
        self._registers = registers
        self.value = value

    def heard(self, value: Value) -> None:
        """The device's present word."""
        if self.value is not None and value != self.value:
            for register in self._registers:
                register.announce(self._change)
        self.value = value


Watch = PointWatch | Register | Identity


class Screen:
    """Every point that is watched, by device and point; the others pass untouched."""

    def __init__(self, watches: Mapping[PointKey, Watch]) -> None:
        self._watches = watches
        self._by_device: dict[str, dict[str, Watch]] = {}
        for (device, point), watch in watches.items():
            self._by_device.setdefault(device, {})[point] = watch
        self._corrected: list[Corrected] = []

    def look(self, batch: Batch) -> list[Reading]:
        """The batch as it may go on; corrections wait in `corrections`."""
        by_device = self._by_device
        passed = list(batch)
        device, mine = "", by_device.get("")
        for number, reading in enumerate(batch):
            if reading[0] is not device:  # the readings of a device come together
                device = reading[0]
                mine = by_device.get(device)
            if mine is None:
                continue
            watch = mine.get(reading[1])
            if watch is None or reading[6] is not _GOOD or reading[2] is None:
                continue
            if type(watch) is PointWatch:
                if reading[8] is _LIVE:
                    reason = watch.judge(reading[2], reading[4])
                    if reason:
                        passed[number] = _doubted(reading, reason)
            elif type(watch) is Register:
                passed[number] = self._counted(watch, reading)
            elif type(watch) is Identity and reading[8] is _LIVE:
                watch.heard(reading[2])
        return passed

    def _counted(self, register: Register, reading: Reading) -> Reading:
        face = float(reading.value or 0)
        if reading.origin is Origin.BACKFILL:
            return reading._replace(value=register.past(face))
        taken = register.take(face, reading.at)
        if taken.correction is not None:
            self._corrected.append(Corrected(reading.device, reading.point, taken.correction))
        if taken.value is None:
            return reading._replace(value=None, quality=Quality.BAD, reason=taken.reason)
        return reading if taken.value == face else reading._replace(value=taken.value)

    def corrections(self) -> list[Corrected]:
        """The corrections since the last call."""
        corrected, self._corrected = self._corrected, []
        return corrected

    def known(self) -> Remembered:
        """What the next run must know."""
        registers = {k: w.state for k, w in self._watches.items() if isinstance(w, Register) and w.state}
        identities = {
            k: w.value for k, w in self._watches.items() if isinstance(w, Identity) and w.value is not None
        }
        return Remembered(registers, identities)


def _doubted(reading: Reading, reason: str) -> Reading:
    if reason == TOO_FAST:
        return reading._replace(value=None, quality=Quality.BAD, reason=reason)
    return reading._replace(quality=Quality.STALE, reason=reason)


def screen_of(configuration: Configuration, remembered: Remembered, haste: float = 1.0) -> Screen:
    """The watches of all configured devices, as the last run left them.

    `haste` is how many times faster than a real one this school lives (the demo's)."""
    watches: dict[PointKey, Watch] = {}
    for device, model in configuration.devices.items():
        for point, watch in _watches(configuration, model, remembered, haste):
            watches[device, point] = watch
    return Screen(watches)


def _watches(
    configuration: Configuration, model: DeviceModel, remembered: Remembered, haste: float
) -> Iterator[tuple[str, Watch]]:
    device = model.settings.id
    maps: Mapping[str, PointMap] = getattr(model.profile, "points", {})
    registers: list[Register] = []
    for point, spec in model.points.items():
        figures = configuration.vocabulary.plausibility.get(point)
        own = maps.get(point, PointMap())
        max_rate = own.max_rate or (figures.max_rate if figures else None)
        max_rate = None if max_rate is None else max_rate * haste
        if spec.counter and not spec.resets:
            limits = RegisterLimits(own.rollover(), max_rate, abs(own.scale))
            registers.append(Register(limits, remembered.registers.get((device, point))))
            yield point, registers[-1]
        elif max_rate is not None or (figures and figures.stuck_after):
            stuck = figures.stuck_after if figures else None
            yield point, PointWatch(max_rate, None if stuck is None else millis(stuck))
    for point in model.points:
        if point in IDENTITIES:
            yield point, Identity(IDENTITIES[point], registers, remembered.identities.get((device, point)))


class Screening:
    """The screen as a stage: what it corrects is durable before anybody hears of the readings."""

    def __init__(self, screen: Screen, store: RegisterStore, clock: Callable[[], Millis]) -> None:
        self._screen = screen
        self._store = store
        self._clock = clock
        self._unsaved: list[Corrected] = []
        self._saved_at = clock()
        self.corrected = 0
        self.last_error = ""

    async def look(self, batch: Batch) -> Batch:
        """The batch as it may go on."""
        passed = self._screen.look(batch)
        corrected = self._screen.corrections()
        for device, point, change in corrected:
            _LOG.warning(
                "%s/%s: %s: the meter went from %s to %s, counted on with offset %s",
                device, point, change.change, change.before, change.after, change.offset,
            )  # fmt: skip
        self.corrected += len(corrected)
        self._unsaved += corrected
        if corrected or self._clock() - self._saved_at >= SAVE_EVERY_MS:
            await self.save()
        return passed

    async def save(self) -> None:
        """Keeps the counters' states and the corrections that are not kept yet."""
        now = self._saved_at = self._clock()
        try:
            await self._store.save(self._screen.known(), self._unsaved, now)
        except sqlite3.OperationalError as error:  # full or read-only disk: readings go on, tried again
            if str(error) != self.last_error:
                _LOG.error("counters' states cannot be stored: %s", error)
            self.last_error = str(error)
        else:
            self.last_error = ""
            self._unsaved = []
