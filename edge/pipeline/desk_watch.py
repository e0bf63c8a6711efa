"""Whether somebody could hear an alarm: alarm pages tell that their sound runs, every ten seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from drivers.reading import Millis, Value
from drivers.settings import millis
from edge.channels.settings import DeskSettings


class DeskWatch:
    """Told of every page that says whether it can be heard. Without settings nobody is missed."""

    def __init__(self, settings: DeskSettings | None, zone: ZoneInfo, clock: Callable[[], Millis]) -> None:
        self._settings = settings
        self._zone = zone
        self._clock = clock
        self._audible_at: Millis | None = None
        self._staffed_since: Millis | None = None

    def heard(self, audible: bool) -> None:
        """A page says whether it would be heard now."""
        if audible:
            self._audible_at = self._clock()

    def mute(self) -> bool:
        """True when somebody is to be there and no page could be heard for the time of patience,
        counted from the start of the hours or of the gateway at the soonest."""
        settings, now = self._settings, self._clock()
        if settings is None or not self._staffed(now):
            self._staffed_since = None
            return False
        if self._staffed_since is None:
            self._staffed_since = now
        return now - max(self._staffed_since, self._audible_at or 0) >= millis(settings.patience)

    def facts(self) -> Mapping[str, Value]:
        """What the gateway's own rules look at."""
        return {"desk_mute": self.mute()}

    def _staffed(self, now: Millis) -> bool:
        assert self._settings is not None  # noqa: S101  # asked behind that check only
        begin, end = self._settings.staffed
        local = f"{datetime.fromtimestamp(now / 1000, UTC).astimezone(self._zone):%H:%M}"
        return begin <= local < end if begin <= end else local >= begin or local < end
