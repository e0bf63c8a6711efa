"""Whether a device answers: the derived point `online`, which every device has."""

from __future__ import annotations

from collections.abc import Mapping

from drivers.reading import Origin, Quality, Reading
from rules.track import Track

DERIVED: Mapping[str, str] = {"online": "bool"}
"""Points that the engine makes itself, with their units."""

CALENDAR: Mapping[str, str] = {"schedule.closed": "bool"}
"""Roles that the calendar fills, with their units."""

SILENT = frozenset({"timeout", "line_down", "crc", "noise", "echo", "late", "framing", "wrong_address"})
"""Reasons of bad readings that say: the device was asked and nothing usable came. An exception, or a
value out of range, is an answer."""
UNASKED = frozenset({"line_busy"})


class Presence:
    """Makes `online` of one device from all that is read of it; silence is left to a watch."""

    __slots__ = ("track",)

    def __init__(self, track: Track) -> None:
        self.track = track

    def hear(self, reading: Reading) -> None:
        """Any reading of the device; what was retained or filled in later is no sign of life."""
        if reading.origin is not Origin.LIVE:
            return
        bad = reading.quality is Quality.BAD
        if not (bad and reading.reason in UNASKED):
            self.track.heard(not (bad and reading.reason in SILENT), reading.at)
