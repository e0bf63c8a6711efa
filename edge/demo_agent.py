"""The gateway as the demo runs it: a process of its own, so that a power cut is a real one."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import httpx

STOP_S = 15.0
READY_S = 60.0
TOKEN_LINE = "First-run token:"  # noqa: S105 - what stands before it


class DemoFailed(Exception):
    """The demo cannot go on; the text is for the terminal."""


class AgentProcess:
    """`campus-edge run` over a configuration. Its log goes to `log`, its first-run token to `told`."""

    def __init__(self, config: Path, data: Path, log: Path, url: str, told: Callable[[str], None]) -> None:
        self._config = config
        self._data = data
        self._log = log
        self._url = url
        self._told = told
        self._process: asyncio.subprocess.Process | None = None
        self._started = asyncio.Event()
        self._wanted = True

    def _command(self, *words: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "edge", *words)

    async def watch(self) -> None:
        """Runs the process, and again after each `cut_power`; DemoFailed when it ends by itself."""
        with self._log.open("ab") as log:
            while self._wanted:
                await self._once(log)

    async def _once(self, log: IO[bytes]) -> None:
        process = await asyncio.create_subprocess_exec(
            *self._command("run", "-c", str(self._config), "--data", str(self._data), "--demo"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env=_environment(),
            start_new_session=True,  # Ctrl-C is for the demo, which then ends the gateway in good order
        )
        self._process = process
        self._started.set()
        try:
            await self._relay(process)
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if self._wanted and code != -signal.SIGKILL:
            raise DemoFailed(f"the gateway ended with code {code}, see {self._log}")

    async def _relay(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        async for line in process.stdout:
            text = line.decode(errors="replace").strip()
            if text.startswith(TOKEN_LINE):
                self._told(text.removeprefix(TOKEN_LINE).strip())

    async def ready(self) -> None:
        """Returns when the API answers; DemoFailed when it does not in time."""
        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                async with asyncio.timeout(READY_S):
                    while not await self._answers(client):  # noqa: ASYNC110 - another process
                        await asyncio.sleep(0.1)
            except TimeoutError as error:
                raise DemoFailed(f"the gateway did not answer on {self._url}, see {self._log}") from error

    async def _answers(self, client: httpx.AsyncClient) -> bool:
        try:
            return (await client.get(f"{self._url}/api/v1/health", timeout=2.0)).status_code == 200
        except httpx.TransportError:
            return False

    def memory(self) -> int:
        """Resident bytes of the process now, 0 when it does not run."""
        if self._process is None or self._process.returncode is not None:
            return 0
        try:
            pages = Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()[1]
        except OSError:
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def cut_power(self) -> None:
        """kill -9; `watch` starts the gateway again."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def stop(self) -> None:
        """SIGTERM, and kill -9 when that is not heeded."""
        self._wanted = False
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()

    async def token(self, name: str) -> str:
        """A new viewer token for the demo's own questions, made as an administrator would."""
        process = await asyncio.create_subprocess_exec(
            *self._command("token", "create", "--data", str(self._data), "--role", "viewer", "--name", name),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(),
        )
        out, complaint = await process.communicate()
        if process.returncode:
            raise DemoFailed(f"token create: {complaint.decode(errors='replace').strip()}")
        return out.decode().strip()


def _environment() -> dict[str, str]:
    """Ours, with this very source found first."""
    here = str(Path(__file__).resolve().parent.parent)
    paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
