"""Faults of the disk under a running process."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def writes_refused(pid: int) -> Iterator[None]:
    """Every write of the process into a file fails (EFBIG), its log included. Needs no root."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def volume(folder: Path, options: str) -> Iterator[Path]:
    """A small disk of its own; gone with the block."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


class Card:
    """An ext4 file system in an image file, and what a power cut leaves of it.

    The image is copied while the writer is frozen: what stood only in the page cache of the
    inner file system is lost, as it is when the power goes.
    """

    def __init__(self, folder: Path, megabytes: int = 48) -> None:
        self._folder = folder
        self._number = 0
        self.mounted = folder / "card"
        self.mounted.mkdir(parents=True)
        image = self._image
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
        self._mount()

    @property
    def _image(self) -> Path:
        return self._folder / f"card-{self._number}.img"

    def _mount(self) -> None:
        subprocess.run(["mount", "-o", "loop,noatime", str(self._image), str(self.mounted)], check=True)

    def photograph(self) -> None:
        """Copies the image as it lies there now; the writer must be frozen."""
        following = self._folder / f"card-{self._number + 1}.img"
        subprocess.run(["cp", "--sparse=always", str(self._image), str(following)], check=True)

    def power_returns(self) -> None:
        """The photograph takes the place of what was mounted; the writer must have ended."""
        self.close()
        self._image.unlink()
        self._number += 1
        self._mount()

    def fail(self) -> None:
        """From now on the kernel refuses every write, as it does when a card has failed under it."""
        subprocess.run(["mount", "-o", "remount,abort", str(self.mounted)], check=True)

    def mend(self) -> None:
        """Checks the file system and mounts it again; the writer must have ended."""
        self.close()
        done = subprocess.run(["fsck.ext4", "-fy", str(self._image)], capture_output=True, check=False)
        assert done.returncode in (0, 1), done.stdout.decode()  # 1: mended
        self._mount()

    def close(self) -> None:
        """Unmounts it; a helper of the killed writer may take a moment to end."""
        until = time.monotonic() + 20
        while subprocess.run(["umount", str(self.mounted)], capture_output=True, check=False).returncode:
            if time.monotonic() > until:
                subprocess.run(["umount", "-l", str(self.mounted)], check=True)  # nothing may stay behind
                raise AssertionError("the card is still in use")
            time.sleep(0.2)


def remount(folder: Path, option: str) -> None:
    """`ro` or `rw`."""
    subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], check=True)


def fill_up(path: Path) -> None:
    """Writes until the disk is full, to the last byte."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


@contextmanager
def injected(pid: int, what: str) -> Iterator[None]:
    """System calls of the process and its threads fail or dawdle as strace's `inject=` says."""
    call = what.partition(":")[0]
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={what}",
         "-p", str(pid)],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.monotonic() + 10
    while f"TracerPid:\t{tracer.pid}" not in Path(f"/proc/{pid}/status").read_text():
        assert tracer.poll() is None and time.monotonic() < until, "strace does not attach"
        time.sleep(0.05)
    try:
        yield
    finally:
        tracer.send_signal(signal.SIGINT)  # it lets go of the process and ends
        try:
            tracer.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.kill(tracer.pid, signal.SIGKILL)
            tracer.wait()
