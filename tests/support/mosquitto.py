"""A real mosquitto on loopback for tests: own folder, free port, persistent sessions."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from tests.support.ports import free_port

_SBIN = "/usr/sbin:/usr/local/sbin"
_PATIENCE_S = 15.0


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=_SBIN)
    if found is None:
        raise FileNotFoundError(f"{name} is needed: install mosquitto and mosquitto-clients")
    return found


class Mosquitto:
    """One broker in `folder`; `users` are names and passwords, without them anyone may enter.

    The session and the messages for it outlive `stop` and `start`; after `kill` what the
    broker last wrote to disk is left.
    """

    def __init__(self, folder: Path, *, users: Mapping[str, str] | None = None, acl: str = "") -> None:
        self.folder = folder
        self.port = free_port()
        self.users = dict(users or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._write_config(acl)

    @property
    def url(self) -> str:
        """Where to reach it."""
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The running broker's process id."""
        if self._process is None:
            raise RuntimeError("the broker is not running")
        return self._process.pid

    def start(self) -> None:
        """Starts it and waits until it accepts connections."""
        self._process = subprocess.Popen(
            [program("mosquitto"), "-c", str(self.folder / "mosquitto.conf")],
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "mosquitto.log").open("ab"),
        )
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
                return
            time.sleep(0.02)
        log = (self.folder / "mosquitto.log").read_text()
        self.kill()
        raise RuntimeError(f"mosquitto did not start: {log}")

    def stop(self) -> None:
        """Ends it in order: sessions and queued messages are on disk afterwards."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stops it in order and starts it again on the same port."""
        self.stop()
        self.start()

    def publish(self, topic: str, *payloads: bytes | str, qos: int = 1, retain: bool = False) -> None:
        """Publishes with mosquitto_pub; several payloads go as one message a line."""
        data = [p.encode() if isinstance(p, str) else p for p in payloads]
        options = ["-t", topic, "-q", str(qos), *(["-r"] if retain else [])]
        source = "-l" if len(data) > 1 else "-s"
        self._pub([*options, source], b"\n".join(data) + (b"\n" if len(data) > 1 else b""))

    def _pub(self, options: list[str], data: bytes) -> None:
        user = next(iter(self.users.items()), None)
        login = ["-u", user[0], "-P", user[1]] if user else []
        subprocess.run(
            [program("mosquitto_pub"), "-h", "127.0.0.1", "-p", str(self.port), *login, *options],
            input=data,
            check=True,
            timeout=60,
            capture_output=True,
        )

    def _end(self, with_signal: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            os.kill(self._process.pid, with_signal)
        self._process.wait(_PATIENCE_S)
        self._process = None

    def _write_config(self, acl: str) -> None:
        lines = [
            f"listener {self.port} 127.0.0.1",
            f"user {getpass.getuser()}",
            "persistence true",
            f"persistence_location {self.folder}/",
            "autosave_on_changes true",
            "autosave_interval 1",
            "max_queued_messages 0",
            f"allow_anonymous {str(not self.users).lower()}",
        ]
        if self.users:
            password_file = self.folder / "passwords"
            password_file.touch(mode=0o600)
            for user, password in self.users.items():
                command = [program("mosquitto_passwd"), "-b", str(password_file), user, password]
                subprocess.run(command, check=True, capture_output=True)
            lines.append(f"password_file {password_file}")
        if acl:
            (self.folder / "acl").write_text(acl)
            (self.folder / "acl").chmod(0o600)
            lines.append(f"acl_file {self.folder / 'acl'}")
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
