"""The hours of rules: arms and disarms all that keep the same ones."""

from __future__ import annotations

from drivers.reading import Millis
from rules.agenda import Agenda
from rules.alarm import Transition
from rules.monitor import Monitor
from rules.timetable import Schedule


class Shift:
    """All monitors of one schedule; what arming them leads to is appended to `out`."""

    def __init__(self, schedule: Schedule, agenda: Agenda, out: list[Transition]) -> None:
        self.monitors: list[Monitor] = []
        self._schedule = schedule
        self._agenda = agenda
        self._out = out
        self._until: Millis | None = None

    def restart(self, at: Millis) -> None:
        """Asks anew after the clock was stepped: what stands on the agenda has moved with it."""
        self._until = None
        self.fire(at)

    def fire(self, due: Millis) -> None:
        """Asks the calendar, and again when that changes."""
        turn = self._schedule.turn(due)
        for monitor in self.monitors:
            self._out.extend(monitor.arm(turn.active, due))
        if turn.until is not None and turn.until != self._until:
            self._agenda.add(turn.until, self)
        self._until = turn.until
