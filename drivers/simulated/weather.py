"""The weather over the virtual school: a June day at 34.5 degrees north, by hour and chance."""

from __future__ import annotations

import math
import random

from drivers.simulated.air import relative_humidity
from drivers.simulated.timetable import second_of_day

LATITUDE = math.radians(34.5)
DECLINATION = math.radians(22.9)  # 9 June
LUX_PER_W_M2 = 110.0


class Drift:
    """A value that wanders around 0 with standard deviation 1 and a memory of `tau_s`."""

    def __init__(self, rng: random.Random, tau_s: float) -> None:
        self._rng = rng
        self._tau_s = tau_s
        self.value = rng.gauss(0.0, 1.0)

    def step(self, seconds: float) -> float:
        """Moves on (the exact discrete Ornstein-Uhlenbeck step)."""
        keep = math.exp(-seconds / self._tau_s)
        self.value = self.value * keep + math.sqrt(1.0 - keep * keep) * self._rng.gauss(0.0, 1.0)
        return self.value


class Weather:
    """Outdoor air, sun, wind and rain. Units as in the vocabulary."""

    def __init__(self, seed: str) -> None:
        rng = random.Random(f"{seed}/weather")  # noqa: S311 - a repeatable world, not a secret
        self._cloud = Drift(rng, 3 * 3600.0)
        self._warmth = Drift(rng, 6 * 3600.0)
        self._gust = Drift(rng, 120.0)
        self._veer = Drift(rng, 3600.0)
        self._dust = Drift(rng, 2 * 3600.0)
        self._wet = rng.random() < 0.15
        self.temperature = 24.0
        self.moisture_g_kg = 11.5
        self.cloud = 0.3
        self.solar_irradiance = 0.0
        self.wind_speed = 2.0
        self.wind_direction = 135.0
        self.rain_mm_h = 0.0
        self.rainfall = 0.0
        self.pressure = 969.0
        self.pm25 = 35.0

    @property
    def humidity(self) -> float:
        """Relative humidity in %."""
        return relative_humidity(self.moisture_g_kg, self.temperature)

    @property
    def illuminance(self) -> float:
        """Daylight outdoors in lx."""
        return self.solar_irradiance * LUX_PER_W_M2

    def step(self, now_s: float, seconds: float) -> None:
        """Moves on to `now_s`, `seconds` behind the last step."""
        hour = second_of_day(now_s) / 3600.0
        warmth = self._warmth.step(seconds)
        self.cloud = 1.0 / (1.0 + math.exp(1.2 - 1.4 * self._cloud.step(seconds)))
        self.temperature = 26.0 + warmth + (6.0 - 2.5 * self.cloud) * math.cos((hour - 15.0) / 12.0 * math.pi)
        self.moisture_g_kg = 11.5 + 0.8 * warmth + 1.5 * self.cloud
        self.solar_irradiance = _clear_sky(hour) * (1.0 - 0.75 * self.cloud**3)
        calm = 1.6 + 1.2 * max(0.0, math.sin((hour - 8.0) / 12.0 * math.pi))
        self.wind_speed = max(0.1, calm * math.exp(0.4 * self._gust.step(seconds)))
        self.wind_direction = (135.0 + 40.0 * self._veer.step(seconds)) % 360.0
        raining = self._wet and self.cloud > 0.55
        self.rain_mm_h = 6.0 * (self.cloud - 0.55) if raining else 0.0
        self.rainfall += self.rain_mm_h * seconds / 3600.0
        self.pressure = 969.0 - 1.5 * warmth + 0.8 * math.cos((hour - 10.0) / 6.0 * math.pi)
        self.pm25 = 35.0 * math.exp(0.35 * self._dust.step(seconds))


def _clear_sky(solar_hour: float) -> float:
    """Global irradiance under a clear sky in W/m2 (Haurwitz 1945)."""
    angle = math.radians(15.0 * (solar_hour - 12.0))
    height = math.sin(LATITUDE) * math.sin(DECLINATION)
    height += math.cos(LATITUDE) * math.cos(DECLINATION) * math.cos(angle)
    return 1098.0 * height * math.exp(-0.057 / height) if height > 0.02 else 0.0
