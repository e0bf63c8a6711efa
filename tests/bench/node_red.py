"""Node-RED as a system under test: its modbus nodes, a function that compares, an MQTT node."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.child import Child
from tests.bench.field import REGISTERS
from tests.bench.peers import Peer, node
from tests.bench.processes import Launch
from tests.bench.system import BUTTON_TOPIC, FIELD_TOPIC, THRESHOLD, WARM_S, Targets

_SETTINGS = """module.exports = {{
  uiHost: "127.0.0.1", uiPort: {port}, flowFile: "flows.json", credentialSecret: false,
  disableEditor: true, telemetry: {{ enabled: false, updateNotification: false }},
  logging: {{ console: {{ level: "info", metrics: false, audit: false }} }},
}}
"""
_COMPARE = f"if (msg.payload[0] > {THRESHOLD}) {{ flow.set('over', msg.topic) }}\nreturn msg"
_COMPARE_JSON = (
    f"if (msg.payload.r00 > {THRESHOLD}) {{ flow.set('over', msg.topic) }}\n"
    "msg.topic = 'bench/' + msg.topic.split('/')[1]\nmsg.payload = Object.values(msg.payload)\nreturn msg"
)
_PRESSED = "if (msg.payload.pressed === true) { return { payload: { type: 'alarm', topic: msg.topic } } }"

Nodes = list[dict[str, Any]]


class NodeRed:
    """Node-RED without its editor; the flow is what a handy user would draw."""

    name = "node-red"
    title = "Node-RED"
    leaves_out = "storage: what is not yet published is in memory only; alarms with a life, users, quality"
    sink = "its MQTT server"
    to_district = False
    warm_s = WARM_S

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.missing = peer.missing

    def polling(self, folder: Path, ports: Sequence[int], targets: Targets) -> Launch:
        """See `System`."""
        nodes: Nodes = [_tab(), _broker(targets.broker), _function("compare", _COMPARE, "out"), _publish()]
        for number, port in enumerate(ports):
            nodes += [_client(number, port), _read(number)]
        return self._launch(folder, targets, nodes)

    def messages(self, folder: Path, devices: int, targets: Targets) -> Launch:
        """See `System`."""
        nodes = [
            _tab(), _broker(targets.broker), _subscribe(f"{FIELD_TOPIC}/#", "compare"),
            _function("compare", _COMPARE_JSON, "out"), _publish(),
        ]  # fmt: skip
        return self._launch(folder, targets, nodes)

    def button(self, folder: Path, buttons: int, targets: Targets) -> Launch:
        """MQTT in, a function, an HTTP request; nothing is durable."""
        post = {
            "id": "post",
            "type": "http request",
            "z": "tab",
            "method": "POST",
            "ret": "txt",
            "paytoqs": "ignore",
            "url": targets.hook,
            "persist": True,
            "authType": "",
            "senderr": False,
            "headers": [],
            "wires": [[]],
        }
        nodes = [
            _tab(),
            _broker(targets.broker),
            _subscribe(f"{BUTTON_TOPIC}/#", "pressed"),
            _function("pressed", _PRESSED, "post"),
            post,
        ]
        return self._launch(folder, targets, nodes)

    def watch(self, folder: Path, targets: Targets) -> Child:
        """Subscribes to what it publishes."""
        return Child("watch", "mqtt", str(targets.broker), "bench/#")

    def _launch(self, folder: Path, targets: Targets, nodes: Nodes) -> Launch:
        (folder / "flows.json").write_text(json.dumps(nodes))
        (folder / "settings.js").write_text(_SETTINGS.format(port=targets.own))
        modules = self._peer.folder / "node_modules"
        if not (folder / "node_modules").exists():
            (folder / "node_modules").symlink_to(modules)
        manifest = {
            "dependencies": {"node-red-contrib-modbus": self._peer.versions["node-red-contrib-modbus"]}
        }
        (folder / "package.json").write_text(json.dumps(manifest))
        argv = [
            str(node(self._peer.folder)), str(modules / "node-red" / "red.js"), "--userDir", str(folder),
            "--settings", str(folder / "settings.js"),
        ]  # fmt: skip
        return Launch(argv, folder)


def _tab() -> dict[str, Any]:
    return {"id": "tab", "type": "tab", "label": "bench"}


def _broker(port: int) -> dict[str, Any]:
    return {
        "id": "broker", "type": "mqtt-broker", "broker": "127.0.0.1", "port": port, "autoConnect": True,
        "protocolVersion": "4", "keepalive": 60, "cleansession": True,
    }  # fmt: skip


def _function(name: str, code: str, to: str) -> dict[str, Any]:
    return {"id": name, "type": "function", "z": "tab", "func": code, "outputs": 1, "wires": [[to]]}


def _publish() -> dict[str, Any]:
    return {
        "id": "out",
        "type": "mqtt out",
        "z": "tab",
        "topic": "",
        "qos": "1",
        "broker": "broker",
        "wires": [],
    }


def _subscribe(topic: str, to: str) -> dict[str, Any]:
    return {
        "id": "in", "type": "mqtt in", "z": "tab", "topic": topic, "qos": "1", "datatype": "json",
        "broker": "broker", "wires": [[to]],
    }  # fmt: skip


def _client(number: int, port: int) -> dict[str, Any]:
    """As the palette's defaults make it."""
    return {
        "id": f"client{number}", "type": "modbus-client", "name": f"d{number}", "clienttype": "tcp",
        "bufferCommands": True, "stateLogEnabled": False, "queueLogEnabled": False, "tcpHost": "127.0.0.1",
        "tcpPort": port, "tcpType": "DEFAULT", "unit_id": 1, "commandDelay": 1, "clientTimeout": 1000,
        "reconnectOnTimeout": True, "reconnectTimeout": 2000, "parallelUnitIdsAllowed": True,
    }  # fmt: skip


def _read(number: int) -> dict[str, Any]:
    return {
        "id": f"read{number}",
        "type": "modbus-read",
        "z": "tab",
        "name": f"d{number}",
        "topic": f"bench/d{number}",
        "unitid": "1",
        "dataType": "HoldingRegister",
        "adr": "0",
        "quantity": str(REGISTERS),
        "rate": "1",
        "rateUnit": "s",
        "delayOnStart": False,
        "startDelayTime": "",
        "server": f"client{number}",
        "showStatusActivities": False,
        "showErrors": False,
        "logIOActivities": False,
        "useIOFile": False,
        "useIOForPayload": False,
        "emptyMsgOnFail": False,
        "wires": [["compare"], []],
    }
