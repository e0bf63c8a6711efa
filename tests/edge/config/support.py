"""A school small enough to read, its profile, and a way to write both down."""

from __future__ import annotations

from pathlib import Path

SCHOOL = """\
version: 1
site: {id: shangde, name: 尚德中学, district: linwei, latitude: 34.50, longitude: 109.51}
spaces:
  - {id: b1, name: 教学楼一, kind: building}
  - {id: f3, name: 三层, kind: floor, in: b1}
  - {id: r301, name: 三〇一教室, kind: classroom, in: f3, area_m2: 64, seats: 50, tags: {exam_room: true}}
  - {id: gate-n, name: 北门, kind: gate}
lines:
  - {id: bus-a, url: "serial:/dev/ttyUSB0", framing: 8N1}
  - {id: broker, url: "mqtt://127.0.0.1:1883"}
devices:
  - {id: env-301, space: r301, line: bus-a, protocol: modbus-rtu, profile: env-test, address: 1, every: 30s}
  - {id: em-b1, space: b1, line: bus-a, protocol: dlt645, profile: meter-test, address: "202211304417"}
  - {id: env-gate, space: gate-n, line: broker, protocol: mqtt, profile: lora-test, topic: gate/env}
profiles: [profiles]
"""

PROFILES = {
    "env-test": """\
id: env-test
family: modbus
maker: Test
model: CO2 and temperature
kind: classroom_env
source: made for the tests of the configuration
adds:
  radon: {unit: "Bq/m3", zh: 氡, en: Radon}
points:
  temperature: {address: 0, type: s16, scale: 0.1}
  co2: {address: 1}
  radon: {address: 2}
""",
    "meter-test": """\
id: meter-test
family: dlt645
maker: Test
model: electricity meter
kind: electricity_meter
source: made for the tests of the configuration
points:
  energy_import: {di: "00010000"}
""",
    "lora-test": """\
id: lora-test
family: mqtt
maker: Test
model: temperature by radio
kind: classroom_env
source: made for the tests of the configuration
points:
  temperature: {pointer: /temperature}
""",
}


def write_school(folder: Path, more: str = "", school: str = SCHOOL) -> Path:
    """Writes the school (with `more` at its end) and its profiles; the path of its file."""
    (folder / "profiles").mkdir(exist_ok=True)
    for name, text in PROFILES.items():
        (folder / "profiles" / f"{name}.yaml").write_text(text, encoding="utf-8")
    path = folder / "school.yaml"
    path.write_text(school + more, encoding="utf-8")
    return path
