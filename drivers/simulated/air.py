"""Balances of one room's air: carbon dioxide, heat and moisture; pure functions.

A room is one well-mixed volume. Ventilation is given in air changes per hour.
"""

from __future__ import annotations

import math

CO2_OUTDOOR_PPM = 425.0
CO2_PER_PERSON_M3H = 0.0151  # 0.0042 L/s: pupils of 11-16 years, seated (Persily and de Jonge 2017)
SENSIBLE_HEAT_W = 75.0  # per seated person at 26 Cel (ASHRAE Fundamentals, non-residential gains)
MOISTURE_KG_H = 0.055  # per seated person at 26 Cel
AIR_DENSITY = 1.2  # kg/m3
AIR_HEAT_WH_M3K = 0.335
AIR_HEAT_J_M3K = 1206.0
FURNITURE_FACTOR = 5.0  # the near surfaces and the furniture store heat with the air


def mix(level: float, supply: float, source_per_h: float, ach: float, hours: float) -> float:
    """The exact solution of one well-mixed volume over a step with constant inputs.

    `supply` is the level of the incoming air, `source_per_h` what the room itself adds
    per hour in the unit of `level`.
    """
    if ach <= 0.0:
        return level + source_per_h * hours
    steady = supply + source_per_h / ach
    return steady + (level - steady) * math.exp(-ach * hours)


def co2_ppm(level: float, people: float, volume_m3: float, ach: float, hours: float) -> float:
    """Carbon dioxide behind a step, in ppm."""
    return mix(level, CO2_OUTDOOR_PPM, people * CO2_PER_PERSON_M3H * 1e6 / volume_m3, ach, hours)


def temperature(
    level: float, outdoor: float, gain_w: float, volume_m3: float, ach: float, hours: float
) -> float:
    """Air temperature behind a step; `gain_w` is all heat put in (negative: cooling)."""
    loss_w_k = 1.6 * math.pow(volume_m3, 2 / 3) + ach * volume_m3 * AIR_HEAT_WH_M3K
    capacity_wh_k = volume_m3 * AIR_HEAT_J_M3K * FURNITURE_FACTOR / 3600.0
    steady = outdoor + gain_w / loss_w_k
    return steady + (level - steady) * math.exp(-loss_w_k / capacity_wh_k * hours)


def saturation_g_kg(temperature_c: float, pressure_hpa: float = 970.0) -> float:
    """Moisture of saturated air in g/kg (Magnus formula)."""
    vapour = 6.112 * math.exp(17.62 * temperature_c / (243.12 + temperature_c))
    return 622.0 * vapour / (pressure_hpa - vapour)


def relative_humidity(moisture_g_kg: float, temperature_c: float) -> float:
    """Relative humidity in %, between 5 and 100."""
    return min(100.0, max(5.0, 100.0 * moisture_g_kg / saturation_g_kg(temperature_c)))


def moisture(
    level: float, outdoor: float, people: float, volume_m3: float, ach: float, hours: float
) -> float:
    """Moisture behind a step, in g/kg."""
    source = people * MOISTURE_KG_H * 1000.0 / (volume_m3 * AIR_DENSITY)
    return mix(level, outdoor, source, ach, hours)


def methane_lel(level: float, leak_m3_h: float, volume_m3: float, ach: float, hours: float) -> float:
    """Methane in % of the lower explosive limit (5 % by volume) behind a step."""
    return mix(level, 0.0, leak_m3_h / volume_m3 / 0.05 * 100.0, ach, hours)
