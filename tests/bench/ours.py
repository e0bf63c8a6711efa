"""This gateway as a system under test: its own configuration, nothing switched off."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge import clock
from edge.agent import CORE_MIGRATIONS
from edge.store.accounts import Accounts, Role
from edge.store.database import connect
from tests.bench.child import ROOT, Child
from tests.bench.defaults import EAGER_S, GROUP_ROWS, GROUP_S, INTERVAL_S
from tests.bench.field import REGISTERS
from tests.bench.processes import Launch
from tests.bench.system import BUTTON_TOPIC, FIELD_TOPIC, MESSAGE_VALUES, THRESHOLD, Targets

_ENVIRONMENT = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": ""}
"""As installed: there the sources are compiled once, whatever a developer's shell says."""
_DEFAULTS: Mapping[str, Any] = {}
_WORDS = {"unit": "1", "zh": "值", "en": "value", "decimals": 0}
_HEAD = {"maker": "bench", "model": "bench", "kind": "contact", "source": "made for the benchmark"}
_TEXTS = {
    "owner": "desk", "respond_within": "1h", "guide": {"zh": "看一下", "en": "look"},
    "consequence": {"zh": "无", "en": "none"},
}  # fmt: skip


def _names(count: int) -> list[str]:
    return [f"r{number:02d}" for number in range(count)]


@dataclass(frozen=True, slots=True)
class PollingWork:
    """What is read from each Modbus TCP device: so many holding registers, and how often."""

    registers: int = REGISTERS
    every: str = "1s"


def modbus_profile(registers: int = REGISTERS) -> dict[str, Any]:
    """Holding registers as points, one each."""
    names = _names(registers)
    return {
        **_HEAD, "id": "bench-modbus", "family": "modbus", "limits": {"max_registers": 125},
        "adds": dict.fromkeys(names, _WORDS),
        "points": {name: {"address": number} for number, name in enumerate(names)},
    }  # fmt: skip


def _mqtt_profile() -> dict[str, Any]:
    names = _names(MESSAGE_VALUES)
    return {
        **_HEAD, "id": "bench-mqtt", "family": "mqtt", "adds": dict.fromkeys(names, _WORDS),
        "points": {name: {"pointer": f"/{name}"} for name in names},
    }  # fmt: skip


_BUTTON_PROFILE: Mapping[str, Any] = {
    **_HEAD, "id": "bench-button", "family": "mqtt", "kind": "emergency_button",
    "points": {"pressed": {"pointer": "/pressed"}},
}  # fmt: skip
_THRESHOLD_RULE: Mapping[str, Any] = {
    "id": "threshold", "scope": {"each": "device"},
    "when": {"p": "r00", "op": "gt", "val": THRESHOLD, "unit": "1"},
    "alarm": {"prio": 4, "title": {"zh": "超限", "en": "over"}, **_TEXTS},
}  # fmt: skip
_PRESSED_RULE: Mapping[str, Any] = {
    "id": "pressed", "scope": {"each": "emergency_button"}, "when": {"p": "pressed", "op": "eq", "val": True},
    "latch": True, "shelvable": False, "nodata": {"then": "hold"},
    "alarm": {"prio": 1, "title": {"zh": "求助", "en": "help"}, **_TEXTS},
}  # fmt: skip


