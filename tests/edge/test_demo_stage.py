"""The demo's copy of a configuration: everything stays but what names the outside world."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import httpx
import pytest

from cloud_sync.holdings import Holdings
from cloud_sync.line_parser import parse_lines
from cloud_sync.settings import STAND_IN_ORG
from drivers.line.settings import Framing, SerialLine, TcpLine
from drivers.mqtt.settings import MqttLine
from edge.channels.webhook import sign
from edge.config.configuration import Configuration
from edge.config.fault import ConfigError
from edge.config.load import load
from edge.config.resources import builtin_configs
from edge.config.secrets import resolve_secret
from edge.demo_audit import Sum, differences, sent_before, stored
from edge.demo_pushes import PushReceiver
from edge.demo_stage import Addresses, Passwords, write_stage
from edge.store import cursors
from edge.store.cursors import Held, Run
from edge.store.database import connect
from edge.store.moments import MIGRATIONS, QUALITIES, Moment, Shape, Source, source_of

ADDRESSES = Addresses(8099, 18830, "http://127.0.0.1:18086", "http://127.0.0.1:18087/push")
PROFILE = """
id: own-sensor
family: modbus
maker: test
model: own
kind: classroom_env
source: made up for this test
points: {temperature: {address: 1, type: s16, scale: 0.1}}
"""
METER = """
id: own-meter
family: dlt645
maker: test
model: own
kind: electricity_meter
source: made up for this test
points: {energy_import: {di: "00010000"}}
"""
SCHOOL = """
version: 1
site: {id: s, name: 学校, district: d, latitude: 34.5, longitude: 109.5}
include: [more.yaml]
spaces: [{id: r1, name: 一班, kind: classroom}]
lines:
  - {id: bus, url: "serial:/dev/ttyUSB7", baudrate: 4800, framing: 8E1}
  - {id: srv, url: "tcp://192.0.2.7:8899"}
  - {id: mq, url: "mqtts://broker.school.example:8883", username: u, password: {secret: real}, ca: ca.pem}
devices:
  - {id: e1, space: r1, line: bus, protocol: modbus-rtu, profile: own-sensor, address: 1, framing: 8E1}
  - {id: m1, space: r1, line: bus, protocol: dlt645, profile: own-meter, address: "012345678901"}
profiles: [mine]
rules: ["rules/*.yaml"]
calendar: days/calendar.yaml
sync: [{id: real, url: "https://influx.example", org: o, bucket: b, token: {secret: real}, max_lines: 77}]
notify:
  desk: [{wecom: {key: {secret: real}}}]
  night: [{webhook: {url: "https://night.example/x"}}]
