"""A control group that bounds the memory of the processes put into it (version 1 or 2)."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class MemoryLimit:
    """The group's folder; OSError where the machine does not let it be read or changed."""

    folder: Path

    @property
    def command(self) -> Sequence[str]:
        """What a command line begins with to run in the group from its first byte on."""
        return ("sh", "-c", f'echo $$ >"{self.folder}/cgroup.procs" && exec "$@"', "sh")

    @property
    def peak(self) -> int:
        """The most bytes that its processes had at once, where the kernel tells; else what they have now."""
        for name in ("memory.max_usage_in_bytes", "memory.peak", "memory.current"):
            with contextlib.suppress(OSError):
                return int((self.folder / name).read_text())
        raise OSError("the group says nothing of its memory")


@contextlib.contextmanager
def memory_limit(most: int) -> Iterator[MemoryLimit]:
    """A group of at most so many bytes; its processes must have ended with the block. OSError where there
    is none to be had."""
    version_1 = _ROOT / "memory"
    folder = (version_1 if version_1.is_dir() else _ROOT) / f"campus-edge-{os.getpid()}-{next(_NUMBERS)}"
    folder.mkdir()
    try:
        if version_1.is_dir():
            (folder / "memory.limit_in_bytes").write_text(str(most))
        else:
            (folder / "memory.max").write_text(str(most))
        yield MemoryLimit(folder)
    finally:
        folder.rmdir()
