"""Whether the wall clock can be believed: asked of the kernel and of the time service.

    synced     the kernel is disciplined now, or systemd-timesyncd says that it has set the clock
    holdover   it was, since this boot: the error grows slowly (the kernel gives the word up after some
               nine hours without a time server)
    unsynced   not yet since this boot

A machine without a real-time clock boots at the time it last saved: plausible and wrong. One
with a real-time clock, or on which nothing ever sets the clock (a container), is believed.
"""

from __future__ import annotations

import ctypes
import time
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from drivers.reading import Millis

Requirement = Literal["auto", "always", "never"]

_TIME_ERROR = 5
_STA_UNSYNC = 0x40
_TIMESYNCD = Path("/run/systemd/timesync")
_CHRONY = Path("/run/chrony")
_CLOCKS = Path("/sys/class/rtc")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class ClockState(StrEnum):
    """How far the wall clock can be believed."""

    SYNCED = "synced"
    HOLDOVER = "holdover"
    UNSYNCED = "unsynced"


class ClockReading(NamedTuple):
    """One look at the clocks: wall time, time since boot (suspension included), both in ms; which boot;
    and whether the clock is synchronised at this moment."""

    wall: Millis
    uptime: Millis
    boot: str
    synchronised: bool

    @property
    def offset(self) -> Millis:
        """Wall time at boot, as the clock has it now: it changes only when the clock is set."""
        return self.wall - self.uptime


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2), as far as it is read; `modes` 0 only asks."""

    _fields_ = [
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long), ("esterror", ctypes.c_long), ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 512),
    ]  # fmt: skip


@cache
def _libc() -> ctypes.CDLL:
    """Loaded once: each one is a class of its own, and garbage in a cycle."""
    return ctypes.CDLL(None)


def kernel_synchronised() -> bool | None:
    """Whether the kernel's clock is disciplined; needs no privileges. `None` where the question is
    not allowed (systemd's ProtectClock forbids the call)."""
    answer = _Timex()
    try:
        code = _libc().adjtimex(ctypes.byref(answer))
    except (OSError, AttributeError):
        return None
    if code < 0:
        return None
    return bool(code != _TIME_ERROR and not answer.status & _STA_UNSYNC)


def read_clock() -> ClockReading:
    """Looks at the clocks now."""
    wall, uptime = wall_and_uptime()
    synchronised = bool(kernel_synchronised()) or (_TIMESYNCD / "synchronized").exists()
    return ClockReading(wall, uptime, _BOOT_ID.read_text().strip(), synchronised)


def wall_and_uptime() -> tuple[Millis, Millis]:
    """Wall time and time since boot; the quick look."""
    uptime = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    return time.time_ns() // 1_000_000, uptime


def must_wait(requirement: Requirement) -> bool:
    """Whether an unsynchronised clock is doubted: with `auto` where there is no real-time clock but
    something that will set the time, and that can be seen when it has."""
    if requirement != "auto":
        return requirement == "always"
    visible = _TIMESYNCD.is_dir() or (_CHRONY.is_dir() and kernel_synchronised() is not None)
    return visible and not (_CLOCKS.is_dir() and any(_CLOCKS.iterdir()))
