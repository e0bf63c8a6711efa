"""What is remembered of one point, and the watches that see it fall silent or stand still."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from drivers.reading import Millis, Origin, Quality, Reading, Value
from rules.agenda import Agenda
from rules.run import Run
from rules.window import Window

FUTURE_MS = 300_000
"""A reading dated further ahead than this is refused: believing it would silence the point until then."""

Basis = Literal["good", "live", "changed"]


class Owner(Protocol):
    """Who is told of changes of its leaves."""

    @property
    def cells(self) -> Sequence[Refreshable]:
        """All of them."""
        ...

    def wake(self) -> None:
        """A leaf's truth changed, or must be looked at again."""
        ...

    def doubt(self) -> None:
        """A leaf's truth was changed by news that is no edge."""
        ...


class Refreshable(Protocol):
    """A leaf over a point."""

    owner: Owner
    tracks: tuple[Track, ...]

    def refresh(self, at: Millis) -> None:
        """Judges the point anew at an event time."""
        ...

    def refresh_quietly(self, at: Millis) -> None:
        """The same, but the news is no edge."""
        ...

    def lapse(self, at: Millis) -> None:
        """Judges anew because a watch lapsed; that is news even where the truth stays."""
        ...

    def steady(self, run: Run) -> bool:
        """Whether no sample of a run of its only point can change its truth."""
        ...


@dataclass(slots=True)
class Counts:
    """How many readings did not touch any state, and why."""

    bad: int = 0
    late: int = 0  # older than the newest of the point, or the same again
    backfill: int = 0
    future: int = 0
    wrong_type: int = 0


class Track:
    """The newest good value of one point, its windows, and the leaves that look at it.

    `at` is the event time of that value, `live_at` of the last live one, `changed_at`
    of the last change; None before the first. Of bad readings only `heard_at` knows: they show
    that somebody was listening.
    """

    __slots__ = (
        "_run",
        "_taken",
        "_wanted",
        "armed_at",
        "at",
        "cells",
        "changed_at",
        "device",
        "every_ms",
        "heard_at",
        "lapsed",
        "live_at",
        "point",
        "unit",
        "value",
        "watches",
        "windows",
    )

    def __init__(self, device: str, point: str, unit: str, every_ms: Millis) -> None:
        self.device = device
        self.point = point
        self.unit = unit
        self.every_ms = every_ms
        self.armed_at: Millis = 0
        self.value: Value | None = None
        self.at: Millis | None = None
        self.live_at: Millis | None = None
        self.heard_at: Millis = 0
        self.changed_at: Millis | None = None
        self.windows: list[FadingWindow] = []
        self.cells: list[Refreshable] = []
        self.lapsed: list[Watch] = []
        self.watches: list[Watch] = []
        self._run: Run | None = None
        self._taken = 0
        self._wanted = {"bool": bool, "text": str}.get(unit, float)

    def take(self, reading: Reading, now: Millis, counts: Counts) -> None:
        """Takes one reading of this point and lets its leaves judge; or counts why not."""
        at, value = reading.at, reading.value
        if reading.quality is not Quality.GOOD or value is None:
            counts.bad += 1
            self.heard_at = max(self.heard_at, at)
            return
        if reading.origin is Origin.BACKFILL:
            counts.backfill += 1
            return
        last = self.at
        if last is not None and (at < last or (at == last and value == self.value)):
            counts.late += 1
            return
        if at > now + FUTURE_MS:
            counts.future += 1
            return
        if not self._fits(value):
            counts.wrong_type += 1
            return
        if value != self.value or last is None:
            self.changed_at = at
        self.value = value
        self.at = at
        live = reading.origin is Origin.LIVE
        if live:
            self.live_at = at
        for window in self.windows:
            window.push(at, value)
        if self.lapsed:
            self._revive()
        if live:
            for cell in self.cells:
                cell.refresh(at)
        else:
            for cell in self.cells:
                cell.refresh_quietly(at)

    def heard(self, value: bool, at: Millis) -> None:
        """Takes a sign of life, or of death, of a device: cheap where it is the same as before."""
        if self.at is not None and at < self.at:
            return
        changed = value is not self.value
        self.value = value
        self.at = self.live_at = at
        if changed:
            self.changed_at = at
        if changed or self.lapsed:
            if self.lapsed:
                self._revive()
            for cell in self.cells:
                cell.refresh(at)

    # -- a run taken as read (see `rules.stretch`)

    def steady(self, run: Run, until: Millis) -> bool:
        """Whether a run, after which nothing comes before `until`, changes no leaf and lets no watch
        lapse in between."""
        if self.at is None or self.lapsed or run.times[0] <= self.at:
            return False
        return (
            run.kind is self._wanted
            and run.finite
            and all(watch.bridges(run, until) for watch in self.watches)
            and all(cell.steady(run) for cell in self.cells)
        )

    def rests(self, run: Run) -> bool:
        """Whether nothing that can be seen of the point moves in a run, but its time."""
        return run.low == run.high == self.value and not self.windows

    def leap(self, run: Run) -> None:
        """Takes a run as read: its samples come as they are asked for, all of them by `land`."""
        self._run = run
        self._taken = 0

    def catch_up(self, at: Millis) -> None:
        """Lets the samples of its run come that were measured until then."""
        run = self._run
        if run is not None:
            self._come(run, bisect_right(run.times, at, self._taken))

    def land(self) -> None:
        """Lets the rest of its run come."""
        run = self._run
        if run is not None:
            self._come(run, len(run.times))
            self._run = None

    def _come(self, run: Run, stop: int) -> None:
        start = self._taken
        if stop == start:
            return
        changed = _last_change(run.values, start, stop, self.value)
        if changed is not None:
            self.changed_at = run.times[changed]
        self.value = run.values[stop - 1]
        self.at = self.live_at = run.times[stop - 1]
        for window in self.windows:
            window.window.extend(run, start, stop)
        self._taken = stop

    def basis(self, kind: Basis) -> Millis:
        """The time a watch counts from: where nothing came yet, when the engine started. Of a run taken
        as read it is the end: there is no lapse within."""
        if self._run is not None and kind != "changed":
            return self._run.times[-1]
        at = {"good": self.at, "live": self.live_at, "changed": self.changed_at}[kind]
        return self.armed_at if at is None else at

    def shift(self, step: Millis) -> None:
        """Moves all remembered times, after the clock was stepped."""
        self.armed_at += step
        self.heard_at += step
        self.at = None if self.at is None else self.at + step
        self.live_at = None if self.live_at is None else self.live_at + step
        self.changed_at = None if self.changed_at is None else self.changed_at + step
        for window in self.windows:
            window.window.shift(step)

    def _fits(self, value: Value) -> bool:
        """Whether the value has the point's type; NaN and infinities are no numbers."""
        if value.__class__ is not self._wanted and not (self._wanted is float and value.__class__ is int):
            return False
        return not isinstance(value, float) or math.isfinite(value)

    def _revive(self) -> None:
        still = [watch for watch in self.lapsed if not watch.revive()]
        self.lapsed = still


