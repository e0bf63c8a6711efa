"""Readings side by side, and passing over those that can change nothing.

Nearly all readings of a long past leave every leaf of every rule as it is. For a stretch of time a
rehearsal hands over whole runs of samples; a point whose run keeps all of its leaves on their side is
taken as read, and catches up when somebody looks at it. Whatever is doubtful, and all points of a
condition of which one part is, is played reading by reading: what comes of it is exactly the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from drivers.reading import Millis, Reading
from rules.points import Points
from rules.run import Run
from rules.track import Track


class Stretch(NamedTuple):
    """What came of one device in a stretch of time, if all of it was good: a run of each point, and
    the instants at which anything came (as a run of `True`)."""

    device: str
    runs: Mapping[str, Run]
    heard: Run


class Slab(Protocol):
    """All that came in a stretch of time: the first reading at `begins`, all before `until`."""

    @property
    def begins(self) -> Millis: ...

    @property
    def until(self) -> Millis: ...

    @property
    def stretches(self) -> Sequence[Stretch]: ...

    @property
    def busy(self) -> Collection[str]:
        """Devices of which something was not plainly good: they stand in no stretch."""
        ...

    @property
    def count(self) -> int:
        """How many readings there are in all."""
        ...

    def readings(self, played: Mapping[str, Collection[str]]) -> Sequence[Reading]:
        """Those of the played points (by device) and all of the busy devices, in their order."""
        ...


class Passage:
    """Decides what of a stretch is taken as read."""

    def __init__(self, points: Points) -> None:
        self._points = points
        self._ahead: list[Track] = []

    def over(
        self, stretches: Iterable[Stretch], busy: Collection[str], until: Millis
    ) -> dict[str, Sequence[str]]:
        """Takes as read what it can of all that comes before `until`. Gives the points that must be
        played, by device; those of `busy` devices are played as a whole and stand in no stretch."""
        tracks, presences = self._points.tracks, self._points.presences
        stretches = tuple(stretches)
        leaps: dict[Track, Run] = {}
        unsure: list[Track] = [track for track in tracks.values() if track.device in busy] if busy else []
        whole: set[str] = set()
        for device, runs, heard in stretches:
            presence = presences.get(device)
            if presence is not None and not _consider(presence.track, heard, until, leaps, unsure):
                whole.add(device)
            for point, run in runs.items():
                track = tracks.get((device, point))
                if track is not None:
                    _consider(track, run, until, leaps, unsure)
        _stay_together(unsure, leaps)
        played: dict[str, Sequence[str]] = {}
        for device, runs, _ in stretches:
            if device in whole:
                played[device] = tuple(runs)
                for point in runs:
                    leaps.pop(tracks[device, point], None) if (device, point) in tracks else None
                continue
            points = [p for p in runs if (t := tracks.get((device, p))) is not None and t not in leaps]
            if points:
                played[device] = points
        for track, run in leaps.items():
            track.leap(run)
        self._ahead = list(leaps)
        return played

    def land(self) -> None:
        """All that was taken as read has come."""
        for track in self._ahead:
            track.land()
        self._ahead = []


def _consider(track: Track, run: Run, until: Millis, leaps: dict[Track, Run], unsure: list[Track]) -> bool:
    if track.steady(run, until):
        leaps[track] = run
        return True
    unsure.append(track)
    return False


def _stay_together(unsure: Iterable[Track], leaps: dict[Track, Run]) -> None:
    """Where one part of a condition is played, the values of its other parts must be those of the very
    instant: they are played too, unless theirs stands still."""
    owners = {id(cell.owner): cell.owner for track in unsure for cell in track.cells}
    for owner in owners.values():
        for cell in owner.cells:
            for track in cell.tracks:
                run = leaps.get(track)
                if run is not None and not track.rests(run):
                    del leaps[track]
