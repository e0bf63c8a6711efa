"""The gateway's process loads of influxdb-client what a writer needs."""

from __future__ import annotations

import subprocess
import sys

LOAD = """
import sys
if sys.argv[1] == "lean":
    from edge.lean import lean_influxdb_client
    lean_influxdb_client()
    lean_influxdb_client()
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.service.write_service import WriteService
from influxdb_client.rest import ApiException
import influxdb_client, influxdb_client.domain
assert WriteService(InfluxDBClient("http://127.0.0.1:1", "t", org="o").api_client) is not None
assert influxdb_client.WritePrecision is influxdb_client.domain.WritePrecision
assert influxdb_client.WritePrecision.MS == "ms"
try:
    influxdb_client.Nothing
except AttributeError as error:
    print(len([name for name in sys.modules if name.startswith("influxdb_client")]), error)
"""


HTTPX = """
import sys
from edge.lean import lean_httpx
lean_httpx()
import httpx
httpx.AsyncClient()
print("rich" in sys.modules, callable(httpx.main))
"""


def test_httpx_does_without_its_command_line() -> None:
    said = subprocess.run(
        [sys.executable, "-c", HTTPX], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert said.split() == ["False", "True"]


def loaded(how: str) -> tuple[int, str]:
    """How many of the library's modules are loaded, and what it says of a name that it lacks."""
    said = subprocess.run(
        [sys.executable, "-c", LOAD, how], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    count, _, error = said.strip().partition(" ")
    return int(count), error


def test_a_writer_is_made_of_far_fewer_modules_and_names_are_found_as_before() -> None:
    lean, whole = loaded("lean"), loaded("whole")
    assert lean[0] < whole[0] / 2
    assert lean[1] == whole[1]