class CampusEdge:
    """campus-edge with store, rules, sync and web on, in its default groups and intervals."""

    name = "campus-edge"
    title = "campus-edge"
    leaves_out = "nothing: store, rules, alarms, sync and web are on"
    sink = "its event stream (/api/v1/stream)"
    to_district = True
    warm_s = EAGER_S
    missing = ""

    def __init__(self, sync: Mapping[str, Any] = _DEFAULTS) -> None:
        """`sync` overrides settings of the destination."""
        self._sync = sync

    def polling(
        self, folder: Path, ports: Sequence[int], targets: Targets, work: PollingWork = PollingWork()
    ) -> Launch:
        """See `System`; `work` is what the others read, or a load of its own."""
        lines = [{"id": f"l{n}", "url": f"tcp://127.0.0.1:{port}"} for n, port in enumerate(ports)]
        devices = [
            {"id": f"d{n}", "space": "room", "line": f"l{n}", "protocol": "modbus-tcp", "address": 1,
             "profile": "bench-modbus", "every": work.every}
            for n in range(len(ports))
        ]  # fmt: skip
        config = {"lines": lines, "devices": devices}
        return self._launch(folder, config, modbus_profile(work.registers), _THRESHOLD_RULE, targets)

    def messages(self, folder: Path, devices: int, targets: Targets) -> Launch:
        """See `System`."""
        config = {
            "lines": [{"id": "broker", "url": f"mqtt://127.0.0.1:{targets.broker}"}],
            "devices": [
                {"id": f"d{n}", "space": "room", "line": "broker", "protocol": "mqtt",
                 "profile": "bench-mqtt", "topic": f"{FIELD_TOPIC}/d{n}"}
                for n in range(devices)
            ],
        }  # fmt: skip
        return self._launch(folder, config, _mqtt_profile(), _THRESHOLD_RULE, targets)

    def button(self, folder: Path, buttons: int, targets: Targets) -> Launch:
        """See `System`."""
        config = {
            "lines": [{"id": "broker", "url": f"mqtt://127.0.0.1:{targets.broker}"}],
            "devices": [
                {"id": f"b{n}", "space": "room", "line": "broker", "protocol": "mqtt",
                 "profile": "bench-button", "topic": f"{BUTTON_TOPIC}/b{n}"}
                for n in range(buttons)
            ],
            "notify": {"desk": [{"webhook": {"url": targets.hook}}]},
        }  # fmt: skip
        return self._launch(folder, config, _BUTTON_PROFILE, _PRESSED_RULE, targets)

    def _launch(
        self,
        folder: Path,
        config: Mapping[str, Any],
        profile: Mapping[str, Any],
        rule: Mapping[str, Any],
        targets: Targets,
    ) -> Launch:
        """Writes the configuration (JSON is YAML) and says how to start on it."""
        (folder / "profiles").mkdir(exist_ok=True)
        (folder / "profiles" / f"{profile['id']}.yaml").write_text(json.dumps(profile))
        (folder / "secrets").mkdir(mode=0o700, exist_ok=True)
        secret = folder / "secrets" / "influx"
        secret.touch(mode=0o600)
        secret.write_text("token")
        (folder / "rules.yaml").write_text(json.dumps({"rules": [rule]}, ensure_ascii=False))
        destination = {
            "id": "district", "url": targets.district, "org": "bench", "bucket": "bench",
            "token": {"secret": "influx"}, **self._sync,
        }  # fmt: skip
        whole = {
            "version": 1,
            "site": {"id": "bench", "name": "bench", "district": "bench", "latitude": 34, "longitude": 109},
            "spaces": [{"id": "room", "name": "room", "kind": "classroom"}],
            "profiles": ["profiles"], "rules": ["rules.yaml"], "sync": [destination],
            "web": {"listen": f"127.0.0.1:{targets.own}"},
            **config,
        }  # fmt: skip
        (folder / "school.yaml").write_text(json.dumps(whole, ensure_ascii=False))
        argv = [
            sys.executable,
            "-m",
            "edge",
            "run",
            "-c",
            str(folder / "school.yaml"),
            "--data",
            str(folder / "data"),
        ]
        return Launch(argv, folder, _ENVIRONMENT)

    def watch(self, folder: Path, targets: Targets) -> Child:
        """Listens to the event stream with a machine's token."""
        return Child("watch", "sse", str(targets.own), _token(folder))

    def crowd(self, folder: Path, targets: Targets, clients: int) -> Child:
        """So many listen to the event stream."""
        return Child("crowd", str(targets.own), _token(folder), str(clients))


def _token(folder: Path) -> str:
    """A new token that may read."""
    connection = connect(folder / "data" / "core.db", CORE_MIGRATIONS)
    try:
        connection.execute("BEGIN IMMEDIATE")
        token = Accounts(clock.now).create_token(connection, "bench", Role.VIEWER)
        connection.execute("COMMIT")
    finally:
        connection.close()
    return token


class Floor:
    """The hand-written loop of `floor.py`."""

    name = "floor"
    title = "hand-written floor"
    leaves_out = "configuration, quality, retries, alarms' life, users, dashboard, quarantine, backoff"
    sink = "JSON lines on TCP"
    to_district = True
    warm_s = 0.0
    missing = ""

    def polling(self, folder: Path, ports: Sequence[int], targets: Targets) -> Launch:
        """See `System`."""
        return self._launch(folder, targets, {"ports": list(ports)})

    def messages(self, folder: Path, devices: int, targets: Targets) -> Launch:
        """See `System`."""
        return self._launch(folder, targets, {"broker": targets.broker, "devices": devices})

    def button(self, folder: Path, buttons: int, targets: Targets) -> Launch:
        """A bare aiomqtt subscriber that POSTs with httpx; nothing is durable."""
        argv = [sys.executable, "-m", "tests.bench.button_floor", str(targets.broker), targets.hook]
        return Launch(argv, folder, _ENVIRONMENT)

    def watch(self, folder: Path, targets: Targets) -> Child:
        """Listens to its live port."""
        return Child("watch", "lines", str(targets.own))

    def _launch(self, folder: Path, targets: Targets, work: Mapping[str, Any]) -> Launch:
        settings = {
            "data": str(folder), "district": targets.district, "live": targets.own,
            "group_s": GROUP_S, "group_rows": GROUP_ROWS, "interval_s": INTERVAL_S, **work,
        }  # fmt: skip
        argv = [sys.executable, "-m", "tests.bench.floor", json.dumps(settings)]
        return Launch(argv, folder, _ENVIRONMENT)
