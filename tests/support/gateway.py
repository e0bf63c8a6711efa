"""The real gateway as a process of its own, over a configuration made for a test."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from edge.store import moments
from edge.store.walk import walk
from tests.support.ports import free_port

START_S = 60.0


class Gateway:
    """One configuration and one data folder; started, killed and started again by a test."""

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        *,
        secrets: Mapping[str, str],
        profiles: Mapping[str, Mapping[str, Any]],
        rules: Mapping[str, Any] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.data = folder / "data"
        self.config = folder / "school.yaml"
        self.log = folder / "gateway.log"
        self.port = free_port()
        (folder / "profiles").mkdir()
        for name, profile in profiles.items():
            (folder / "profiles" / f"{name}.yaml").write_text(json.dumps({"id": name, **profile}))
        (folder / "secrets").mkdir(mode=0o700)
        for name, secret in secrets.items():
            path = folder / "secrets" / name
            path.touch(mode=0o600)
            path.write_text(secret)
        extra: dict[str, Any] = {"profiles": ["profiles"], "web": {"listen": f"127.0.0.1:{self.port}"}}
        if rules is not None:
            (folder / "rules.yaml").write_text(json.dumps(rules, ensure_ascii=False))
            extra["rules"] = ["rules.yaml"]
        # JSON is YAML: the strict loader takes it as it is.
        self.config.write_text(json.dumps({"version": 1, **config, **extra}, ensure_ascii=False))
        self.environment: dict[str, str] = {}
        """What the gateway's process finds in its environment besides."""
        self.prefix: Sequence[str] = ()
        """What its command line begins with, e.g. to run it in a network of its own."""
        self._process: subprocess.Popen[bytes] | None = None
        self._token = ""

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The running gateway's process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts it and waits until it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.prefix, sys.executable, "-m", "edge", "run", "-c", str(self.config),
                 "--data", str(self.data)],
                stdout=log, stderr=log, env={**os.environ, "PYTHONUNBUFFERED": "1", **self.environment},
            )  # fmt: skip
        until = time.monotonic() + START_S
        while True:
            if self._process.poll() is not None:
                raise AssertionError(f"the gateway ended: {self.log.read_text()[-3000:]}")
            try:
                httpx.get(f"{self.url}/api/v1/health", timeout=5.0, trust_env=False)
                return
            except httpx.HTTPError as error:
                if time.monotonic() > until:
                    raise AssertionError(f"no answer: {self.log.read_text()[-3000:]}") from error
                time.sleep(0.05)

    def begin(self) -> None:
        """Starts it and waits until its lines are connected: what is said to a broker before is lost."""
        self.start()
        until = time.monotonic() + START_S
        while down := [line["id"] for line in self.get("/lines")["items"] if not line["connected"]]:
            if time.monotonic() > until:
                raise AssertionError(f"{', '.join(down)} not connected: {self.log.read_text()[-3000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """As a power cut: SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """As systemd does: SIGTERM, and its clean end is awaited."""
        code = self._end(signal.SIGTERM)
        assert code == 0, f"ended with {code}: {self.log.read_text()[-3000:]}"

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(timeout=30)
        self._process = None
        return code

    def close(self) -> None:
        """Ends what the test left running; where the test failed, pytest shows the log's end."""
        if self._process is not None:
            self.kill()
        if self.log.is_file():
            print(self.log.read_text(errors="replace")[-6000:])

    def cli(self, *arguments: str) -> str:
        """What a command of the command line prints; it must succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "edge", *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, path: str, **query: str) -> Any:
        """A resource of the API, by a machine's token."""
        return self._request("GET", path, params=query)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """A change through the API, by a machine's token."""
        return self._request("POST", path, json=body)

    def metrics(self) -> str:
        """The gateway's own numbers, as Prometheus reads them on the same machine."""
        return httpx.get(f"{self.url}/metrics", timeout=20.0, trust_env=False).text

    def _request(self, method: str, path: str, **options: Any) -> Any:
        if not self._token:
            self._token = self.cli(
                "token", "create", "--data", str(self.data), "--role", "operator", "--name", "test"
            ).strip()
        answer = httpx.request(
            method, f"{self.url}/api/v1{path}", headers={"Authorization": f"Bearer {self._token}"},
            timeout=20.0, trust_env=False, **options,
        )  # fmt: skip
        assert answer.is_success, (answer.status_code, answer.text)
        return answer.json()

    def stored(self, quality: int = 0) -> dict[tuple[str, str], list[float]]:
        """(device, point) -> stored values in the order of storing; 0 the good, 2 the bad ones. Not what
        the gateway stores of itself."""
        found: dict[tuple[str, str], list[float]] = defaultdict(list)
        with closing(sqlite3.connect(f"file:{self.data / 'telemetry.db'}?mode=ro", uri=True)) as connection:
            for one in walk(connection):
                if one.source.kind != "gateway" and moments.QUALITIES[quality] is one.quality:
                    assert one.value is None or not isinstance(one.value, str)
                    found[one.source.device, one.point.name].append(float(one.value or 0))
        return found
