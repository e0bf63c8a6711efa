"""How far the devices' own clocks are from ours: those that tell a time with what they measure, and
meters whose clock is read as a point."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from drivers.device_clock import OFF_MS
from drivers.line.counters import DeviceCounters
from drivers.reading import Millis, Quality, Reading

POINT = "meter_clock"
"""The point of a profile that holds a device's clock as text: date and time, or the time of day."""
_DAY = timedelta(days=1)

Look = Callable[[str, str], Reading | None]
"""The newest reading of a device's point."""


class DeviceClocks:
    """Compares on demand: nothing is paid while readings come in. `timezone` is the school's, in which
    meters show their time."""

    def __init__(self, look: Look, timezone: str) -> None:
        self._look = look
        self._zone = ZoneInfo(timezone)
        self._noted: dict[str, Millis] = {}

    def note(self, counters: Mapping[str, DeviceCounters]) -> None:
        """Brings each device's clock up to date with what was last read of it."""
        for device, one in counters.items():
            reading = self._look(device, POINT)
            if reading is None or self._noted.get(device) == reading.at:
                continue  # asked every second, read once an hour
            self._noted[device] = reading.at
            if reading.quality is Quality.GOOD:
                offset = offset_of(str(reading.value), reading.at, self._zone)
                if offset is not None:
                    one.clock.compared(offset)

    def off(self, counters: Mapping[str, DeviceCounters]) -> dict[str, Millis]:
        """Devices whose clock is to be set, and by how much it is ahead of ours."""
        self.note(counters)
        return {
            device: one.clock.offset_ms
            for device, one in counters.items()
            if one.clock.off and one.clock.offset_ms is not None
        }


def offset_of(text: str, at: Millis, zone: ZoneInfo) -> Millis | None:
    """How far a clock that showed `text` at `at` is ahead; `None` where it is no time. A time of day
    alone is compared with the nearest one."""
    ours = datetime.fromtimestamp(at / 1000, zone).replace(tzinfo=None)
    try:
        if ":" in text[:3]:
            ahead = datetime.combine(ours.date(), time.fromisoformat(text)) - ours
            ahead = (ahead + _DAY / 2) % _DAY - _DAY / 2
        else:
            ahead = datetime.fromisoformat(text) - ours
    except ValueError:
        return None
    return round(ahead / timedelta(milliseconds=1))


def words(off: Mapping[str, Millis]) -> str:
    """Clocks that are wrong, for the health page; empty when none is."""
    shown = [f"{device} {ahead / 1000:+.0f} s" for device, ahead in sorted(off.items())[:20]]
    return f"device clocks off by more than {OFF_MS // 1000} s: {', '.join(shown)}" if shown else ""
