"""A helper process of the benchmark: the harness asks in JSON lines, it answers in JSON lines.

Simulators and sinks run outside the harness so that none of them waits for another; a
child ends when its standard input closes, so that none outlives the harness.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
_LINE_LIMIT = 256_000_000

Commands = Mapping[str, Callable[..., Any]]
"""What a child can be asked: name -> a function whose answer is JSON."""


async def obey(commands: Commands, ready: Any) -> None:
    """Tells `ready` to the harness, then answers until standard input closes."""
    reader = asyncio.StreamReader(limit=_LINE_LIMIT)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    _say(ready)
    while line := await reader.readline():
        asked = json.loads(line)
        answer = commands[asked.pop("do")](**asked)
        _say(await answer if asyncio.iscoroutine(answer) else answer)


def _say(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


class Child:
    """One `python -m tests.bench.MODULE ...`; a context manager that ends it. `ready` is its first word."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._name = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tests.bench.{module}", *arguments],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.ready = self._hear()

    def ask(self, do: str, **arguments: Any) -> Any:
        """Its answer to one question."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()
        return self._hear()

    def _hear(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the benchmark's {self._name} ended with {self._process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        """Ends it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
