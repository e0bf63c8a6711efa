"""`campus-edge mqtt discover` on a real broker: what it prints is configuration that `check` accepts."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from edge.cli import app
from edge.config.check import check
from edge.config.load import load
from tests.drivers.mqtt.test_discovery import SAMPLES
from tests.support.mosquitto import Mosquitto

SCHOOL = """\
version: 1
site: {{id: s, name: 学校, district: d, latitude: 34.5, longitude: 109.5}}
spaces:
  - {{id: store, name: 库房, kind: store}}
  - {{id: r301, name: 三〇一教室, kind: classroom}}
lines: [{{id: broker, url: "{url}"}}]
"""


@pytest.fixture
def school(tmp_path: Path) -> Path:
    path = tmp_path / "school.yaml"
    path.write_text(SCHOOL.format(url="mqtt://127.0.0.1:9"), encoding="utf-8")
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["mqtt", "discover", *arguments])


def test_what_devices_announce_becomes_files_that_check_accepts(tmp_path: Path, school: Path) -> None:
    (tmp_path / "mosquitto").mkdir()
    with Mosquitto(tmp_path / "mosquitto") as broker:
        school.write_text(SCHOOL.format(url=broker.url), encoding="utf-8")
        for sample in SAMPLES:
            broker.publish(sample["topic"], sample["payload"], retain=True)
        printed = run("broker", "-c", str(school), "--seconds", "1")
        assert printed.exit_code == 0, printed.output
        written = run("broker", "-c", str(school), "--seconds", "1", "--out", str(tmp_path / "found"))
        again = run("broker", "-c", str(school), "--seconds", "0.2", "--out", str(tmp_path / "found"))
    assert written.stdout.startswith("5 devices, 5 profiles, 2 announcements left out; next: include ")
    assert again.exit_code == 2
    assert "is there already" in again.stderr

    documents = list(YAML(typ="safe", pure=True).load_all(printed.stdout))
    assert len(documents[0]["devices"]) == 5
    assert {one["id"] for one in documents[1:]} == {one["profile"] for one in documents[0]["devices"]}
    assert "# 2 announcements are left out:" in printed.stdout

    with school.open("a", encoding="utf-8") as file:
        file.write("include: [found/mqtt-devices.yaml]\n")
    report = check(school)
    assert [str(fault) for fault in report.faults] == []
    configuration = load(school)
    assert configuration.devices["esp-301"].space == "r301"  # its suggested area is a space's name
    assert configuration.devices["weather-sensor"].space == "store"
    assert configuration.devices["esp-301"].points["temperature_2"].zh == "温度 2"


def test_a_silent_broker_gives_no_devices(tmp_path: Path, school: Path) -> None:
    (tmp_path / "mosquitto").mkdir()
    with Mosquitto(tmp_path / "mosquitto") as broker:
        school.write_text(SCHOOL.format(url=broker.url), encoding="utf-8")
        printed = run("broker", "-c", str(school), "--seconds", "0.2")
    assert printed.exit_code == 0
    assert "devices: []" in printed.stdout


def test_a_line_that_is_none_and_a_broker_that_is_away_are_told(school: Path) -> None:
    unknown = run("mqtt", "-c", str(school))
    assert (unknown.exit_code, unknown.stderr.strip()) == (2, "no MQTT line mqtt; known: broker")
    away = run("broker", "-c", str(school), "--seconds", "1")
    assert away.exit_code == 1
    assert away.stderr.startswith("broker: ")