def _last_change(values: Sequence[Value], start: int, stop: int, before: Value | None) -> int | None:
    """The last place in [start, stop) that differs from the one in front of it."""
    for place in range(stop - 1, start, -1):
        if values[place] != values[place - 1]:
            return place
    return start if values[start] != before else None


class Watch:
    """Lapses when a point's time stands still for `span` (or for `first_span` before any value came).

    It keeps one entry on the agenda, put there for the earliest time it could lapse and
    moved on when values came meanwhile: nothing happens per reading. After a restart a
    point that looks silent may only have been unheard: the watch is `unsure`, neither
    lapsed nor not, and counts anew.
    """

    __slots__ = (
        "_agenda",
        "_basis",
        "_first_span",
        "_from",
        "_rank",
        "_scheduled",
        "_span",
        "cells",
        "lapsed",
        "track",
        "unsure",
    )

    def __init__(
        self, track: Track, basis: Basis, span: Millis, first_span: Millis, agenda: Agenda, rank: int = 0
    ) -> None:
        self.track = track
        self._basis: Basis = basis
        self._span = span
        self._first_span = first_span
        self._from: Millis = 0
        self._scheduled = False
        self._agenda = agenda
        self._rank = rank
        self.lapsed = False
        self.unsure = False
        self.cells: list[Refreshable] = []

    @property
    def deadline(self) -> Millis:
        """When it lapses if nothing comes."""
        span = self._first_span if self.track.at is None else self._span
        return max(self.track.basis(self._basis), self._from) + span

    @property
    def lapses(self) -> bool:
        """Whether nothing can be told from the point: silent, or not heard since a restart."""
        return self.lapsed or self.unsure

    def resume(self, at: Millis) -> None:
        """After history was replayed: what would have lapsed by now is unsure and counts from now."""
        if self.track.at is not None and self.deadline <= at:
            self._from = at
            self.unsure = True
            self.track.lapsed.append(self)

    def schedule(self) -> None:
        """Puts it on the agenda, where it stands at most once."""
        if not self._scheduled:
            self._scheduled = True
            self._agenda.add(self.deadline, self, self._rank)

    def fire(self, due: Millis) -> None:
        """Lapses, unless values came meanwhile."""
        self._scheduled = False
        if self._basis == "changed":
            self.track.catch_up(due)
        if self.deadline > due:
            self.schedule()
        elif not self.lapsed:
            self.track.catch_up(due)
            self.lapsed = True
            if not self.unsure:
                self.track.lapsed.append(self)
            self.unsure = False
            for cell in self.cells:
                cell.lapse(due)

    def bridges(self, run: Run, until: Millis) -> bool:
        """Whether it cannot lapse between the samples of a run, after which nothing comes before `until`."""
        before = self.track.basis(self._basis)
        if until - before <= self._span:
            return True
        return self._basis != "changed" and run.gap <= self._span and run.times[0] - before <= self._span

    def revive(self) -> bool:
        """After a value: whether it is no longer lapsed or unsure."""
        newest = self.track.at
        if newest is not None and self.track.basis(self._basis) + self._span > newest:
            self.lapsed = self.unsure = False
            self.schedule()
        return not (self.lapsed or self.unsure)

    def shift(self, step: Millis) -> None:
        """Moves what it remembers, after the clock was stepped."""
        self._from = max(0, self._from + step)


class FadingWindow:
    """A window with its leaves; of those that change by mere passing of time, also on the agenda."""

    __slots__ = ("_agenda", "_scheduled", "cells", "window")

    def __init__(self, window: Window, agenda: Agenda) -> None:
        self.window = window
        self.cells: list[Refreshable] = []
        self._agenda = agenda
        self._scheduled = False

    def push(self, at: Millis, value: Value) -> None:
        """Takes one sample of the point."""
        self.window.push(at, value)
        if self.window.fades and not self._scheduled:
            self._schedule()

    def fire(self, due: Millis) -> None:
        """The sample that was oldest leaves, unless it has."""
        self._scheduled = False
        loss = self.window.next_loss()
        if loss is not None and loss <= due:
            self.window.expire(due)
            for cell in self.cells:
                cell.refresh(due)
        self._schedule()

    def _schedule(self) -> None:
        loss = self.window.next_loss()
        if loss is not None:
            self._scheduled = True
            self._agenda.add(loss, self)
