"""The virtual school: plausible, balanced and repeatable."""

from __future__ import annotations

import math

import pytest

from drivers.simulated import air
from drivers.simulated.physics import DEMO_START_S, School
from drivers.simulated.scenario import Scenario, prepare, start_of
from drivers.simulated.spaces import Space
from drivers.simulated.timetable import Phase, clock, lesson_at, phase_at

SPACES = (
    Space("b1", "building"),
    Space("r301", "classroom", "b1", 64.0, 50),
    Space("r302", "classroom", "b1", 64.0, 50),
    Space("b2", "building"),
    Space("lab", "lab", "b2", 90.0, 48),
    Space("kitchen", "kitchen", "b2", 80.0),
)


def school(seed: int = 7, start_s: float = DEMO_START_S) -> School:
    return School(SPACES, seed, start_s)


def trajectory(seed: int, cuts: list[float]) -> list[float]:
    world = school(seed)
    meter, water, gate = world.electric("b1"), world.water("b1"), world.gate("gate")
    prepare(world, Scenario.SCHOOL_DAY, DEMO_START_S)
    seen = []
    for seconds in cuts:
        world.advance(seconds)
        room = world.rooms["r301"]
        seen += [room.co2, room.temperature, room.noise, world.weather.wind_speed]
        seen += [meter.energy_kwh, meter.current_a(0), water.volume_m3, float(gate.passes_in)]
    return seen


def test_the_same_seed_gives_the_same_trajectory() -> None:
    assert trajectory(7, [60.0] * 20) == trajectory(7, [60.0] * 20)


def test_another_seed_gives_another_trajectory() -> None:
    assert trajectory(7, [60.0] * 3) != trajectory(8, [60.0] * 3)


def test_the_trajectory_does_not_depend_on_how_time_is_cut() -> None:
    assert trajectory(7, [3.0] * 199 + [3.0])[-8:] == trajectory(7, [600.0])[-8:]


def test_lessons_take_forty_minutes_and_breaks_stand_between_them() -> None:
    assert lesson_at(clock(9, 0)) == 1
    assert lesson_at(clock(9, 39)) == 1
    assert phase_at(clock(9, 45)) is Phase.BREAK
    assert phase_at(clock(10, 10)) is Phase.LESSON
    assert phase_at(clock(12)) is Phase.LUNCH
    assert lesson_at(clock(9, 0, day=4)) is None, "a Saturday"


def test_carbon_dioxide_settles_where_generation_and_ventilation_balance() -> None:
    level = 425.0
    for _ in range(24 * 360):
        level = air.co2_ppm(level, people=30.0, volume_m3=200.0, ach=3.0, hours=10 / 3600)
    assert level == pytest.approx(425.0 + 30 * air.CO2_PER_PERSON_M3H * 1e6 / (3.0 * 200.0), rel=1e-6)


def test_carbon_dioxide_of_a_closed_room_grows_by_what_is_breathed_out() -> None:
    after = air.co2_ppm(500.0, people=50.0, volume_m3=205.0, ach=0.0, hours=0.5)
    assert after - 500.0 == pytest.approx(50 * air.CO2_PER_PERSON_M3H * 0.5 * 1e6 / 205.0)


def test_one_step_equals_many_small_ones() -> None:
    coarse = air.mix(900.0, 425.0, 3000.0, 1.7, 0.5)
    fine = 900.0
    for _ in range(180):
        fine = air.mix(fine, 425.0, 3000.0, 1.7, 0.5 / 180)
    assert coarse == pytest.approx(fine, rel=1e-9)


def test_a_full_classroom_crosses_1500_ppm_and_the_break_clears_it() -> None:
    for seed in range(12):
        world = school(seed)
        peak, last = 0.0, 0.0
        for _ in range(45):
            world.advance(60.0)
            last = world.rooms["r301"].co2
            peak = max(peak, last)
        assert peak > 1600.0, f"seed {seed}"
        assert last < 1250.0, f"seed {seed}"


def test_the_air_stays_plausible_over_a_week() -> None:
    world = school(3)
    for _ in range(7 * 24 * 4):
        world.advance(900.0)
        for room in world.rooms.values():
            assert 400.0 < room.co2 < 6000.0
            assert 10.0 < room.temperature < 48.0
            assert 5.0 <= room.humidity <= 100.0
            assert 20.0 < room.noise < 95.0
        assert 8.0 < world.weather.temperature < 42.0
        assert 0.0 <= world.weather.solar_irradiance < 1150.0


