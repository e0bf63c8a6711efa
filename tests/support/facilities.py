"""What this machine allows: faults that need root, mounts or a tracer are skipped elsewhere, by name.

Every reason stands in `REASONS`; where `CAMPUS_EDGE_MUST_HAVE` names a facility (as continuous
integration does), its absence fails instead of skipping.
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
}


@functools.cache
def has(facility: str) -> bool:
    """Whether a facility works here, tried out once."""
    match facility:
        case "mount":
            return _mounts()
        case "loop":
            return _mounts() and Path("/dev/loop-control").exists() and bool(shutil.which("mkfs.ext4"))
        case "strace":
            return _traces()
        case "compiler":
            return bool(shutil.which("cc") or shutil.which("gcc"))
    raise ValueError(facility)


def needs(facility: str) -> pytest.MarkDecorator:
    """Skips a test where the facility is missing, or fails it where it was promised."""
    promised = facility in os.environ.get("CAMPUS_EDGE_MUST_HAVE", "").split(",")
    return pytest.mark.skipif(not promised and not has(facility), reason=REASONS[facility])


def _mounts() -> bool:
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
        )
        if done.returncode != 0:
            return False
        subprocess.run(["umount", folder], check=True)
    return True


def _traces() -> bool:
    if not shutil.which("strace"):
        return False
    done = subprocess.run(
        ["strace", "-qq", "-o", "/dev/null", "-e", "inject=fdatasync:error=EIO", "true"],
        capture_output=True, check=False,
    )  # fmt: skip
    return done.returncode == 0
