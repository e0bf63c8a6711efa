"""Shows readings to the rule engine and makes its transitions durable before anybody hears of them."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Protocol

from drivers.reading import Batch, Millis
from edge.bus import Subscription
from edge.pipeline.actuator import Work
from edge.pipeline.notices import NoticeWriter
from edge.store.alarms import SENT, AlarmStore, Push
from rules.alarm import AlarmState, Change, Transition
from rules.engine import Engine
from rules.intent import Act

_LOG = logging.getLogger(__name__)
_RECEIVED = attrgetter("received_at")

HOLD_MS = 1000
"""Transitions that nobody is told of (pending, near miss) are stored at most this late,
together: a flapping condition must not wear the card out."""
IDLE_S = 30.0
AT_ONCE = SENT | {Change.OUT_OF_SERVICE, Change.IN_SERVICE}
"""Of alarms that never were nobody hears, and yet what a person said of them must be durable."""
UNSTORED = "网关存储故障，此报警尚未存盘"
"""Said in a push that leaves although its alarm could not be stored."""


class Acting(Protocol):
    """Who takes what the engine decided to do to the field; `edge.pipeline.actuator.Actuator` is one."""

    def gather(self) -> Work | None:
        """What was decided since the last call."""
        ...

    def keep(self, c: sqlite3.Connection, work: Work) -> Sequence[tuple[int, Act]]:
        """Stores it in the caller's transaction; what is to be sent."""
        ...

    def kept(self, orders: Sequence[tuple[int, Act]]) -> None:
        """It is durable: it may be sent."""
        ...

    def back(self, work: Work) -> None:
        """It could not be stored."""
        ...


