"""What comes with the gateway is valid, and checking it starts fast."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge.config.check import check
from edge.config.documents import read
from edge.config.library import Library, read_vocabulary
from edge.config.models import GatewayConfig
from edge.config.resources import builtin_configs
from edge.config.secrets import secrets_in
from edge.config.validation import Checker

CONFIGS = builtin_configs()
HEAVY = (
    "fastapi",
    "influxdb_client",
    "pymodbus",
    "aiomqtt",
    "paho",
    "httpx",
    "serialx",
    "uvicorn",
    "sqlite3",
)


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    settings, faults = Checker[GatewayConfig](GatewayConfig).check(read(CONFIGS / "school.yaml"))
    assert settings is not None, faults
    for _, ref in secrets_in(settings):
        (tmp_path / ref.secret).write_text("canary")
    return tmp_path


def test_the_annotated_school_is_valid_and_uses_every_kind_of_line(credentials: Path) -> None:
    report = check(CONFIGS / "school.yaml")
    assert report.faults == ()
    assert report.exit_code == 0
    assert report.configuration is not None
    protocols = {device.settings.protocol for device in report.configuration.devices.values()}
    assert protocols == {"modbus-rtu", "modbus-tcp", "dlt645", "mqtt"}
    assert report.configuration.calendar is not None


def test_the_virtual_school_is_valid() -> None:
    assert [str(fault) for fault in check(CONFIGS / "demo.yaml").faults] == []


def test_every_profile_is_valid() -> None:
    vocabulary, faults = read_vocabulary(CONFIGS / "vocabulary.yaml")
    assert vocabulary is not None, faults
    library = Library([CONFIGS / "profiles"], vocabulary)
    names = library.names()
    assert len(names) >= 10
    assert all(library.profile(name) is not None for name in names), library.faults


def test_checking_a_configuration_imports_no_driver_server_or_cloud_library() -> None:
    imports = "import sys, edge.config.check, edge.config.schema"
    code = f"{imports}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
