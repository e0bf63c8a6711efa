"""Watches the wall clock: notices when it is set, holds back what was dated by a doubtful one, repairs it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence

from cloud_sync.outbox import Backlog, Entry, Outbox, Taken
from drivers.reading import Millis
from edge.store import audit
from edge.store import clock_segments as segments
from edge.store.clock_segments import Doubt, Segment
from edge.store.database import Database
from edge.synchronised import ClockReading, ClockState, wall_and_uptime

_LOG = logging.getLogger(__name__)

STEP_MS = 2_000
"""A clock that moves by more than this against the time since boot was set."""
EVERY_S = 0.5
HOUR_MS = 3_600_000


class ClockWatch:
    """`stepped` is called when the clock was set: the pipeline must start anew, for its timers and
    windows count in wall time. `doubt` says whether an unsynchronised clock is doubted."""

    def __init__(
        self,
        core: Database,
        telemetry: Database,
        look: Callable[[], ClockReading],
        stepped: Callable[[], None],
        *,
        doubt: bool,
        hold_ms: Millis,
    ) -> None:
        self._core = core
        self._telemetry = telemetry
        self._look = look
        self._stepped = stepped
        self._doubt = doubt
        self._hold_ms = hold_ms
        self._known: list[Segment] = []
        self._last = look()
        self._start_offset = self._last.offset
        self.steps = 0
        self.moved = 0
        """Moments and transitions that were dated anew in this run."""

    @property
    def state(self) -> ClockState:
        """How far the clock can be believed."""
        if self._last.synchronised:
            return ClockState.SYNCED
        was = any(s.boot == self._last.boot and not s.doubtful for s in self._known)
        return ClockState.HOLDOVER if was and self._doubt else ClockState.UNSYNCED

    @property
    def doubtful(self) -> bool:
        """Whether what is dated now may have to be dated anew."""
        return self._doubt and self.state is ClockState.UNSYNCED

    def jumped(self) -> Millis:
        """How far the wall clock was set since the start of this run; 0 when it was not."""
        wall, uptime = wall_and_uptime()
        change = wall - uptime - self._start_offset
        return change if abs(change) > STEP_MS else 0

    def steady(self) -> Millis:
        """The wall clock as if it had not been set in this run."""
        return wall_and_uptime()[0] - self.jumped()

    @property
    def _open(self) -> list[Segment]:
        return [s for s in self._known if s.doubtful and not s.repaired]

    @property
    def holding(self) -> bool:
        """Whether rows are held back now."""
        return bool(self._open) and self._last.uptime < self._hold_ms

    def first_held_moment(self) -> int | None:
        """The first moment that must not leave yet."""
        return min((s.moment for s in self._open), default=None) if self.holding else None

    def first_held_transition(self) -> int | None:
        """The first alarm transition that must not leave yet."""
        return min((s.transition for s in self._open), default=None) if self.holding else None

    def moment_doubts(self) -> Sequence[Doubt]:
        """Moments whose times are not exact."""
        return segments.doubts(self._known, [s.moment for s in self._known])

    def transition_doubts(self) -> Sequence[Doubt]:
        """Alarm transitions whose times are not exact."""
        return segments.doubts(self._known, [s.transition for s in self._known])

    async def start(self) -> None:
        """Finds out how this run's clock stands to the last one's, and repairs what can be repaired.
        While the disk refuses nothing is known and nothing held."""
        self._last = self._look()
        self._start_offset = self._last.offset
        try:
            await self._start()
        except sqlite3.OperationalError as error:
            _LOG.error("the clock's history cannot be kept: %s", error)

    async def _start(self) -> None:
        now = self._last
        self._known = await self._core.run(segments.segments)
        last = self._known[-1] if self._known else None
        same_boot = last is not None and last.boot == now.boot
        stepped = last is not None and same_boot and abs(now.offset - last.offset) > STEP_MS
        if last is None or not same_boot or stepped or last.doubtful != self.doubtful:
            moment = await self._telemetry.run(lambda c: segments.next_id(c, "moments"))
            doubtful = self.doubtful

            def work(connection: sqlite3.Connection) -> None:
                segments.begin(connection, now.boot, now.offset, doubtful, moment, now.wall)
                if last is not None and stepped:
                    audit.append(connection, _step_row(last.offset, now))

            await self._core.run(work)
            self._known = await self._core.run(segments.segments)
        if not self.doubtful:
            await self._repair(now)

    async def _repair(self, now: ClockReading) -> None:
        """Dates doubtful rows anew: those of this boot exactly, those of earlier boots to lie directly
        before the next one."""
        moment = await self._telemetry.run(lambda c: segments.next_id(c, "moments"))
        transition = await self._core.run(lambda c: segments.next_id(c, "transition"))
        spans = segments.spans(self._known, moment, transition)
        until = now.offset  # an earlier boot ended before this one began
        for segment in reversed(self._known):
            if not segment.doubtful or segment.repaired:
                continue
            moments, transitions = spans[segment.id]
            came = await self._telemetry.read(lambda c, span=moments: segments.last_received(c, span))  # type: ignore[misc]
            if segment.boot == now.boot:
                by = now.offset - segment.offset
            else:
                first, last = came or (segment.began, segment.began)
                by = until - last
                until = first + by
            moved = await self._telemetry.run(
                lambda c, s=segment, span=moments, by=by: segments.move_moments(c, s, span, by)  # type: ignore[misc]
            )
            guessed = segment.boot != now.boot
            moved += await self._core.run(
                lambda c, s=segment, span=transitions, by=by, guessed=guessed: (  # type: ignore[misc]
                    segments.move_transitions(c, s, span, by, estimated=guessed)
                )
            )
            self.moved += moved
            _LOG.warning("%d rows were dated by a wrong clock; moved by %.1f s", moved, by / 1000)
        self._known = await self._core.run(segments.segments)

    async def run(self) -> None:
        """Watches until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            before, was_doubtful = self._last, self.doubtful
            self._last = self._look()
            change = self._last.offset - before.offset
            if abs(change) > STEP_MS:
                self.steps += 1
                _LOG.warning("the clock was set by %.1f s: starting anew with it", change / 1000)
                await self._note_end(before.wall)
                self._stepped()
            elif was_doubtful and not self.doubtful:
                _LOG.info("the clock is synchronised: starting anew with it")
                self._stepped()

    async def _note_end(self, wall: Millis) -> None:
        if not self._known:
            return
        last = self._known[-1].id
        try:
            await self._core.run(lambda c: segments.end(c, last, wall))
        except sqlite3.OperationalError as error:
            _LOG.error("the clock's history cannot be kept: %s", error)


