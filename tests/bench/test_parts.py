"""The floor does its work, and a link that is down refuses as a cut one does."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.bench.child import ROOT, Child
from tests.bench.field import REGISTERS
from tests.bench.processes import Launch
from tests.bench.stage import running
from tests.support.ports import free_port

PATIENCE_S = 30.0


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def write(url: str) -> int:
    address = urlsplit(url)
    connection = HTTPConnection(address.hostname or "", address.port or 0, timeout=5)
    try:
        connection.request("POST", "/api/v2/write", b"m,device=d0 r00=1,r01=2 1790000000000")
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_link_that_is_down_refuses_and_comes_back_on_its_port() -> None:
    with Child("district") as district:
        assert write(district.ready) == 204
        district.ask("switch", down=True)
        with pytest.raises(ConnectionRefusedError):
            write(district.ready)
        back = district.ask("switch", down=False)
        assert write(district.ready) == 204
        assert district.ask("points") == 4
        assert district.ask("held")[-1][0] >= back


def test_the_floor_sends_all_that_it_read_though_the_link_was_down(tmp_path: Path) -> None:
    with Child("district") as district, Child("field", "2") as field:
        settings = {
            "data": str(tmp_path), "district": district.ready, "live": free_port(), "ports": field.ready,
            "group_s": 10.0, "group_rows": 2 * REGISTERS, "interval_s": 0.2,
        }  # fmt: skip
        argv = [sys.executable, "-m", "tests.bench.floor", json.dumps(settings)]
        with running(Launch(argv, tmp_path, {"PYTHONPATH": str(ROOT)})):
            until(lambda: district.ask("points") > 0)
            district.ask("switch", down=True)
            until(lambda: field.ask("polled", times=4) == 2)
            district.ask("switch", down=False)
            seen = field.ask("take")
            until(
                lambda: all(
                    len(district.ask("numbers").get(f"d{n}", [])) >= len(one["times"])
                    for n, one in enumerate(seen)
                )
            )
        for numbers in district.ask("numbers").values():
            assert numbers == list(range(1, len(numbers) + 1)), "each read once, in order"