class Evaluator:
    """The engine's way in and out. `tell` gets transitions once they are durable.

    While the disk refuses, transitions wait in memory; `urgent` then gets their pushes, marked,
    each once, for people must hear of an alarm all the same.

    `clock` keeps its pace when the wall clock is set, and `jumped` says by how much it was (ms): until
    the pipeline starts anew, readings are shown to the engine as if nothing had been set.
    """

    def __init__(
        self,
        source: Subscription,
        engine: Engine,
        store: AlarmStore,
        notices: NoticeWriter,
        clock: Callable[[], Millis],
        tell: Callable[[Sequence[Transition]], None],
        urgent: Callable[[Sequence[Push]], None] = lambda pushes: None,
        jumped: Callable[[], Millis] = lambda: 0,
        acting: Acting | None = None,
    ) -> None:
        self._source = source
        self.engine = engine
        self._store = store
        self._notices = notices
        self._clock = clock
        self._tell = tell
        self._urgent = urgent
        self._jumped = jumped
        self._acting = acting
        self._unstored = 0
        self._held: list[Transition] = []
        self._held_since: Millis = 0
        self._wait: asyncio.Timeout | None = None
        self.last_error = ""
        self.evaluated = 0

    async def run(self) -> None:
        """Evaluates until cancelled; held transitions are stored before it ends."""
        try:
            while True:
                try:
                    async with asyncio.timeout(self._patience_s()) as wait:
                        self._wait = wait
                        try:
                            batch = await self._source.get()
                        finally:
                            self._wait = None
                except TimeoutError:
                    await self.settle(self.engine.tick(self._clock()))
                else:
                    self.evaluated += len(batch)
                    jump = self._jumped()
                    if jump:
                        batch = _as_before(batch, jump, self._clock())
                    # By the time of arrival, not of now: then a rehearsal finds the same.
                    came = max(map(_RECEIVED, batch), default=self._clock())
                    await self.settle(self.engine.evaluate(batch, came))
        finally:
            if self._held:
                await asyncio.shield(self._save())

    def _patience_s(self) -> float:
        """How long to wait for readings before a timer or a held transition is due."""
        now = self._clock()
        due = self.engine.next_due()
        waits = [IDLE_S]
        if due is not None:
            waits.append((due - now) / 1000)
        if self._held:
            waits.append((self._held_since + HOLD_MS - now) / 1000)
        return max(0.001, min(waits))

    async def settle(self, transitions: Sequence[Transition]) -> None:
        """Stores transitions, at once where somebody will hear of one."""
        now = self._clock()
        if transitions and not self._held:
            self._held_since = now
        self._held.extend(transitions)
        work = None if self._acting is None else self._acting.gather()
        if not self._held and work is None:
            return
        due = bool(self._held) and now - self._held_since >= HOLD_MS
        if due or work is not None or any(t.change in AT_ONCE for t in transitions):
            await self._save(work)
        wait = self._wait  # whoever else reached the engine may have set a timer
        if wait is not None and not wait.expired():
            wait.reschedule(asyncio.get_running_loop().time() + self._patience_s())

    async def _save(self, work: Work | None = None) -> None:
        saved, self._held = self._held, []
        orders: list[tuple[int, Act]] = []

        def also(connection: sqlite3.Connection) -> None:
            if self._acting is not None and work is not None:
                orders[:] = self._acting.keep(connection, work)

        try:
            await self._store.save(saved, self._notices.pushes(saved, self._clock()), also)
        except sqlite3.OperationalError as error:  # full or read-only disk: keep, try again
            if self._acting is not None and work is not None:
                self._acting.back(work)
            self._held = saved + self._held
            self._held_since = self._clock()
            fresh, self._unstored = self._held[self._unstored :], len(self._held)
            self._urgent(self._notices.pushes(fresh, self._clock(), UNSTORED))
            self._tell(fresh)
            if str(error) != self.last_error:
                _LOG.error("alarms cannot be stored: %s; holding %d transitions", error, len(self._held))
            self.last_error = str(error)
            return
        self._unstored = 0
        self.last_error = ""
        self._tell(saved)
        if self._acting is not None:
            self._acting.kept(orders)

    def unstored(self) -> dict[str, AlarmState]:
        """Occurrence -> its state, of those whose last change is not stored yet."""
        return {t.state.occurrence: t.state for t in self._held if t.state.occurrence and not t.state.silent}

    async def acknowledge(self, rule: str, scope: str, user: str, note: str) -> None:
        """A person has seen an alarm; durable when it returns."""
        await self.settle(self.engine.acknowledge(rule, scope, user, note, self._clock()))

    async def reset(self, rule: str, scope: str, user: str, note: str) -> None:
        """A person has been there and releases a latch; durable when it returns."""
        await self.settle(self.engine.reset(rule, scope, user, note, self._clock()))

    async def shelve(self, rule: str, scope: str, user: str, reason: str, until: Millis) -> None:
        """A person puts an alarm aside; durable when it returns. Raises rules.aside.NotShelvable."""
        await self.settle(self.engine.shelve(rule, scope, user, reason, until, self._clock()))

    async def unshelve(self, rule: str, scope: str) -> None:
        """A person takes it back; durable when it returns."""
        await self.settle(self.engine.unshelve(rule, scope, self._clock()))

    async def out_of_service(self, device: str, user: str, order: str, until: Millis) -> None:
        """Somebody works on a device; durable when it returns. Raises rules.aside.NotTakenOut."""
        await self.settle(self.engine.out_of_service(device, user, order, until, self._clock()))

    async def into_service(self, device: str) -> bool:
        """The work is done; durable when it returns. False for a device that was in service."""
        done = self.engine.into_service(device, self._clock())
        await self.settle(done)
        return bool(done)


def _as_before(batch: Batch, jump: Millis, now: Millis) -> Batch:
    """Readings with the times that a clock which was not set would have given them."""
    return [
        r._replace(at=r.at - jump, received_at=r.received_at - jump)
        if abs(r.received_at - jump - now) < abs(r.received_at - now)
        else r
        for r in batch
    ]