def test_the_sun_is_down_at_night_and_high_at_noon() -> None:
    night, noon = school(1, clock(2)), school(1, clock(12))
    night.warm_up()
    noon.warm_up()
    assert night.weather.solar_irradiance == 0.0
    assert noon.weather.solar_irradiance > 150.0


def test_energy_integrates_power() -> None:
    world = school()
    meter = world.electric("b1")
    world.warm_up()
    before, integral = meter.energy_kwh, 0.0
    for _ in range(360):
        world.advance(10.0)
        integral += meter.total_kw * 10.0 / 3600.0
    assert meter.energy_kwh - before == pytest.approx(integral, rel=1e-9)
    assert meter.energy_kwh > before


def test_voltage_current_and_power_factor_give_the_power() -> None:
    world = school()
    meter = world.electric("b1")
    world.advance(600.0)
    for phase in range(3):
        product = meter.voltage_v[phase] * meter.current_a(phase) * meter.power_factor / 1000.0
        assert product == pytest.approx(meter.power_kw[phase])
        assert 198.0 < meter.voltage_v[phase] < 235.4, "220 V +7/-10 %"
    assert math.hypot(meter.total_kw, meter.reactive_kvar) == pytest.approx(meter.apparent_kva)


def test_a_building_uses_what_its_rooms_use() -> None:
    world = school()
    whole, parts = world.electric("b1"), [world.electric("r301"), world.electric("r302")]
    world.advance(600.0)
    corridors = world.rooms["b1"].power_w / 1000.0
    assert whole.total_kw == pytest.approx(sum(part.total_kw for part in parts) + corridors)


def test_water_flows_at_night_only_through_the_leak() -> None:
    start = start_of(Scenario.NIGHT_LEAK)
    world = school(5, start)
    leaking, tight = world.water("b2"), world.water("b1")
    prepare(world, Scenario.NIGHT_LEAK, start)
    world.advance(10 * 60.0)
    assert tight.flow_m3_h == 0.0
    assert leaking.flow_m3_h == pytest.approx(0.12 + 0.9)
    world.advance(30 * 60.0)
    assert leaking.flow_m3_h == pytest.approx(0.12), "the plumber came, the tap still drips"


def test_volume_integrates_flow() -> None:
    world = school()
    meter = world.water("b1")
    world.warm_up()
    before, integral = meter.volume_m3, 0.0
    for _ in range(720):
        world.advance(10.0)
        integral += meter.flow_m3_h * 10.0 / 3600.0
    assert integral > 0.0
    assert meter.volume_m3 - before == pytest.approx(integral)


def test_a_gas_leak_rises_above_20_percent_lel_and_is_vented() -> None:
    world = school()
    prepare(world, Scenario.GAS_LEAK, DEMO_START_S)
    seen = []
    for _ in range(60):
        world.advance(60.0)
        seen.append(world.rooms["kitchen"].gas_lel)
    assert max(seen[:7]) < 1.0
    assert 25.0 < max(seen) < 45.0
    assert seen[-1] < 2.0


def test_the_first_button_is_pressed_and_released() -> None:
    world = school()
    button = world.button("sos-1")
    prepare(world, Scenario.SCHOOL_DAY, DEMO_START_S)
    seen = []
    for _ in range(20):
        world.advance(60.0)
        seen.append(button.pressed)
    assert seen[0] is False and seen[-1] is False
    assert any(seen)


def test_the_laboratory_wastes_cold_air_until_somebody_shuts_the_window() -> None:
    world = school()
    prepare(world, Scenario.SCHOOL_DAY, DEMO_START_S)
    lab = world.rooms["lab"]
    seen = []
    for _ in range(25):
        world.advance(60.0)
        seen.append(lab.ac_on and lab.window > 0.2 and lab.ac_w > 100.0)
    assert any(seen)
    assert not seen[-1]


def test_the_morning_brings_the_pupils_through_the_gate() -> None:
    world = school(2, clock(7))
    gate = world.gate("gate")
    world.warm_up()
    before = gate.passes_in
    world.advance(3600.0)
    pupils = 50 + 50 + 48
    assert gate.passes_in - before == pytest.approx(pupils, rel=0.35)
