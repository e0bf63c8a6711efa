"""What meters of the virtual school see: electricity by phase, volumes, passes and buttons.

Counters integrate over simulated time, so power, current, voltage and energy agree.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from drivers.simulated.room import Room
from drivers.simulated.timetable import is_school_day, second_of_day
from drivers.simulated.weather import Drift

NOMINAL_V = 227.0
PHASES = (0, 1, 2)


class ElectricMeter:
    """Three phases that feed a subtree of spaces. Volts, amperes, kW, kWh."""

    def __init__(self, space: str, rooms: Sequence[Room], seed: str) -> None:
        rng = random.Random(f"{seed}/electric/{space}")  # noqa: S311 - a repeatable world
        self._rooms = tuple(rooms)
        self._sag = [Drift(rng, 300.0) for _ in PHASES]
        self._grid = Drift(rng, 60.0)
        self._shift = rng.randrange(3)
        self.power_kw = [0.0, 0.0, 0.0]
        self.voltage_v = [NOMINAL_V] * 3
        self.energy_kwh = rng.uniform(8_000.0, 60_000.0)
        self.max_demand_kw = 0.0
        self._demand_kw = 0.0

    @property
    def total_kw(self) -> float:
        """Active power of all phases."""
        return sum(self.power_kw)

    @property
    def power_factor(self) -> float:
        """The lamps and sockets at 0.95, the compressors at 0.87."""
        compressor = sum(room.ac_w for room in self._rooms) / 1000.0
        total = self.total_kw
        share = min(1.0, compressor / total) if total > 0.0 else 0.0
        return 0.95 - 0.08 * share

    @property
    def apparent_kva(self) -> float:
        """Apparent power of all phases."""
        return self.total_kw / self.power_factor

    @property
    def reactive_kvar(self) -> float:
        """Reactive power of all phases, inductive."""
        return math.sqrt(max(0.0, self.apparent_kva**2 - self.total_kw**2))

    @property
    def frequency_hz(self) -> float:
        """Of the grid."""
        return 50.0 + 0.015 * self._grid.value

    @property
    def demand_kw(self) -> float:
        """Sliding mean of the power over about 15 minutes."""
        return self._demand_kw

    def current_a(self, phase: int) -> float:
        """Current of one phase (0..2)."""
        return self.power_kw[phase] * 1000.0 / (self.voltage_v[phase] * self.power_factor)

    def step(self, seconds: float) -> None:
        """Takes the rooms' power of now and integrates it."""
        power = [0.0, 0.0, 0.0]
        for index, room in enumerate(self._rooms):
            phase = (index + self._shift) % 3
            power[phase] += (room.light_w + room.plug_w) / 1000.0
            for each in PHASES:  # air conditioners of these sizes are three-phase
                power[each] += room.ac_w / 3000.0
        self.power_kw = power
        self._grid.step(seconds)
        for each in PHASES:
            self.voltage_v[each] = NOMINAL_V + 1.5 * self._sag[each].step(seconds) - 0.08 * power[each]
        self.energy_kwh += self.total_kw * seconds / 3600.0
        self._demand_kw += (self.total_kw - self._demand_kw) * (1.0 - math.exp(-seconds / 900.0))
        self.max_demand_kw = max(self.max_demand_kw, self._demand_kw)


class FlowMeter:
    """Water or gas into a subtree of spaces: m3/h and m3."""

    def __init__(self, space: str, rooms: Sequence[Room], seed: str, medium: str) -> None:
        rng = random.Random(f"{seed}/{medium}/{space}")  # noqa: S311 - a repeatable world
        self._rooms = tuple(rooms)
        self._medium = medium
        self.flow_m3_h = 0.0
        self.volume_m3 = rng.uniform(300.0, 9_000.0)

    def step(self, seconds: float) -> None:
        """Takes the flow of now and integrates it."""
        self.flow_m3_h = sum(
            room.gas_m3_h if self._medium == "gas" else room.water_m3_h for room in self._rooms
        )
        self.volume_m3 += self.flow_m3_h * seconds / 3600.0


class Gate:
    """A gate that counts persons in and out."""

    def __init__(self, space: str, pupils: int, seed: str) -> None:
        self._rng = random.Random(f"{seed}/gate/{space}")  # noqa: S311 - a repeatable world
        self._pupils = pupils
        self.passes_in = self._rng.randrange(20_000, 90_000)
        self.passes_out = self.passes_in - self._rng.randrange(0, 60)

    def step(self, now_s: float, seconds: float) -> None:
        """Lets people pass."""
        coming, going = _traffic(now_s, self._pupils)
        self.passes_in += self._passes(coming, seconds)
        self.passes_out += self._passes(going, seconds)

    def _passes(self, per_hour: float, seconds: float) -> int:
        mean = per_hour * seconds / 3600.0
        if mean > 20.0:
            return max(0, round(self._rng.gauss(mean, math.sqrt(mean))))
        return sum(self._rng.random() < mean / 40.0 for _ in range(40))


class Button:
    """An emergency button that stays in until somebody releases it with the key."""

    def __init__(self, device: str, seed: str) -> None:
        self._rng = random.Random(f"{seed}/button/{device}")  # noqa: S311 - a repeatable world
        self.pressed = False
        self._next_s = self._rng.expovariate(1.0 / (6 * 86_400.0))
        self._release_s = 0.0

    def press(self, now_s: float, hold_s: float) -> None:
        """Somebody presses; the guard comes after `hold_s`."""
        self.pressed = True
        self._release_s = now_s + hold_s

    def step(self, now_s: float, seconds: float) -> None:
        """By chance about every six days; held for some minutes."""
        if self.pressed and now_s >= self._release_s:
            self.pressed = False
        self._next_s -= seconds
        if self._next_s <= 0.0:
            self._next_s = self._rng.expovariate(1.0 / (6 * 86_400.0))
            self.press(now_s, self._rng.uniform(180.0, 600.0))


def _traffic(now_s: float, pupils: int) -> tuple[float, float]:
    """Persons per hour in and out: the morning's three quarters of an hour bring all pupils."""
    if not is_school_day(now_s):
        return 6.0, 6.0
    hour = second_of_day(now_s) / 3600.0
    if 7.2 <= hour < 7.95:
        return pupils / 0.75, 12.0
    if 17.2 <= hour < 17.9:
        return 10.0, pupils / 0.7
    if 6.0 <= hour < 21.0:
        return 45.0, 40.0  # parents, deliveries, teachers
    return 0.5, 0.5
