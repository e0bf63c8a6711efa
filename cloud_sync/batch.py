"""One taken batch on its way out: what is still to send, and which lines are poison; pure.

A refused write is halved until the refused lines stand alone. Writing is idempotent, so
halves that were partly stored may be sent again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from cloud_sync.errors import NotALine
from cloud_sync.line_protocol import format_entry
from cloud_sync.outbox import Entry
from cloud_sync.writer import LineOf

POISON_CAP = 20
"""More refused lines than this in one batch are a fault of configuration: from then on a
whole series is set aside with its first refused line, instead of searching each line."""

_SHOWN_CHARS = 2_000
_DROPPED = re.compile(r"\bdropped=(\d+)\b")  # how many points a partial write left out (1.x, 2.x)
_EXPIRED = re.compile(r"retention", re.IGNORECASE)  # says something of the time, nothing of the series

SeriesKey = tuple[str, tuple[tuple[str, str], ...]]


def series_of(entry: Entry) -> SeriesKey:
    """Measurement and tags: the identity of a series."""
    return entry.measurement, tuple(sorted(entry.tags.items()))


class Line(NamedTuple):
    """An entry and its bytes, the same on every try."""

    entry: Entry
    text: bytes


class Poison(NamedTuple):
    """One entry that is refused for good; `status` 0 when it never was a line."""

    entry: Entry
    line: str
    status: int
    reason: str


class _Segment(NamedTuple):
    lines: Sequence[Line]
    twin: bool = False  # the next segment is my other half, and one of us is refused


class Batch:
    """The work list of one batch: `head` is what to send next, until it is empty.

    `cursor` is where the outbox stands behind this batch, `behind` where it began if that was out of
    turn; `more` tells that more waits.
    `sent` counts the delivered values (fields of entries).
    Lines of `suspects` (series refused before) go last and by themselves.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        cursor: int,
        *,
        more: bool,
        max_bytes: int,
        suspects: Collection[SeriesKey],
        behind: int | None = None,
        line_of: LineOf = format_entry,
    ) -> None:
        self.cursor = cursor
        self.behind = behind
        self.more = more
        self.sent = 0
        self.strikes = 0  # how often the head failed, which may be its own fault
        self.timeouts = 0  # how often it was not answered in time
        self.doubted = False  # halved without a clear refusal
        self.poison: list[Poison] = []
        self.refused_series: dict[SeriesKey, str] = {}
        self._refused = 0
        good: list[Line] = []
        suspect: list[Line] = []
        for entry in entries:
            try:
                text = line_of(entry)
            except NotALine as error:
                self.poison.append(Poison(entry, ascii(tuple(entry))[:_SHOWN_CHARS], 0, str(error)))
                continue
            if not text:  # nothing that this destination wants
                continue
            line = Line(entry, text)
            (suspect if suspects and series_of(entry) in suspects else good).append(line)
        self._todo = _segments(suspect, max_bytes)[::-1] + _segments(good, max_bytes)[::-1]

    @property
    def head(self) -> Sequence[Line]:
        """The lines of the next write; empty when the batch is through."""
        return self._todo[-1].lines if self._todo else ()

    @property
    def capped(self) -> bool:
        """Whether more lines were refused than are searched one by one."""
        return self._refused > POISON_CAP

    def body(self) -> bytes:
        """The next write."""
        return b"\n".join(line.text for line in self.head)

    def accepted(self) -> None:
        """The head was confirmed."""
        segment = self._todo.pop()
        self.sent += sum(len(line.entry.fields) for line in segment.lines)
        self._fresh_head()
        if segment.twin and len(self.head) > 1:
            self.halve(refused=True)  # the refused line must be in the other half

    def halve(self, *, refused: bool = False) -> None:
        """Makes two of a head of several lines; `refused` when one of its lines is known to be poison."""
        lines = self._todo.pop().lines
        middle = len(lines) // 2
        self._todo += [_Segment(lines[middle:]), _Segment(lines[:middle], twin=refused)]
        self._fresh_head()

    def shrink(self, max_bytes: int) -> None:
        """Cuts all that is still to send to writes of `max_bytes`, the head at least in half."""
        whole = len(self.head)
        self._todo = [cut for one in self._todo for cut in _segments(one.lines, max_bytes)[::-1]]
        self._fresh_head()
        if len(self.head) == whole > 1:
            self.halve()

    def refused(self, status: int, reason: str) -> None:
        """The head holds a refused line: halves it, or sets it aside when it is one line or
        when the server says that it dropped them all."""
        dropped = _DROPPED.search(reason)
        if len(self.head) > 1 and (dropped is None or int(dropped[1]) != len(self.head)):
            self.halve(refused=True)
            return
        lines = self._todo.pop().lines
        self._fresh_head()
        self.poison += [_poison(line, status, reason) for line in lines]
        if _EXPIRED.search(reason):
            return
        self._refused += len(lines)
        for line in lines:
            self.refused_series.setdefault(series_of(line.entry), reason)
        if self.capped:
            self._sweep(status)

    def _fresh_head(self) -> None:
        self.strikes = self.timeouts = 0

    def _sweep(self, status: int) -> None:
        kept: list[_Segment] = []
        for segment in self._todo:
            rest: list[Line] = []
            for line in segment.lines:
                reason = self.refused_series.get(series_of(line.entry))
                if reason is None:
                    rest.append(line)
                else:
                    self.poison.append(_poison(line, status, f"series set aside: {reason}"))
            if rest:
                kept.append(_Segment(rest))
        self._todo = kept


def _poison(line: Line, status: int, reason: str) -> Poison:
    return Poison(line.entry, line.text.decode(), status, reason)


def _segments(lines: Sequence[Line], max_bytes: int) -> list[_Segment]:
    """Cuts lines into writes of at most `max_bytes` (a longer line stands alone)."""
    segments: list[_Segment] = []
    start = size = 0
    for index, line in enumerate(lines):
        size += len(line.text) + 1
        if size > max_bytes and index > start:
            segments.append(_Segment(lines[start:index]))
            start, size = index, len(line.text) + 1
    if start < len(lines):
        segments.append(_Segment(lines[start:]))
    return segments
