"""A district of small schools as a person starts it: processes, one server, and equal sums at the end."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cloud_sync.holdings import Holdings
from cloud_sync.line_parser import parse_lines
from edge.config.load import load
from edge.demo_audit import Stored, Sum, differences
from edge.demo_district import run_schools
from edge.demo_schools import MOST, site_id, write_school
from edge.demo_stage import Addresses, Passwords, write_stage
from tests.edge.test_demo import ROOT, children_of, demo
from tests.support.ports import free_port


def two_free_ports() -> int:
    """A free port behind which another one is free."""
    for _ in range(50):
        port = free_port()
        try:
            with socket.create_server(("127.0.0.1", port + 1)):
                return port
        except OSError:
            continue
    raise AssertionError("no two free ports side by side")


@pytest.mark.timeout(150)
def test_two_schools_end_with_all_that_they_stored_in_the_district(tmp_path: Path) -> None:
    process = demo(
        *("--schools", "2", "--port", str(two_free_ports()), "--data", str(tmp_path / "data")),
        *("--for", "15s", "--seed", "3"),
    )
    out, err = process.communicate(timeout=140)
    assert process.returncode == 0, out + err
    for name in ("school-01", "school-02"):
        found = re.search(rf"{name}  (\d+) of (\d+) stored points held, \d+ bad, 0 pending", out)
        assert found is not None, out
        assert int(found[1]) == int(found[2]) > 100
        assert (tmp_path / "data" / name / "telemetry.db").is_file()
    assert not children_of(tmp_path)


def test_every_school_is_a_configuration_of_its_own_without_a_warning(tmp_path: Path) -> None:
    seen = set()
    for index in range(MOST):
        source = write_school(index, tmp_path / site_id(index))
        addresses = Addresses(8099, 0, "http://127.0.0.1:18086", "http://127.0.0.1:18087/push")
        configuration = load(write_stage(source, tmp_path / f"stage-{index}", addresses, Passwords()))
        assert configuration.warnings == ()
        assert len(configuration.devices) == 6
        site = configuration.settings.site
        seen.add((site.id, site.name, site.latitude, site.longitude))
    assert len(seen) == MOST


def test_the_audit_does_not_take_one_school_s_points_for_another_s() -> None:
    holdings = Holdings()
    line = "classroom_env,district=d,school={},device=e1 co2={} {}"
    lines = [line.format("a", 400.0, 1), line.format("b", 500.0, 1), line.format("b", 600.0, 2)]
    for point in parse_lines("\n".join(lines).encode()):
        holdings.store(point, point.at)
    store = Stored({("classroom_env", "co2"): Sum(2, 1100.0)}, 0)
    assert differences(store, holdings, "b") == []
    (lost,) = differences(store, holdings, "a")
    assert "the district holds 1 of sum 400" in lost
    assert len(differences(store, holdings)) == 1, "all schools together hold one more"


def test_a_number_that_cannot_be_played_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_schools(MOST + 1, 8080, tmp_path, 1.0, 1) == 2
    assert "2 to 20" in capsys.readouterr().out
    command = [sys.executable, "-m", "edge", "demo", "--schools", "2", "--scenario", "bus-cut"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "--schools plays its own schools" in done.stderr
