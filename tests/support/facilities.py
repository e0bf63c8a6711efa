"""What this machine allows: faults that need root, mounts or a tracer are skipped elsewhere, by name.

Every reason stands in `REASONS`. Two environment variables make a run strict, as continuous
integration does: `CAMPUS_EDGE_MUST_HAVE` names facilities and programs without which the run is
not begun, `CAMPUS_EDGE_MAY_LACK` the facilities whose absence may skip tests. Any other skip
then fails the run (`tests/conftest.py`).
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

REASONS: Mapping[str, str] = {
    "mount": "mounting a tmpfs needs root",
    "loop": "mounting an ext4 image needs root and loop devices",
    "strace": "injecting errors into system calls needs strace and the right to trace",
    "compiler": "the clock shim needs a C compiler",
    "netns": "a network of its own needs root, iproute2 and /dev/net/tun",
    "cgroup": "a limit on memory needs root and a memory control group that can be written",
}
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


@functools.cache
def has(facility: str) -> bool:
    """Whether a facility works here, tried out once."""
    match facility:
        case "mount":
            return _mounts()
        case "loop":
            return _mounts_images()
        case "strace":
            return _traces()
        case "compiler":
            return bool(shutil.which("cc") or shutil.which("gcc"))
        case "netns":
            return _separates_networks()
        case "cgroup":
            return _limits_memory()
    raise ValueError(facility)


def has_program(name: str) -> bool:
    """Whether a program is on the path or where Debian keeps those of root."""
    return bool(shutil.which(name) or shutil.which(name, path=_SBIN))


def needs(facility: str) -> pytest.MarkDecorator:
    """Skips a test where the facility is missing, and says why."""
    return pytest.mark.skipif(not has(facility), reason=REASONS[facility])


def missing() -> list[str]:
    """The facilities that this machine lacks."""
    return [facility for facility in REASONS if not has(facility)]


def named(variable: str) -> frozenset[str]:
    """The names in a variable of the environment, separated by commas."""
    return frozenset(os.environ.get(variable, "").replace(" ", "").split(",")) - {""}


def promised_and_missing() -> list[str]:
    """What `CAMPUS_EDGE_MUST_HAVE` names and this machine lacks."""
    return sorted(
        name
        for name in named("CAMPUS_EDGE_MUST_HAVE")
        if not (has(name) if name in REASONS else has_program(name))
    )


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _mounts() -> bool:
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        if not _succeeds("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder):
            return False
        subprocess.run(["umount", folder], check=True)
    return True


def _mounts_images() -> bool:
    if os.geteuid() != 0 or not shutil.which("mkfs.ext4"):
        return False
    with tempfile.TemporaryDirectory() as folder:
        image, mounted = Path(folder) / "image", Path(folder) / "mounted"
        mounted.mkdir()
        with image.open("wb") as file:
            file.truncate(4 << 20)
        if not _succeeds("mkfs.ext4", "-q", "-F", str(image)):
            return False
        if not _succeeds("mount", "-o", "loop", str(image), str(mounted)):
            return False
        subprocess.run(["umount", str(mounted)], check=True)
    return True


def _traces() -> bool:
    return bool(shutil.which("strace")) and _succeeds(
        "strace", "-qq", "-o", "/dev/null", "-e", "inject=fdatasync:error=EIO", "true"
    )


def _separates_networks() -> bool:
    if os.geteuid() != 0 or not shutil.which("ip"):
        return False
    name = f"campus-probe-{os.getpid()}"
    if not _succeeds("ip", "netns", "add", name):
        return False
    try:
        return _succeeds("ip", "netns", "exec", name, "ip", "tuntap", "add", "mode", "tun", "probe")
    finally:
        _succeeds("ip", "netns", "delete", name)


def _limits_memory() -> bool:
    from tests.support.memory_limit import memory_limit

    if os.geteuid() != 0:
        return False
    try:
        with memory_limit(64 << 20):
            return True
    except OSError:
        return False
