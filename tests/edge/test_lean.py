"""The gateway's process loads of its libraries what it needs, and goes on doing so."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.bench.child import Child
from tests.bench.ours import CampusEdge
from tests.bench.system import Targets
from tests.support.ports import free_port

UNWANTED = {
    "numpy": "influxdb-client's tables, pcodec",
    "pcodec": "the helper process seals",
    "pandas": "influxdb-client's tables",
    "reactivex": "influxdb-client's batching writer",
    "influxdb_client.client.influxdb_client": "its queries, tasks and users",
    "pydantic.v1": "fastapi asks after it",
    "rich": "httpx's and typer's command line",
    "pygments": "rich",
    "click": "uvicorn's command line",
    "typer": "ours",
    "jinja2": "nothing of the gateway's",
    "edge.cli": "the other commands",
    "edge.demo": "the virtual school",
    "edge.replay": "a process of its own",
    "drivers.simulated": "the virtual school",
    "amqtt": "the virtual school's broker",
    "cv2": "cameras have their own process",
}
"""What must not come into the process, and who would bring it."""
MOST_MODULES = 1000
"""A third are the gateway's own; each is some 40 kB, and a library that comes in whole a hundred of them."""

RUN = """
import json, http.client, os, signal, sys, threading, time

def answers():
    try:
        asked = http.client.HTTPConnection("127.0.0.1", int(port), timeout=5)
        asked.request("GET", "/api/v1/health")
        return asked.getresponse().status == 200
    except OSError:
        return False

def look():
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if "influxdb_client.service.write_service" in sys.modules and answers():
            break
        time.sleep(0.1)
    else:
        os._exit(3)
    time.sleep(0.5)
    print(json.dumps([name for name, module in list(sys.modules.items()) if module is not None]))
    os.kill(os.getpid(), signal.SIGTERM)

port = sys.argv.pop(1)
threading.Thread(target=look, daemon=True).start()
from edge.entry import main
main()
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The modules of a gateway that polls, serves and sends; the district is away, and is written to."""
    folder, port = tmp_path_factory.mktemp("lean"), free_port()
    targets = Targets(free_port(), f"http://127.0.0.1:{free_port()}", "http://127.0.0.1:9/", port)
    with Child("field", "2") as field:
        launch = CampusEdge({"interval": "500ms"}).polling(folder, field.ready, targets)
        arguments = launch.argv[launch.argv.index("run") :]
        done = subprocess.run(
            [sys.executable, "-c", RUN, str(port), *arguments],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_nothing_heavy_is_in_the_running_process(running: list[str]) -> None:
    came = {name for name in running for one in UNWANTED if name == one or name.startswith(f"{one}.")}
    assert not came, sorted(came)


def test_the_running_process_stays_as_small_as_it_is(running: list[str]) -> None:
    assert "fastapi" in running
    assert "pymodbus.framer" in running
    assert len(running) < MOST_MODULES, f"{len(running)} modules"


def test_what_polls_loads_nothing_of_the_dashboard_or_the_district() -> None:
    script = (
        "import sys; from edge.lean import lean; lean(); import edge.agent\n"
        "late = ('fastapi', 'starlette', 'uvicorn.server', 'paho', 'influxdb_client.rest')\n"
        "print(*[name for name in late if name in sys.modules])"
    )
    assert said(script) == ""


LOAD = """
import sys
if sys.argv[1] == "lean":
    from edge.lean import lean
    lean()
    lean()
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
from edge.lean import lean
lean()
import httpx
httpx.AsyncClient()
print("rich" in sys.modules, callable(httpx.main))
"""
UVICORN = """
import sys
from edge.lean import lean
lean()
import uvicorn
from uvicorn import Config, Server
print("click" in sys.modules, Server(Config(None)).config is not None, callable(uvicorn.run))
"""


def said(script: str, *arguments: str) -> str:
    """What a Python of its own prints."""
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


def test_httpx_does_without_its_command_line() -> None:
    assert said(HTTPX).split() == ["False", "True"]


def test_uvicorn_serves_without_its_command_line_and_finds_it_when_asked() -> None:
    assert said(UVICORN).split() == ["False", "True", "True"]


def loaded(how: str) -> tuple[int, str]:
    """How many of the library's modules are loaded, and what it says of a name that it lacks."""
    count, _, error = said(LOAD, how).partition(" ")
    return int(count), error


def test_a_writer_is_made_of_far_fewer_modules_and_names_are_found_as_before() -> None:
    lean, whole = loaded("lean"), loaded("whole")
    assert lean[0] < whole[0] / 2
    assert lean[1] == whole[1]
