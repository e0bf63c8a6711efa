"""Everything that readings flow through: one track per point, one window per (point, agg, over)."""

from __future__ import annotations

from drivers.reading import Millis
from drivers.settings import millis
from rules.agenda import Agenda
from rules.binding import PointRef
from rules.nodata import NoData
from rules.presence import DERIVED, Presence
from rules.silence import silence_ms
from rules.spread import build_spread
from rules.track import Basis, FadingWindow, Track, Watch
from rules.tree import Node
from rules.window import build_window

FILLING = frozenset({"count", "count_true", "sum", "delta", "min", "max"})
"""Aggregates that a half-full window may belie."""


class Points:
    """What is kept of the points that rules look at, shared where it is identical."""

    def __init__(self, agenda: Agenda) -> None:
        self.agenda = agenda
        self.tracks: dict[tuple[str, str], Track] = {}
        self.presences: dict[str, Presence] = {}
        self.watches: dict[tuple[str, str, Basis, Millis, Millis], Watch] = {}
        self._windows: dict[tuple[str, str, str, Millis, str], FadingWindow] = {}

    def track(self, ref: PointRef) -> Track:
        """The track of a point, whether or not a leaf looks at it."""
        key = (ref.device, ref.point)
        track = self.tracks.get(key)
        if track is None:
            track = self.tracks[key] = Track(ref.device, ref.point, ref.unit, ref.every_ms)
            if ref.point in DERIVED:
                self.presences[ref.device] = Presence(track)
        return track

    def watch(self, track: Track, basis: Basis, span: Millis, first_span: Millis | None = None) -> Watch:
        """The watch that sees a point stand still for so long."""
        key = (track.device, track.point, basis, span, span if first_span is None else first_span)
        watch = self.watches.get(key)
        if watch is None:
            watch = self.watches[key] = Watch(track, basis, span, key[-1], self.agenda, len(self.watches) + 1)
            track.watches.append(watch)
        return watch

    def loss(self, track: Track, nodata: NoData) -> Watch:
        """The watch that sees a point lost."""
        after = silence_ms(track.every_ms) if nodata.after is None else millis(nodata.after)
        held = millis(nodata.max) if nodata.then == "hold" else 0
        return self.watch(track, "good", after + held, after)

    def window(self, track: Track, node: Node) -> FadingWindow:
        """The window that a leaf looks through."""
        over = millis(node.over) if node.over is not None else 0
        unit = (node.unit or "") if node.agg in ("rate", "slope", "min_rate") else ""
        bucket = 0 if node.bucket is None else millis(node.bucket)
        if bucket:
            unit = f"{unit} {bucket}"
        key = (track.device, track.point, node.agg, over, unit)
        window = self._windows.get(key)
        if window is None:
            spread = node.agg in ("stddev", "p95", "min_rate")
            made = (
                build_spread(node.agg, over, bucket, node.unit)
                if spread
                else build_window(node.agg, over, node.unit)
            )
            window = FadingWindow(made, self.agenda)
            self._windows[key] = window
            track.windows.append(window)
        return window

    def begin(self, at: Millis) -> None:
        """The engine starts: silence is counted from now where nothing ever came."""
        for track in self.tracks.values():
            track.armed_at = at
        for watch in self.watches.values():
            watch.schedule()

    def catch_up(self, at: Millis) -> None:
        """After history was replayed: windows and watches as they stand at `at`."""
        for window in self._windows.values():
            window.window.expire(at)
        for watch in self.watches.values():
            watch.resume(at)
        for track in self.tracks.values():
            for cell in track.cells:
                cell.refresh(at)

    def shift(self, step: Millis) -> None:
        """Moves all remembered times, after the clock was stepped."""
        for track in self.tracks.values():
            track.shift(step)
        for watch in self.watches.values():
            watch.shift(step)

    def lookback(self) -> dict[tuple[str, str], Millis]:
        """The longest window, or time without change, that is looked at of each point."""
        longest: dict[tuple[str, str], Millis] = {}
        spans = [((key[0], key[1]), key[3]) for key in self._windows]
        spans += [((key[0], key[1]), key[3]) for key in self.watches if key[2] == "changed"]
        for point, span in spans:
            longest[point] = max(span, longest.get(point, 0))
        return longest
