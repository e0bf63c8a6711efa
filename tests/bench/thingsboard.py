"""thingsboard-gateway as a system under test: SQLite storage, a local MQTT server."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.child import Child
from tests.bench.field import REGISTERS
from tests.bench.peers import Peer
from tests.bench.processes import Launch
from tests.bench.system import FIELD_TOPIC, MESSAGE_VALUES, WARM_S, Targets

_TELEMETRY = "v1/gateway/telemetry"
_OFFLINE = {
    # It asks its maker for updates over HTTPS: a proxy that refuses keeps the run on loopback.
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "",
    "PIP_NO_INDEX": "1",
}


class ThingsBoard:
    """thingsboard-gateway with the configuration it ships, remote functions off."""

    name = "thingsboard"
    title = "thingsboard-gateway"
    leaves_out = "rules, alarms, dashboard (its server has them): a threshold is not compared"
    sink = "its MQTT server"
    to_district = False
    warm_s = WARM_S

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.missing = peer.missing

    def polling(self, folder: Path, ports: Sequence[int], targets: Targets) -> Launch:
        """See `System`."""
        slaves = [_slave(number, port) for number, port in enumerate(ports)]
        return self._launch(folder, targets, "modbus", {"master": {"slaves": slaves}})

    def messages(self, folder: Path, devices: int, targets: Targets) -> Launch:
        """See `System`."""
        names = [f"r{number:02d}" for number in range(MESSAGE_VALUES)]
        mapping = {
            "topicFilter": f"{FIELD_TOPIC}/+",
            "subscriptionQos": 1,
            "converter": {
                "type": "json",
                "timeout": 60000,
                "attributes": [],
                "deviceInfo": {
                    "deviceNameExpressionSource": "topic",
                    "deviceNameExpression": f"(?<={FIELD_TOPIC}/)(.*?)$",
                    "deviceProfileExpressionSource": "constant",
                    "deviceProfileExpression": "default",
                },
                "timeseries": [{"type": "double", "key": name, "value": f"${{{name}}}"} for name in names],
            },
        }
        broker = {
            "host": "127.0.0.1", "port": targets.broker, "clientId": "bench-connector", "version": 5,
            "maxMessageNumberPerWorker": 10, "maxNumberOfWorkers": 100, "security": {"type": "anonymous"},
        }  # fmt: skip
        return self._launch(folder, targets, "mqtt", {"broker": broker, "mapping": [mapping]})

    def button(self, folder: Path, buttons: int, targets: Targets) -> None:
        """It has no rules."""

    def watch(self, folder: Path, targets: Targets) -> Child:
        """Subscribes to what it publishes."""
        return Child("watch", "mqtt", str(targets.broker), _TELEMETRY)

    def _launch(self, folder: Path, targets: Targets, kind: str, connector: Mapping[str, Any]) -> Launch:
        config = folder / "config"
        config.mkdir(exist_ok=True)
        (folder / "data").mkdir(exist_ok=True)
        (folder / "logs").mkdir(exist_ok=True)
        site = next((self._peer.folder / "venv" / "lib").glob("python3*/site-packages/thingsboard_gateway"))
        (config / "logs.json").write_text((site / "config" / "logs.json").read_text())
        shipped = json.loads((site / "config" / "tb_gateway.json").read_text())
        shipped["thingsboard"] |= {
            "host": "127.0.0.1", "port": targets.broker, "remoteShell": False, "remoteConfiguration": False,
            "security": {"type": "accessToken", "accessToken": "bench"},
        }  # fmt: skip
        shipped["storage"] = {
            "type": "sqlite", "data_file_path": f"{folder}/data/", "messages_ttl_check_in_hours": 1,
            "messages_ttl_in_days": 7, "max_read_records_count": 1000,
        }  # fmt: skip
        shipped["connectors"] = [{"name": "field", "type": kind, "configuration": f"{kind}.json"}]
        (config / "tb_gateway.json").write_text(json.dumps(shipped))
        (config / f"{kind}.json").write_text(json.dumps({"name": "field", "logLevel": "INFO", **connector}))
        program = self._peer.folder / "venv" / "bin" / "thingsboard-gateway"
        return Launch([str(program)], folder, {"TB_GW_CONFIG_DIR": f"{config}/", **_OFFLINE})


def _slave(number: int, port: int) -> dict[str, Any]:
    """All registers as one range: one request a period, which is the cheapest way it has."""
    everything = {
        "tag": "r${address}", "type": "16uint", "functionCode": 3, "objectsCount": 1,
        "address": f"0-{REGISTERS - 1}", "maxRegistersPerRequest": 125,
    }  # fmt: skip
    return {
        "host": "127.0.0.1", "port": port, "type": "tcp", "method": "socket", "unitId": 1, "timeout": 5,
        "byteOrder": "BIG", "wordOrder": "BIG", "retries": 1, "pollPeriod": 1000, "deviceName": f"d{number}",
        "deviceType": "default", "connectAttemptTimeMs": 5000, "connectAttemptCount": 5,
        "waitAfterFailedAttemptsMs": 30000, "attributes": [], "timeseries": [everything],
        "attributeUpdates": [], "rpc": [],
    }  # fmt: skip
