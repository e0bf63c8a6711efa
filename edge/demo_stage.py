"""Sets the stage of a demo: a copy of a configuration that points at simulators on loopback.

Of the school's own file everything stays but what names the outside world, and that
is replaced key by key (`_point_at_loopback`):

    lines[].url          serial:FOLDER/LINE, tcp://127.0.0.1:PORT, mqtt://127.0.0.1:PORT
    lines[].framing, devices[].framing   8N1 on serial lines: a pseudo-terminal has no parity
    lines[].username, .password          the demo broker's own
    sync                 one destination, the stand-in district
    notify               each desk's channels become one signed webhook to the demo itself
    web                  127.0.0.1, plain HTTP

So a demo of a real school's file reaches neither its devices nor its district nor its
people. Secrets are made anew for each run and lie in `secrets/` with mode 0600.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cloud_sync.stand_in import STAND_IN_ORG
from drivers.simulated.broker import free_port, write_private
from edge.config.fault import ConfigError, Fault
from edge.config.merge import read_with_includes
from edge.config.resources import builtin_configs
from edge.config.rulefiles import calendar_path, rule_paths
from edge.config.spots import Data, Document

BUCKET = "schools"
DESTINATION = "district"
FRAMED = ("modbus-rtu", "modbus-ascii", "dlt645", "cjt188", "davis", "text")
"""Protocols whose devices have a framing of their own."""

BROKER_USER = "gateway"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the demo's own ends listen, all on 127.0.0.1."""

    web_port: int
    broker_port: int
    district_url: str
    push_url: str


@dataclass(frozen=True, slots=True)
class Passwords:
    """This run's secrets."""

    mqtt: str = field(default_factory=secrets.token_urlsafe)
    district: str = field(default_factory=secrets.token_urlsafe)
    push: str = field(default_factory=secrets.token_urlsafe)


def write_stage(source: Path, folder: Path, addresses: Addresses, passwords: Passwords) -> Path:
    """Writes the copy into `folder` and gives its path. Raises ConfigError when `source` cannot be read."""
    document = read_with_includes(source)
    if document.faults:
        raise ConfigError(document.faults)
    _write_secrets(folder / "secrets", passwords)
    data = dict(document.data)
    data.pop("include", None)
    _copy_files(document, data, folder)
    _point_at_loopback(data, folder, addresses)
    target = folder / "campus.yaml"
    # JSON is YAML: every text is quoted, so nothing is read as another type
    text = json.dumps(data, ensure_ascii=False, indent=1)
    target.write_text(f"# made by campus-edge demo; the next demo overwrites it\n{text}\n", encoding="utf-8")
    return target


def _write_secrets(folder: Path, passwords: Passwords) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, text in (("mqtt", passwords.mqtt), ("district", passwords.district), ("push", passwords.push)):
        write_private(folder / name, text)


def _copy_files(document: Document, data: dict[str, Data], folder: Path) -> None:
    """Rules, calendar and profile folders are named relative to their file: they come along."""
    faults: list[Fault] = []
    builtin = builtin_configs()
    if "rules" in data:
        data["rules"] = list(_copied(rule_paths(document, builtin, faults), folder / "rules"))
    calendar = calendar_path(document, builtin, faults)
    if calendar is not None:
        data["calendar"] = next(_copied([calendar], folder / "calendar"))
    names = data.get("profiles")
    if isinstance(names, list):
        data["profiles"] = [f"profiles-{index}" for index in range(len(names))]
        for index, name in enumerate(names):
            here = Path(document.file(("profiles", index))).parent / str(name)
            shutil.copytree(here, folder / f"profiles-{index}", dirs_exist_ok=True)
    if faults:
        raise ConfigError(faults)


def _copied(paths: list[Path], folder: Path) -> Iterator[Data]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, path in enumerate(paths):
        name = f"{number:02d}-{path.name}"
        shutil.copyfile(path, folder / name)
        yield f"{folder.name}/{name}"


def _point_at_loopback(data: dict[str, Data], folder: Path, addresses: Addresses) -> None:
    serial = set()
    for line in _mappings(data, "lines"):
        serial |= _point_line(line, folder, addresses)
    for device in _mappings(data, "devices"):
        if device.get("line") in serial and device.get("protocol") in FRAMED:
            device["framing"] = "8N1"
    data["sync"] = [
        {
            "interval": "2s",
            **next(iter(_mappings(data, "sync")), {}),
            "id": DESTINATION,
            "url": addresses.district_url,
            "org": STAND_IN_ORG,
            "bucket": BUCKET,
            "token": {"secret": "district"},
            "retry_min": "500ms",
            "retry_max": "3s",
        }
    ]
    desks = data.get("notify")
    names = list(desks) if isinstance(desks, dict) and desks else ["desk"]
    data["notify"] = {
        name: [{"webhook": {"url": addresses.push_url, "secret": {"secret": "push"}}}] for name in names
    }
    data["web"] = {"listen": f"127.0.0.1:{addresses.web_port}", "tls": "off"}


def _point_line(line: dict[str, Data], folder: Path, addresses: Addresses) -> set[Data]:
    """Rewrites one line; its id when it is serial."""
    scheme = str(line.get("url", "")).partition(":")[0]
    if scheme == "serial":
        line["url"] = f"serial:{folder / str(line.get('id'))}"
        line["framing"] = "8N1"
        return {line.get("id")}
    if scheme == "tcp":
        line["url"] = f"tcp://127.0.0.1:{free_port()}"
    elif scheme in ("mqtt", "mqtts"):
        line["url"] = f"mqtt://127.0.0.1:{addresses.broker_port}"
        line["username"] = BROKER_USER
        line["password"] = {"secret": "mqtt"}
        line.pop("ca", None)
    return set()


def _mappings(data: dict[str, Data], section: str) -> Iterator[dict[str, Data]]:
    found = data.get(section)
    for item in found if isinstance(found, list) else ():
        if isinstance(item, dict):
            yield item
