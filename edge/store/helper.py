"""The gateway's side of the helper process: started when asked, ended when idle.

numpy and pcodec cost 25 MB for good in whichever process loads them; history is asked for now and
then, and sealing takes seconds a few times a day.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

IDLE_S = 60.0
LIMIT_S = 20.0
"""A query that takes longer is given up with its process."""


class Helper:
    """One helper process at a time; calls are served one after the other."""

    def __init__(self, data: Path, *, idle_s: float = IDLE_S) -> None:
        self._data = data
        self._idle_s = idle_s
        self._turn = asyncio.Lock()
        self._process: Process | None = None
        self._idle: asyncio.TimerHandle | None = None
        self.starts = 0

    @property
    def running(self) -> bool:
        """Whether a process is there."""
        return self._process is not None

    async def call(self, name: str, result: type[T], *arguments: object, timeout_s: float = LIMIT_S) -> T:
        """The answer to a call. Raises sqlite3.OperationalError where it failed or took too long."""
        async with self._turn:
            if self._idle is not None:
                self._idle.cancel()
                self._idle = None
            body = msgspec.msgpack.encode((name, arguments))
            try:
                async with asyncio.timeout(timeout_s):
                    answer = await self._ask(len(body).to_bytes(4, "big") + body)
            except BaseException as error:  # the answer would be taken for that of the next call
                await self._kill()
                if isinstance(error, TimeoutError):
                    raise sqlite3.OperationalError(
                        f"history: {name} took longer than {timeout_s:g} s"
                    ) from error
                if isinstance(error, OSError | asyncio.IncompleteReadError):
                    raise sqlite3.OperationalError(f"history: the helper process ended: {error}") from error
                raise
            self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._end)
        found, error_text = msgspec.msgpack.decode(answer, type=tuple[msgspec.Raw, str | None])
        if error_text is not None:
            raise sqlite3.OperationalError(f"history: {error_text}")
        return msgspec.msgpack.decode(found, type=result)

    async def _ask(self, request: bytes) -> bytes:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "edge.store.helper_process", str(self._data),
                stdin=PIPE, stdout=PIPE, limit=1 << 20, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            )  # fmt: skip
            self.starts += 1
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101
        self._process.stdin.write(request)
        await self._process.stdin.drain()
        head = await self._process.stdout.readexactly(4)
        return await self._process.stdout.readexactly(int.from_bytes(head, "big"))

    def _end(self) -> None:
        """Lets an idle process go: it ends when its input does."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await asyncio.shield(process.wait())

    async def close(self) -> None:
        """Ends the process; what it was writing is as if it had never begun."""
        if self._idle is not None:
            self._idle.cancel()
        await self._kill()
