"""A broker of one's own on loopback: mosquitto where it is installed, else amqtt in this process.

One user, one password; nobody else gets in. Sessions and queued messages survive a
restart under mosquitto only.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import importlib.util
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

SBIN = "/usr/sbin:/sbin:/usr/local/sbin"
"""Debian installs mosquitto where only root's PATH looks."""
START_S = 10.0
STOP_S = 5.0
_PORT_POLL_S = 0.03


class BrokerError(Exception):
    """No broker could be started; the text says what to install or what it answered."""


class Login(NamedTuple):
    """The one user of the broker."""

    user: str
    password: str


class Broker(Protocol):
    """A running broker."""

    name: str
    port: int

    async def start(self) -> None:
        """Starts, and returns when the port answers; again after a `stop`. Raises BrokerError."""
        ...

    async def stop(self) -> None:
        """Stops; twice is once."""
        ...


@asynccontextmanager
async def running_broker(folder: Path, login: Login) -> AsyncIterator[Broker]:
    """The best broker that this machine has, for as long as the context is open."""
    broker = choose(folder, login)
    try:
        await broker.start()
        yield broker
    finally:
        await broker.stop()


def choose(folder: Path, login: Login) -> Broker:
    """Mosquitto, else amqtt; BrokerError names the packages when there is neither."""
    executable = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:{SBIN}")
    if executable is not None:
        return Mosquitto(executable, folder, login)
    if importlib.util.find_spec("amqtt") is None:
        raise BrokerError("no MQTT broker: install Debian's mosquitto, or campus-edge[demo] for amqtt")
    return Amqtt(folder, login)


class Mosquitto:
    """The real one, as a process that belongs to us; its files stand in `folder`."""

    name = "mosquitto"

    def __init__(self, executable: str, folder: Path, login: Login, port: int = 0) -> None:
        self._executable = executable
        self._folder = folder
        self._login = login
        self._process: asyncio.subprocess.Process | None = None
        self.port = port or free_port()

    async def start(self) -> None:
        """Starts the process."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        config = await asyncio.to_thread(self._write_files)
        await self._hash_passwords()
        log = self._folder / "mosquitto.log"
        with log.open("ab") as sink:
            self._process = await asyncio.create_subprocess_exec(
                self._executable,
                "-c",
                str(config),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
            )
        try:
            async with asyncio.timeout(START_S):
                while not await _answers(self.port):
                    if self._process.returncode is not None:
                        raise BrokerError(f"mosquitto did not start, see {log}")
                    await asyncio.sleep(_PORT_POLL_S)
        except TimeoutError as error:
            await self.stop()
            raise BrokerError(f"mosquitto did not start in time, see {log}") from error

    async def stop(self) -> None:
        """Ends the process as systemd would: it saves its sessions."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """Ends the process as a power cut would."""
        await self._end(signal.SIGKILL)

    async def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.send_signal(how)
        await process.wait()

    def _write_files(self) -> Path:
        passwords = self._folder / "passwords"
        write_private(passwords, f"{self._login.user}:{self._login.password}\n")
        config = self._folder / "mosquitto.conf"
        lines = (
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous false",
            f"password_file {passwords}",
            f"user {getpass.getuser()}",  # else root's mosquitto becomes a user that cannot read the file
            "persistence true",
            f"persistence_location {self._folder}/",
            "autosave_interval 5",
            "max_queued_messages 0",
            "log_type error",
            "log_type warning",
            "log_dest stderr",
        )
        config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return config

    async def _hash_passwords(self) -> None:
        """Hashes the file in place, so that no password stands in a command line."""
        tool = shutil.which("mosquitto_passwd", path=f"{os.environ.get('PATH', '')}:{SBIN}")
        if tool is None:
            raise BrokerError("mosquitto_passwd is missing beside mosquitto")
        process = await asyncio.create_subprocess_exec(
            tool,
            "-U",
            str(self._folder / "passwords"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, complaint = await process.communicate()
        if process.returncode:
            raise BrokerError(f"mosquitto_passwd: {complaint.decode(errors='replace').strip()}")


class Amqtt:
    """The stand-by in Python, for machines without mosquitto. It may deliver a retained
    message once to a subscriber that another had subscribed before."""

    name = "amqtt"

    def __init__(self, folder: Path, login: Login, port: int = 0) -> None:
        self._folder = folder
        self._login = login
        self._broker: Any = None
        self.port = port or free_port()

    async def start(self) -> None:
        """Starts within this event loop."""
        from amqtt.broker import Broker as AmqttBroker
        from argon2 import PasswordHasher

        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        passwords = self._folder / "passwords"
        hashed = await asyncio.to_thread(PasswordHasher().hash, self._login.password)
        await asyncio.to_thread(write_private, passwords, f"{self._login.user}:{hashed}\n")
        self._broker = AmqttBroker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}},
                "plugins": {"amqtt.plugins.authentication.FileAuthPlugin": {"password_file": str(passwords)}},
            }
        )
        await self._broker.start()

    async def stop(self) -> None:
        """Stops it."""
        broker, self._broker = self._broker, None
        if broker is not None:
            with contextlib.suppress(TimeoutError):  # it waits without end for a client that went silently
                async with asyncio.timeout(STOP_S):
                    await broker.shutdown()


def free_port() -> int:
    """A TCP port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner may read."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
