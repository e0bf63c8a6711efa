"""The virtual school as the gateway behind the pages: real protocols, real server, real data."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from playwright.sync_api import Browser, StorageState

from tests.support.ports import free_port
from tests.web_pages.browser import CHROMIUM, LIMIT, chromium, context, sign_in, watched


class RunningGateway(NamedTuple):
    """Where it is, and who may acknowledge."""

    url: str
    user: str
    password: str


USER, PASSWORD = "headmaster", "Peking-Duck-1949"
START_S = 90.0


@pytest.fixture(scope="session")
def running_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A running demo with its first account made through the first-run token."""
    folder: Path = tmp_path_factory.mktemp("demo")
    port = free_port()
    log = folder / "demo.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "edge", "demo", "--port", str(port), "--data", str(folder / "data")],
            stdout=output, stderr=output, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        token = _first_run_token(process, log)
        answer = httpx.post(
            f"{url}/api/v1/setup", json={"token": token, "user": USER, "password": PASSWORD},
            headers={"X-Campus-Edge": "1", "Origin": url}, timeout=30.0, trust_env=False,
        )  # fmt: skip
        assert answer.is_success, answer.text
        _wait_for_an_alarm(url, answer.cookies, log)
        yield RunningGateway(url, USER, PASSWORD)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One browser for all pages; each test has a profile of its own."""
    assert CHROMIUM.is_file(), "apt-get install -y --no-install-recommends chromium fonts-wqy-zenhei"
    with chromium() as started:
        yield started


@pytest.fixture(scope="package")
def signed_in(browser: Browser, running_gateway: RunningGateway) -> StorageState:
    """The cookie of one sign-in through the form: the gateway permits only a few a minute."""
    with context(browser, 1440, "zh") as opened:
        page, _ = watched(opened)
        sign_in(page, running_gateway)
        state = opened.storage_state()
        state["origins"] = []  # the language is each test's own
        return state


@pytest.fixture(autouse=True)
def like_a_person() -> Iterator[None]:
    """All tests are one client to the gateway, and a page asks some ten things when it opens: like a
    person they look at a page for a while, so that the limit of ten requests a second is not met."""
    yield
    time.sleep(LIMIT.pause_s())


def _first_run_token(process: subprocess.Popen[bytes], log: Path) -> str:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        found = re.search(r"First-run token: (\S+)[\s\S]*Dashboard: ", log.read_text())
        if found:
            return found[1]
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(f"no first-run token: {log.read_text()}")


def _wait_for_an_alarm(url: str, cookies: httpx.Cookies, log: Path) -> None:
    """Until the physics has raised an alarm that nobody has acknowledged."""
    until = time.monotonic() + START_S
    with httpx.Client(base_url=url, cookies=cookies, timeout=20.0, trust_env=False) as client:
        while time.monotonic() < until:
            if client.get("/api/v1/alarms", params={"state": "open"}).json()["items"]:
                return
            time.sleep(0.5)
    raise AssertionError(f"no alarm came: {log.read_text()[-2000:]}")