"""
RULE = """
id: warm
scope: {each: room}
when: {p: temperature, pick: max, op: gt, val: 30, clear: 29}
alarm: {prio: 4, owner: o, title: 热, consequence: 热, guide: 开窗, respond_within: 1h}
"""


@pytest.fixture
def school(tmp_path: Path) -> Path:
    here = tmp_path / "school"
    for folder in ("mine", "rules", "days"):
        (here / folder).mkdir(parents=True)
    (here / "mine" / "own-sensor.yaml").write_text(PROFILE)
    (here / "mine" / "own-meter.yaml").write_text(METER)
    (here / "rules" / "warm.yaml").write_text(RULE)
    (here / "days" / "calendar.yaml").write_text("id: ours\n")
    (here / "more.yaml").write_text("devices:\n  - {id: e2, space: r1, line: srv, protocol: modbus-tcp, "
                                    "profile: own-sensor, address: 2, every: 30s}\n")  # fmt: skip
    (here / "school.yaml").write_text(SCHOOL)
    return here / "school.yaml"


def staged(source: Path, folder: Path) -> Configuration:
    return load(write_stage(source, folder, ADDRESSES, Passwords()))


def test_the_built_in_school_loads_without_a_warning(tmp_path: Path) -> None:
    configuration = staged(builtin_configs() / "demo.yaml", tmp_path)
    assert configuration.warnings == ()
    meters = [model for model in configuration.devices.values() if model.kind.endswith("_meter")]
    assert len(meters) == 25
    kinds = {model.kind for model in configuration.devices.values()}
    assert {"weather_station", "access_gate", "emergency_button", "classroom_env"} <= kinds
    protocols = {model.settings.protocol for model in configuration.devices.values()}
    assert protocols == {"modbus-rtu", "modbus-tcp", "dlt645", "mqtt"}
    buildings = [space for space in configuration.settings.spaces if space.kind == "building"]
    assert len(buildings) == 3


def test_nothing_outside_is_named_any_more(school: Path, tmp_path: Path) -> None:
    configuration = staged(school, tmp_path / "stage")
    text = configuration.path.read_text()
    for outside in (
        "ttyUSB7",
        "192.0.2.7",
        "broker.school",
        "influx.example",
        "night.example",
        "wecom",
        "real",
    ):
        assert outside not in text
    serial, tcp, mqtt = configuration.settings.lines
    assert isinstance(serial, SerialLine) and isinstance(tcp, TcpLine) and isinstance(mqtt, MqttLine)
    assert serial.path == str(tmp_path / "stage" / "bus")
    assert tcp.address[0] == "127.0.0.1"
    assert mqtt.address == ("127.0.0.1", 18830)
    (destination,) = configuration.settings.sync
    assert (destination.org, destination.url, destination.max_lines) == (
        STAND_IN_ORG,
        ADDRESSES.district_url,
        77,
    )
    channels = [one for desk in configuration.settings.notify.values() for one in desk]
    assert {one.webhook.url for one in channels if one.webhook} == {ADDRESSES.push_url}
    assert list(configuration.settings.notify) == ["desk", "night"]
    assert (configuration.settings.web.host, configuration.settings.web.port) == ("127.0.0.1", 8099)


def test_all_that_the_file_refers_to_comes_along(school: Path, tmp_path: Path) -> None:
    configuration = staged(school, tmp_path / "stage")
    assert list(configuration.devices) == ["e1", "m1", "e2"], "with the included file"
    assert [rule.id for rule in configuration.rules] == ["warm"]
    assert configuration.calendar is not None and configuration.calendar.id == "ours"
    assert configuration.devices["e1"].profile.id == "own-sensor"


def test_serial_devices_lose_their_parity_but_keep_their_speed(school: Path, tmp_path: Path) -> None:
    configuration = staged(school, tmp_path / "stage")
    line = configuration.settings.lines[0]
    assert isinstance(line, SerialLine)
    assert (line.framing, line.baudrate) == (Framing.F8N1, 4800)
    for name in ("e1", "m1"):
        assert configuration.devices[name].settings.framing is Framing.F8N1  # type: ignore[attr-defined]
    assert configuration.devices["m1"].settings.baudrate == 2400  # type: ignore[attr-defined]


def test_secrets_are_new_and_private_in_every_run(school: Path, tmp_path: Path) -> None:
    seen = []
    for _ in range(2):
        configuration = staged(school, tmp_path / "stage")
        token = configuration.settings.sync[0].token
        seen.append(resolve_secret(token, configuration.path.parent))
        folder = configuration.path.parent / "secrets"
        assert folder.stat().st_mode & 0o077 == 0
        assert all(file.stat().st_mode & 0o077 == 0 for file in folder.iterdir())
    assert seen[0] != seen[1]
    assert len(seen[0]) > 30


def test_a_broken_source_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("version: 1\nsite: {id: s, id: t}\n")
    with pytest.raises(ConfigError, match=r"bad\.yaml:2:"):
        write_stage(tmp_path / "bad.yaml", tmp_path / "stage", ADDRESSES, Passwords())


E1 = Source("e1", "classroom_env", "r1", "b1", (Shape("co2", "[ppm]", "number"),))


def telemetry(data: Path, rows: list[tuple[int, float | None, int]]) -> None:
    connection = connect(data / "telemetry.db", MIGRATIONS)
    number = source_of(connection, E1)
    for at, value, quality in rows:
        marks = {0: (QUALITIES[quality], "timeout")} if quality else {}
        body = Moment(E1, at, at, [value], marks).body()
        connection.execute(
            "INSERT INTO moments(source, at, received_at, body) VALUES(?,?,?,?)", (number, at, at, body)
        )
    connection.close()


def district(*lines: str) -> Holdings:
    holdings = Holdings()
    for point in parse_lines("\n".join(lines).encode()):
        holdings.store(point, point.at)
    return holdings


LINE = "classroom_env,district=d,school=s,building=b1,space=r1,device=e1 co2={} {}"


def test_the_audit_finds_equal_what_is_equal(tmp_path: Path) -> None:
    telemetry(tmp_path, [(1000, 400.5, 0), (2000, 410.0, 0), (3000, None, 2)])
    store = stored(tmp_path, Held(0))
    assert (store.points, store.bad) == (2, 1)
    assert store.good == {("classroom_env", "co2"): Sum(2, 810.5)}
    assert differences(store, district(LINE.format(400.5, 1000), LINE.format(410.0, 2000))) == []


def test_the_audit_tells_a_lost_and_a_changed_value(tmp_path: Path) -> None:
    telemetry(tmp_path, [(1000, 400.0, 0), (2000, 410.0, 0)])
    store = stored(tmp_path, Held(0))
    (lost,) = differences(store, district(LINE.format(400.0, 1000)))
    assert "2 readings of sum 810 are stored, the district holds 1 of sum 400" in lost
    (changed,) = differences(store, district(LINE.format(400.0, 1000), LINE.format(411.0, 2000)))
    assert "sum 811" in changed
    assert len(differences(store, Holdings())) == 1


def test_readings_of_an_earlier_demo_do_not_count(tmp_path: Path) -> None:
    assert sent_before(tmp_path, "district") == Held(0)
    telemetry(tmp_path, [(1000, 400.0, 0), (2000, 410.0, 0)])
    assert sent_before(tmp_path, "district") == Held(0)
    connection = sqlite3.connect(tmp_path / "telemetry.db", isolation_level=None)
    connection.execute("INSERT INTO cursors VALUES('district', 1, 1)")
    connection.close()
    assert sent_before(tmp_path, "district") == Held(1)
    assert stored(tmp_path, Held(1)).points == 1
    connection = sqlite3.connect(tmp_path / "telemetry.db", isolation_level=None)
    connection.execute("DROP TABLE ahead")
    connection.close()
    assert sent_before(tmp_path, "district") == Held(1), "a store of an earlier version"
    assert sent_before(tmp_path, "other") == Held(0)


def test_what_left_ahead_of_a_backlog_does_not_count_in_the_next_demo_either(tmp_path: Path) -> None:
    telemetry(tmp_path, [(1000 * n, 400.0 + n, 2 if n == 4 else 0) for n in range(1, 8)])
    connection = connect(tmp_path / "telemetry.db", MIGRATIONS)
    cursors.accept(connection, "district", None, 1, 1)
    cursors.accept(connection, "district", 4, 6, 2)  # killed while 2 to 4 waited
    connection.close()
    before = sent_before(tmp_path, "district")
    assert before == Held(1, (Run(4, 6),))
    store = stored(tmp_path, before)
    assert (store.points, store.bad) == (3, 1)
    assert differences(store, district(*(LINE.format(400.0 + n, 1000 * n) for n in (2, 3, 7)))) == []


async def test_the_desk_takes_signed_pushes_once() -> None:
    body = json.dumps({"type": "alarm.raised"}).encode()
    async with PushReceiver("secret") as receiver, httpx.AsyncClient(trust_env=False) as client:

        async def push(signature: str) -> int:
            headers = {
                "webhook-id": "n1",
                "webhook-timestamp": "1760000000",
                "webhook-signature": signature,
            }
            return (await client.post(receiver.url, content=body, headers=headers)).status_code

        sound = sign("secret", "n1", 1_760_000_000, body)
        assert [await push(sound), await push(sound), await push("v1,forged")] == [204, 204, 401]
        assert (receiver.taken, receiver.raised, receiver.cleared, receiver.refused) == (1, 1, 0, 1)
