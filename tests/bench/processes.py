"""A system under test as a process: started, measured from /proc, ended by its id."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

END_S = 20.0


@dataclass(frozen=True, slots=True)
class Launch:
    """How a system is started for one piece of work."""

    argv: Sequence[str]
    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of a process tree in bytes: RSS counts shared pages in each process, PSS its share."""

    rss: int
    pss: int


class Running:
    """One started system in a session of its own; its output goes to `log` in its folder."""

    def __init__(self, launch: Launch) -> None:
        self.log = launch.folder / "log"
        with self.log.open("ab") as log:
            self.started = time.monotonic()
            self._process = subprocess.Popen(
                list(launch.argv), cwd=launch.folder, env={**os.environ, **launch.env},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def tree(self) -> list[int]:
        """The process and all its descendants."""
        found = [self._process.pid]
        for pid in found:
            found.extend(_children(pid))
        return found

    def cpu_s(self) -> float:
        """CPU seconds used so far: utime + stime of the tree, at the resolution of the CPU clocks."""
        total = 0
        for pid in self.tree():
            with contextlib.suppress(OSError):  # it ended meanwhile
                total += time.clock_gettime_ns(_cpu_clock(pid))
        return total / 1e9

    def memory(self) -> Memory:
        """Resident memory of the tree now."""
        rss = pss = 0
        for pid in self.tree():
            with contextlib.suppress(OSError):
                rss += _field_kb(Path(f"/proc/{pid}/status"), "VmRSS:")
                pss += _field_kb(Path(f"/proc/{pid}/smaps_rollup"), "Pss:")
        return Memory(rss * 1024, pss * 1024)

    def own_rss(self) -> int:
        """Resident memory of the process alone, in bytes."""
        return _field_kb(Path(f"/proc/{self._process.pid}/status"), "VmRSS:") * 1024

    def stop(self) -> None:
        """SIGTERM to the tree, and SIGKILL to what does not heed it."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As a power cut: SIGKILL to the tree."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        tree = self.tree() if self.alive else []
        targets = tree[:1] if number is signal.SIGTERM else tree
        for pid in targets:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in tree[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def tail(self, characters: int = 1500) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-characters:]


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found += [int(word) for word in (thread / "children").read_text().split()]
    return found


def _cpu_clock(pid: int) -> int:
    """The clock id of another process's CPU time (linux/posix-timers.h: CPUCLOCK_SCHED of a process)."""
    return (~pid << 3) | 2


def _field_kb(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0
