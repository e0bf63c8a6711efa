"""Why a rule stood as it did at a past instant, asked of a process of its own.

It plays days of readings, which would hold the gateway's loop and cost its memory for good; the
command line does the same. By the configuration file as it stands now.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from drivers.reading import Millis
from edge.web.services.rules import NoHindsight

LIMIT_S = 30.0
"""An answer that takes longer is given up with its process."""
NO_SUCH = 2
"""The command's exit code where there is no such rule or scope."""


class Hindsight:
    """`edge.web.services.rules.Past` over a data folder; one question at a time."""

    def __init__(self, config: Path, data: Path) -> None:
        self._config = config
        self._data = data
        self._turn = asyncio.Lock()

    async def explain(self, rule: str, scope: str, at: Millis) -> bytes:
        """See the protocol."""
        async with self._turn:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "edge", "rules", "explain", "--json", "--at", str(at),
                "-c", str(self._config), "--data", str(self._data), "--", rule, scope,
                stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=PIPE,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            )  # fmt: skip
            try:
                async with asyncio.timeout(LIMIT_S):
                    answer, complaint = await process.communicate()
            except TimeoutError as error:
                raise NoHindsight(f"took longer than {LIMIT_S:g} s") from error
            finally:
                if process.returncode is None:
                    process.kill()
                    await asyncio.shield(process.wait())
        if process.returncode == NO_SUCH:
            raise KeyError(rule, scope)
        if process.returncode:
            raise NoHindsight(complaint.decode(errors="replace").strip().rpartition("\n")[2])
        return answer
