"""A wall clock that a test sets, for the gateway's process alone."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path


class LyingClock:
    """Compiled into a folder; `environment` is what the process needs."""

    def __init__(self, folder: Path) -> None:
        self._library = folder / "clock_shim.so"
        self._file = folder / "clock_offset"
        source = Path(__file__).with_name("clock_shim.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(self._library), str(source)], check=True)
        self.set(0)

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables that preload it."""
        return {"LD_PRELOAD": str(self._library), "CLOCK_OFFSET_FILE": str(self._file)}

    def set(self, offset_s: int) -> None:
        """Sets the clock: so many seconds off the true one."""
        part = self._file.with_suffix(".part")
        part.write_text(str(offset_s))
        part.rename(self._file)

    def synchronise(self) -> None:
        """The time service sets the clock right and says so."""
        self.set(0)
        self._file.with_name(self._file.name + ".synced").touch()

    def lose(self) -> None:
        """The machine boots: the kernel knows of no time service."""
        self._file.with_name(self._file.name + ".synced").unlink(missing_ok=True)
