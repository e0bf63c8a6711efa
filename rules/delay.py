"""A part of a condition that must hold for a while: an inner `for`."""

from __future__ import annotations

from drivers.reading import Millis
from rules.agenda import Agenda
from rules.track import Owner
from rules.truth import Judge, Truth


class Delay:
    """True once its part was true for `span`; false as soon as that is false. `since` is when it
    became true, which the alarm's state keeps over a restart."""

    __slots__ = ("_agenda", "_owner", "_part", "_span", "since", "truth")

    def __init__(self, part: Judge, span: Millis, agenda: Agenda, owner: Owner) -> None:
        self._part = part
        self._span = span
        self._agenda = agenda
        self._owner = owner
        self.since: Millis | None = None
        self.truth: Truth = None

    def judge(self) -> Truth:
        """The truth as of the last update."""
        return self.truth

    def update(self, at: Millis) -> None:
        """Looks at its part as of `at`; unknown stops the count without forgetting it."""
        now = self._part()
        if now is False:
            self.since = None
        elif now is True and self.since is None:
            self.since = at
            self._agenda.add(at + self._span, self)
        over = now is True and self.since is not None and at >= self.since + self._span
        self.truth = None if now is None else over

    def resume(self, since: Millis | None) -> None:
        """Goes on counting after a restart."""
        self.since = since
        if since is not None:
            self._agenda.add(since + self._span, self)

    def fire(self, due: Millis) -> None:
        """The time has come, unless it began anew meanwhile."""
        if self.since is not None and self.since + self._span == due:
            self._owner.wake()

    def shift(self, step: Millis) -> None:
        """Moves what it remembers, after the clock was stepped."""
        self.since = None if self.since is None else self.since + step
