"""Leaves on the plan and the calendar: what did not come in its slot, and whether the school is open."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.reading import Millis, Value
from rules.agenda import Agenda
from rules.cell import Cell, Description
from rules.slot import Span
from rules.timetable import Schedule
from rules.track import Owner, Track
from rules.truth import Truth


class Awaited(Cell):
    """True from the end of a slot's window, in which nothing came, until something comes or the next
    window begins. Unknown where the gateway began only after the window."""

    __slots__ = ("_agenda", "_due", "_schedule", "_span")

    def __init__(
        self,
        description: Description,
        tracks: Sequence[Track],
        owner: Owner,
        *,
        schedule: Schedule,
        span: Span,
        agenda: Agenda,
    ) -> None:
        super().__init__(description, tracks, (), owner)
        self._schedule = schedule
        self._span = span
        self._agenda = agenda
        self._due: Millis | None = None

    @property
    def longest(self) -> Millis:
        """How much history tells whether something came: the longest that a window is."""
        return 86_400_000 + self._span.end - self._span.start

    def judge(self, at: Millis) -> Truth:
        """As of `at`."""
        track = self.tracks[0]
        last = self._schedule.begun(at - self._span.start)
        if last is None:
            return False
        start, end = last[0] + self._span.start, last[1] + self._span.end
        came = track.live_at is not None and track.live_at >= start
        if at < end or came:
            return False
        return None if track.armed_at > end else True

    def start(self, at: Millis) -> None:
        """The engine starts, or the clock was stepped."""
        self._due = None
        self.fire(at)

    def fire(self, due: Millis) -> None:
        """A window begins or ends."""
        self.refresh(due)
        edges = [self._schedule.next_begin(due - self._span.start)]
        last = self._schedule.begun(due - self._span.start)
        times = [edge + self._span.start for edge in edges if edge is not None]
        if last is not None and last[1] + self._span.end > due:
            times.append(last[1] + self._span.end)
        following = min(times, default=None)
        if following is not None and following != self._due:
            self._agenda.add(following, self)
        self._due = following

    def value(self, at: Millis) -> Value | None:
        """The newest value of the point."""
        return self.tracks[0].value


class Clockwork:
    """Keeps a point that the calendar makes: `schedule.closed`."""

    __slots__ = ("_agenda", "_schedule", "_until", "track")

    def __init__(self, track: Track, schedule: Schedule, agenda: Agenda) -> None:
        self.track = track
        self._schedule = schedule
        self._agenda = agenda
        self._until: Millis | None = None

    def start(self, at: Millis) -> None:
        """The engine starts, or the clock was stepped."""
        self._until = None
        self.fire(at)

    def fire(self, due: Millis) -> None:
        """The school opens or closes."""
        turn = self._schedule.turn(due)
        self.track.heard(not turn.active, due)
        if turn.until is not None and turn.until != self._until:
            self._agenda.add(turn.until, self)
        self._until = turn.until
