"""A file that holds room on the volume, given up when the disk is full: then alarms can be written."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

_LOG = logging.getLogger(__name__)

SIZE = 2 << 20
RETAKE = 4 * SIZE
"""The ballast is taken again when this much is free (bytes)."""


class Ballast:
    """One file of `SIZE` bytes in the data folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ballast"
        self._lock = threading.Lock()
        self.released = 0
        """How often it was given up."""

    def take(self) -> bool:
        """Makes the file where there is room for it; whether it is there. Blocks: call it in a thread."""
        with self._lock:
            try:
                if self.path.exists() and self.path.stat().st_size == SIZE:
                    return True
                volume = os.statvfs(self.path.parent)
                if volume.f_bavail * volume.f_frsize < RETAKE:
                    return False
                descriptor = os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600)
                try:
                    os.posix_fallocate(descriptor, 0, SIZE)
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            except OSError as error:
                _LOG.info("no ballast: %s", error)
                return False
            return True

    def release(self) -> bool:
        """Gives the room up; whether there was any."""
        with self._lock:
            try:
                self.path.unlink()
            except OSError:
                return False
            self.released += 1
            _LOG.warning("the disk is full: %s is given up for alarms and audit", self.path)
            return True
