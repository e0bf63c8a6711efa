"""A configuration with all that it names becomes one value, and its oddities are told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from drivers.dlt645.settings import Dlt645Device
from drivers.line.settings import SerialLine
from drivers.modbus.profile import ModbusProfile
from drivers.mqtt.settings import MqttLine
from edge.config.configuration import site_info
from edge.config.load import ConfigError, load
from rules.binding import bind
from tests.edge.config.support import SCHOOL, write_school

RULE = """\
id: {id}
scope: {{each: {each}}}
when: {{p: co2, op: gt, val: 1500, clear: 1350, unit: "[ppm]"}}
for: 5m
alarm: {{prio: 4, owner: teacher, title: 闷, consequence: 注意力下降, guide: 开窗, respond_within: 15m}}
"""


def test_devices_are_resolved_to_profile_words_and_building(tmp_path: Path) -> None:
    configuration = load(write_school(tmp_path))
    assert list(configuration.devices) == ["env-301", "em-b1", "env-gate"]
    device = configuration.devices["env-301"]
    assert isinstance(device.profile, ModbusProfile)
    assert device.kind == "classroom_env"
    assert (device.space, device.building) == ("r301", "b1")
    assert list(device.points) == ["temperature", "co2", "radon"]
    assert device.points["temperature"].unit == "Cel"
    assert device.points["radon"].zh == "氡"
    assert device.settings.every == timedelta(seconds=30)
    assert configuration.devices["em-b1"].building == "b1"
    assert configuration.devices["env-gate"].building == ""
    assert isinstance(configuration.devices["em-b1"].settings, Dlt645Device)
    assert configuration.warnings == ()


def test_what_a_device_derives_is_no_measurement_and_no_rule_uses_it(tmp_path: Path) -> None:
    path = write_school(tmp_path, "rules: [rules.yaml]\n")
    (tmp_path / "rules.yaml").write_text(RULE.format(id="stuffy", each="room"), encoding="utf-8")
    measured = load(path)
    assert bind(measured.rules[0], site_info(measured)).instances

    profile = tmp_path / "profiles" / "env-test.yaml"
    text = profile.read_text(encoding="utf-8")
    profile.write_text(
        text.replace("co2: {address: 1}", "co2: {address: 1, equivalent: true}"), encoding="utf-8"
    )
    derived = load(path)
    assert "co2" in derived.devices["env-301"].points, "it is still read, stored and shown"
    assert "co2" not in site_info(derived).devices[0].points
    assert not bind(derived.rules[0], site_info(derived)).instances
    told = [str(warning) for warning in derived.warnings]
    assert any("env-301 derives co2 and does not measure it" in text for text in told)
    assert any("the rule stuffy watches nothing here" in text for text in told)


def test_lines_are_told_apart_by_their_urls(tmp_path: Path) -> None:
    serial, broker = load(write_school(tmp_path)).settings.lines
    assert isinstance(serial, SerialLine)
    assert isinstance(broker, MqttLine)


def test_what_is_not_said_has_the_defaults_of_the_models(tmp_path: Path) -> None:
    settings = load(write_school(tmp_path)).settings
    assert settings.site.timezone == "Asia/Shanghai"
    assert settings.store.keep_raw == timedelta(days=400)
    assert settings.store.max_bytes == 8_000_000_000
    assert (settings.web.host, settings.web.port) == ("127.0.0.1", 8080)


def test_the_rule_engine_sees_spaces_devices_and_units(tmp_path: Path) -> None:
    site = site_info(load(write_school(tmp_path)))
    assert (site.id, site.timezone) == ("shangde", "Asia/Shanghai")
    assert [(space.id, space.parent) for space in site.spaces][:3] == [
        ("b1", ""),
        ("f3", "b1"),
        ("r301", "f3"),
    ]
    assert site.space_by_id["r301"].tags == {"exam_room": True}
    periods = {device.id: device.every_ms for device in site.devices}
    assert periods == {"env-301": 30_000, "em-b1": 60_000, "env-gate": 0}
    assert site.devices[0].points == {"temperature": "Cel", "co2": "[ppm]", "radon": "Bq/m3"}


def test_included_files_add_to_the_lists_and_keep_their_own_places(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "south.yaml").write_text(
        "include: [lab.yaml]\n"
        "spaces:\n  - {id: gate-s, name: 南门, kind: gate}\n"
        "devices:\n"
        "  - {id: env-s, space: gate-s, line: bus-a, protocol: modbus-rtu, profile: env-test, address: 2}\n"
    )
    (tmp_path / "parts" / "lab.yaml").write_text(
        "devices:\n"
        "  - {id: env-lab, space: r301, line: bus-a, protocol: modbus-rtu, profile: env-test, address: 3}\n"
    )
    path = write_school(tmp_path, "include: [parts/south.yaml]\n")
    assert list(load(path).devices) == ["env-301", "em-b1", "env-gate", "env-s", "env-lab"]
    lab = tmp_path / "parts" / "lab.yaml"
    lab.write_text(lab.read_text().replace("address: 3", "address: 2"))
    with pytest.raises(ConfigError) as caught:
        load(path)
    message = "devices.0.address: env-lab and env-s have the same address 2 on the line bus-a"
    assert str(caught.value) == f"{lab}:2:95: {message}"


def test_only_the_main_file_sets_what_there_is_once(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("site: {}\nstores: []\n")
    with pytest.raises(ConfigError) as caught:
        load(write_school(tmp_path, "include: [more.yaml]\n"))
    assert [fault.message for fault in caught.value.faults] == [
        "only the main file may set site",
        "unknown key stores; known: devices, include, lines, notify, profiles, rules, spaces, sync",
    ]


def test_one_bad_device_does_not_hide_the_faults_of_the_others(tmp_path: Path) -> None:
    school = (
        SCHOOL.replace("address: 1,", "adress: 1,")
        .replace("profile: meter-test", "profile: meter-tset")
        .replace("space: gate-n", "space: gate-x")
        + "web: {tls: never}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(write_school(tmp_path, school=school))
    paths = {fault.path for fault in caught.value.faults}
    assert paths == {
        "devices.0.adress",
        "devices.0.address",
        "devices.1.profile",
        "devices.2.space",
        "web.tls",
    }


def test_a_profile_that_nobody_uses_does_not_stop_the_agent(tmp_path: Path) -> None:
    path = write_school(tmp_path)
    (tmp_path / "profiles" / "broken.yaml").write_text("id: [")
    assert load(path).devices


def test_rules_are_found_beside_the_file_and_bound_to_the_site(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    for name, each in (("stuffy", "room"), ("nowhere", "library")):
        (tmp_path / "rules" / f"{name}.yaml").write_text(RULE.format(id=name, each=each))
    configuration = load(write_school(tmp_path, "rules: [rules/*.yaml, rules/stuffy.yaml]\n"))
    assert [rule.id for rule in configuration.rules] == ["nowhere", "stuffy"]
    assert [str(warning) for warning in configuration.warnings] == [
        f"{tmp_path}/rules/nowhere.yaml:1:5: id: the rule nowhere watches nothing here"
    ]


def test_a_calendar_is_read_with_dates(tmp_path: Path) -> None:
    (tmp_path / "year.yaml").write_text("terms: [{name: 秋, first: 2026-09-01, last: 2027-01-20}]\n")
    calendar = load(write_school(tmp_path, "calendar: year.yaml\n")).calendar
    assert calendar is not None
    assert calendar.terms[0].first.isoformat() == "2026-09-01"


def test_odd_but_harmless_things_are_warnings(tmp_path: Path) -> None:
    school = SCHOOL.replace(
        "lines:\n",
        "  - {id: r302, name: 三〇二教室, kind: classroom, in: f3}\nlines:\n"
        '  - {id: spare, url: "tcp://192.168.3.7:8899"}\n',
    ).replace("address: 1, every", "address: 1, priority: emergency, every")
    school = school.replace("{id: em-b1, space: b1", "{id: em-b1, space: gate-n")
    configuration = load(write_school(tmp_path, school=school))
    assert [(warning.path, warning.message) for warning in configuration.warnings] == [
        ("spaces.4.id", "nothing is in the space r302"),
        ("lines.0.id", "no device uses the line spare"),
        ("devices.0.id", "no rule of priority 1 watches the emergency device env-301"),
        ("devices.0.every", "an emergency device should be asked every second or faster"),
        ("devices.1.space", "the meter em-b1 is in no building: its energy counts for none"),
    ]


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [("0.0.0.0:8443", "0.0.0.0", 8443), ("[::]:80", "::", 80), ("gateway.local:0", "gateway.local", 0)],
)
def test_the_listening_address_is_host_and_port(tmp_path: Path, listen: str, host: str, port: int) -> None:
    web = load(write_school(tmp_path, f'web: {{listen: "{listen}"}}\n')).settings.web
    assert (web.host, web.port) == (host, port)


@pytest.mark.parametrize("section", ["include: [{}]", "rules: [{}]", "profiles: [{}]", "calendar: {}"])
@pytest.mark.parametrize("name", ["n" * 300, "**x/y", "nowhere/at/all.yaml", "loop/x.yaml"])
def test_a_name_of_no_file_is_told_where_it_stands(tmp_path: Path, section: str, name: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    line = section.format(f'"{name}"')
    school = SCHOOL.replace("profiles: [profiles]\n", "") if "profiles" in section else SCHOOL
    with pytest.raises(ConfigError) as caught:
        load(write_school(tmp_path, line + "\n", school))
    places = {(fault.line, fault.column) for fault in caught.value.faults}
    assert ((school + line).count("\n") + 1, line.index('"') + 1) in places