def _step_row(before: Millis, now: ClockReading) -> audit.AuditRow:
    change = (now.offset - before) / 1000
    return audit.AuditRow(
        0, now.wall, "gateway", "clock", "clock.step", "clock", "", f"{change:+.1f} s",
        "synchronised" if now.synchronised else "not synchronised",
    )  # fmt: skip


def marked(entry: Entry, doubts: Sequence[Doubt]) -> Entry:
    """An entry with a field `tq` where its time is not exact; its series and time stay as they are."""
    for doubt in doubts:
        if doubt.first <= entry.id < doubt.behind:
            return entry._replace(fields={**entry.fields, "tq": float(doubt.quality)})
    return entry


class HeldOutbox:
    """An outbox that gives nothing from a certain entry on, while the clock is doubted, and marks
    entries whose time is not exact."""

    def __init__(
        self, inner: Outbox, first_held: Callable[[], int | None], doubts: Callable[[], Sequence[Doubt]]
    ) -> None:
        self._inner = inner
        self._first_held = first_held
        self._doubts = doubts
        self.name = inner.name

    async def take(self, destination: str, limit: int, since: Millis | None = None) -> Taken:
        """See the protocol."""
        taken = await self._inner.take(destination, limit, since)
        held = self._first_held()
        if held is not None and taken.cursor >= held:
            entries = [entry for entry in taken.entries if entry.id < held]
            taken = Taken(entries, max(held - 1, taken.behind or 0), False, taken.behind)
        if doubts := self._doubts():
            return taken._replace(entries=[marked(entry, doubts) for entry in taken.entries])
        return taken

    async def accept(self, destination: str, cursor: int, sent: int, behind: int | None = None) -> None:
        """See the protocol."""
        await self._inner.accept(destination, cursor, sent, behind)

    async def park(self, destination: str, entry: Entry, line: str, status: int, reason: str) -> None:
        """See the protocol."""
        await self._inner.park(destination, entry, line, status, reason)

    async def backlog(self, destination: str) -> Backlog:
        """See the protocol; what is held back waits too."""
        return await self._inner.backlog(destination)
