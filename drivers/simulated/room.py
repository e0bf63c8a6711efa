"""One room of the virtual school: people, windows, air conditioner, lights and what follows from them."""

from __future__ import annotations

import math
import random

from drivers.simulated import air
from drivers.simulated.spaces import Habit, Space, Use, habit_of
from drivers.simulated.timetable import Phase, day_of, lesson_at, phase_at, second_of_day
from drivers.simulated.weather import Drift, Weather

HEIGHT_M = 3.2
COOL_FROM_C = 26.5
SETPOINT_C = 26.0  # the lowest setpoint that the State Council's notice of 2007 allows
STUFFY_PPM = 2600.0
COOLING_COP = 3.1
HOOD_ACH = 4.0
STOVE_SHARE = 0.1
"""Of a kitchen's power this share heats the room; the hood takes the rest away."""
AIRED = 0.5
"""Windows of rooms without lessons, while it is warmer in than out and nothing cools."""
OPEN = 0.2
"""A window contact tells `open` from this share on; a tilted pane (below) it does not see."""
DAYLIGHT_FACTOR = 0.018
BLINDS_FROM_LX = 30_000.0
DRAW_S = 30.0
DRAW_M3_H = 0.72  # one use of a tap or a flush: 6 litres in 30 seconds


class Room:
    """The state of one space; `step` moves it on.

    `overrides` pins `window` (0..1), `ac` or `lights` (0 or 1) while an event holds them;
    `leak_m3_h` is a tap that runs, `gas_leak_m3_h` methane that escapes.
    """

    def __init__(self, space: Space, seed: str, full: bool = False) -> None:
        self.space = space
        self.habit: Habit = habit_of(space.kind)
        self._seed = f"{seed}/{space.id}"
        self._rng = random.Random(self._seed)  # noqa: S311 - a repeatable world, not a secret
        self.is_room = self.habit.use is not Use.NONE
        self.full = full
        self.area_m2 = space.area_m2 or self.habit.area_m2
        self.seats = space.seats or self.habit.seats
        self.volume_m3 = max(1.0, self.area_m2 * HEIGHT_M)
        self._leaks_air = 0.75 if full else self._rng.uniform(0.6, 1.6)
        self._ajar = 0.0 if full else self._rng.choice((0.0, 0.05, 0.14, 0.18))
        self._murmur = Drift(self._rng, 40.0)
        self.overrides: dict[str, float] = {}
        self._told: dict[str, bool] = {}
        self._occupied = False
        self.leak_m3_h = 0.0
        self.gas_leak_m3_h = 0.0
        self.exhaust_ach = 0.0
        self.people = 0.0
        self.co2 = air.CO2_OUTDOOR_PPM + self._rng.uniform(0.0, 120.0)
        self.temperature = 25.5 + self._rng.uniform(-0.8, 0.8)
        self.moisture_g_kg = 11.0
        self.pm25 = 25.0
        self.tvoc = 0.15
        self.gas_lel = 0.0
        self.window = 0.0
        self.ac_on = False
        self.cooling_w = 0.0
        self.lights_on = False
        self._draws: list[float] = []
        self._busy = False
        self._daylight = 0.0

    @property
    def humidity(self) -> float:
        """Relative humidity in %."""
        return air.relative_humidity(self.moisture_g_kg, self.temperature)

    @property
    def illuminance(self) -> float:
        """At the desks, in lx."""
        return self._daylight + (330.0 if self.lights_on else 0.0)

    @property
    def noise(self) -> float:
        """Sound level in dB(A)."""
        voices = 0.35 if self._busy else 1.0
        level = 36.0 + 13.0 * math.log10(1.0 + self.people * voices) + (4.0 if self.ac_on else 0.0)
        return level + 1.5 * self._murmur.value

    @property
    def light_w(self) -> float:
        """Electric power of the lamps."""
        return self.area_m2 * self.habit.light_w_m2 if self.lights_on else 0.0

    @property
    def ac_w(self) -> float:
        """Electric power of the air conditioner: fan, and compressor by load."""
        return 60.0 + self.cooling_w / COOLING_COP if self.ac_on else 0.0

    @property
    def plug_w(self) -> float:
        """Electric power of the sockets."""
        return self.habit.plug_busy_w if self._busy else self.habit.plug_w

    @property
    def power_w(self) -> float:
        """All electric power of the space."""
        return self.light_w + self.ac_w + self.plug_w

    @property
    def water_m3_h(self) -> float:
        """Water that flows now."""
        return len(self._draws) * DRAW_M3_H + self.leak_m3_h

    @property
    def gas_m3_h(self) -> float:
        """Natural gas that is burnt or lost now."""
        burning = 7.5 if self.habit.use is Use.COOKING and self._busy else 0.0
        return burning + self.gas_leak_m3_h

    def step(self, now_s: float, seconds: float, weather: Weather) -> None:
        """Moves on to `now_s`, `seconds` behind the last step."""
        hours = seconds / 3600.0
        if self.is_room:
            self._occupy(now_s, seconds)
            self._behave(now_s, weather)
        self._daylight = min(weather.illuminance, BLINDS_FROM_LX) * DAYLIGHT_FACTOR
        if self.is_room:
            hood = HOOD_ACH if self._busy and self.habit.use is Use.COOKING else 0.0
            ach = self._leaks_air + self.window * (6.0 + 1.5 * weather.wind_speed) + hood + self.exhaust_ach
            self._breathe(hours, ach, weather)
        else:  # corridors, plant rooms: the air outside their doors
            self.temperature, self.moisture_g_kg = weather.temperature, weather.moisture_g_kg
        self._draw_water(now_s, seconds)

    def _occupy(self, now_s: float, seconds: float) -> None:
        wanted = self._wanted(now_s)
        self.people += (wanted - self.people) * (1.0 - math.exp(-seconds / 75.0))
        if wanted == 0.0 and self.people < 0.5:
            self.people = 0.0
        self._busy = _busy(self.habit.use, now_s) and (self.people > 1.0)
        self._murmur.step(seconds)

    def _wanted(self, now_s: float) -> float:
        phase, use = phase_at(now_s), self.habit.use
        if use is Use.LESSONS:
            return self._wanted_by_timetable(now_s, phase)
        second = second_of_day(now_s) / 3600.0
        present = {
            Use.STAFF: 8.0 <= second < 12.0 or 14.0 <= second < 18.0,
            Use.MEALS: 6.8 <= second < 7.7 or 11.7 <= second < 12.7 or 17.4 <= second < 18.4,
            Use.COOKING: 5.0 <= second < 19.0,
            Use.SLEEP: second < 6.7 or 12.7 <= second < 13.8 or second >= 21.5,
            Use.WATCH: True,
        }[use]
        return self.seats * 0.9 if present else 0.0

    def _wanted_by_timetable(self, now_s: float, phase: Phase) -> float:
        if phase is Phase.BREAK:
            return self.seats * 0.15
        lesson = lesson_at(now_s)
        if lesson is None or not self._is_taken(day_of(now_s), lesson):
            return self.seats * 0.1 if phase in (Phase.MORNING, Phase.LUNCH) else 0.0
        return float(self.seats) if self.full else self.seats * 0.95

    def _is_taken(self, day: int, lesson: int) -> bool:
        chance = random.Random(f"{self._seed}/{day}/{lesson}").random()  # noqa: S311 - the timetable
        return self.full or chance < self.habit.share

    def _behave(self, now_s: float, weather: Weather) -> None:
        occupied = self.people > min(2.0, self.seats / 4)
        if occupied and self.temperature > COOL_FROM_C and self.habit.cooling_w:
            self.ac_on = True
        elif not occupied or self.temperature < SETPOINT_C - 1.0:
            self.ac_on = False
        if self.window >= OPEN:  # whoever opens the window switches it off; not so under an override
            self.ac_on = False
        self.window = self._window(now_s, weather, occupied)
        lit = phase_at(now_s) is not Phase.NIGHT or self.habit.use is Use.WATCH
        self.lights_on = occupied and self._daylight < 600.0 and lit
        self.window = self.overrides.get("window", self.window)
        self.ac_on = bool(self.overrides.get("ac", self.ac_on))
        self.lights_on = bool(self.overrides.get("lights", self.lights_on))
        if occupied is not self._occupied:  # whoever comes or goes does as he likes again
            self._occupied = occupied
            self._told.clear()
        self.ac_on = self._told.get("ac", self.ac_on)
        self.lights_on = self._told.get("lights", self.lights_on)

    def tell(self, what: str, on: bool) -> None:
        """Somebody afar switches `ac` or `lights`: so it stays until people come or go."""
        self._told[what] = on
        if what == "ac":
            self.ac_on = on
        else:
            self.lights_on = on

    def _window(self, now_s: float, weather: Weather, occupied: bool) -> float:
        if weather.rain_mm_h > 0.0:
            return 0.0
        hot = self.temperature > COOL_FROM_C and self.temperature > weather.temperature
        cooled = self.ac_on or (occupied and self.habit.cooling_w > 0.0)
        if hot and not cooled and self.habit.use not in (Use.LESSONS, Use.COOKING):  # a kitchen has its hood
            return AIRED
        if not occupied:
            return 0.0
        if phase_at(now_s) is Phase.BREAK:
            return 0.8
        if self.co2 > STUFFY_PPM or (self.window >= 0.3 and self.co2 > 1200.0 and not self.ac_on):
            return 0.3
        return self._ajar

    def _breathe(self, hours: float, ach: float, weather: Weather) -> None:
        self.co2 = air.co2_ppm(self.co2, self.people, self.volume_m3, ach, hours)
        self.cooling_w = 0.0
        if self.ac_on:
            wanted = 2_500.0 + 4_000.0 * (self.temperature - SETPOINT_C)
            self.cooling_w = min(self.habit.cooling_w, max(0.0, wanted))
        glass_m2 = min(
            0.03 * self.area_m2, 0.25 * math.sqrt(self.area_m2)
        )  # what lets heat in; halls are deep
        sun_w = weather.solar_irradiance * glass_m2
        plug_w = self.plug_w * (STOVE_SHARE if self.habit.use is Use.COOKING else 1.0)
        gain = self.people * air.SENSIBLE_HEAT_W + self.light_w + plug_w + sun_w - self.cooling_w
        self.temperature = air.temperature(
            self.temperature, weather.temperature, gain, self.volume_m3, ach, hours
        )
        outdoor_g = weather.moisture_g_kg
        self.moisture_g_kg = air.moisture(
            self.moisture_g_kg, outdoor_g, self.people, self.volume_m3, ach, hours
        )
        if self.ac_on:  # the coil condenses down to about 11 g/kg
            self.moisture_g_kg += (min(self.moisture_g_kg, 11.0) - self.moisture_g_kg) * min(1.0, 2.0 * hours)
        self.pm25 = air.mix(self.pm25, weather.pm25 * 0.75, 0.0, ach, hours)
        self.tvoc = air.mix(self.tvoc, 0.08, self.people * 0.6 / self.volume_m3, ach, hours)
        self.gas_lel = air.methane_lel(self.gas_lel, self.gas_leak_m3_h, self.volume_m3, ach, hours)

    def _draw_water(self, now_s: float, seconds: float) -> None:
        self._draws = [left - seconds for left in self._draws if left > seconds]
        rate = self.people * self.habit.taps_per_person_h
        if self.habit.use is Use.LESSONS:
            away = self.seats - self.people if phase_at(now_s) is Phase.BREAK else 0.0
            rate += 1.5 * max(0.0, away)  # who left the room for the break stands at a tap
        if phase_at(now_s) is Phase.NIGHT:
            rate *= 0.15
        for _ in range(_poisson(self._rng, rate * seconds / 3600.0)):
            self._draws.append(DRAW_S)


def _busy(use: Use, now_s: float) -> bool:
    hour = second_of_day(now_s) / 3600.0
    if use is Use.LESSONS:
        return phase_at(now_s) is Phase.LESSON
    if use is Use.COOKING:
        return 5.5 <= hour < 7.2 or 9.0 <= hour < 12.3 or 15.5 <= hour < 18.0
    return use is not Use.SLEEP


def _poisson(rng: random.Random, mean: float) -> int:
    """A Poisson number by multiplication (Knuth); for the small means of one step."""
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count
