"""One siren on a relay: brings it into the state that the alarms demand, through the one door.

It waits for nothing but its own device: no push, no browser, no network beyond the relay's line. For an
emergency, and to fall silent, it does not wait for the disk either.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from drivers.reading import Millis, Reading, Value
from drivers.settings import millis
from edge.channels.settings import PointRef, RelaySettings
from edge.pipeline.dispatcher import OutcomeLost
from edge.pipeline.sounding import demanded, due_test, rearmed, silenced
from edge.store.accounts import Role
from edge.store.commands import CommandRecord, CommandRefused, Requester
from edge.store.sirens import SirenMemory, SirenStore
from rules.alarm import AlarmState, Change, Transition
from rules.command import Command

_LOG = logging.getLogger(__name__)

LOUD = frozenset({"unacknowledged", "latched_unacknowledged"})
"""ISA-18.2 states that sound; what returned to normal by itself is silent."""
LOOK_S, IDLE_S = 0.25, 1.0
"""How often silence button and device are looked at while it sounds, and else."""
VALID_MS = 10_000
"""A command that waits longer for its line is not carried out: the next one says what holds then."""
FIRST_AGAIN_S, LONGEST_AGAIN_S = 1.0, 10.0
PULSE_S = 10
"""A device with a timer of its own is told to sound for this long, twice as often."""
HEAR_S = 0.05
FEEDBACK_MORE_S = 2.0
"""A contact may be read this much later than it closed."""
TROUBLE_MS = 10_000
"""A state that could not be brought about for so long is a fault."""
REST_S, REST_TRIES = 3.0, 10


@dataclass(frozen=True, slots=True)
class SirenWays:
    """What a siren needs of the gateway: the door, whether its device answers, readings, the clock."""

    submit: Callable[[Command, Requester], Awaitable[CommandRecord]]
    sound: Callable[[Command, Requester], Awaitable[CommandRecord]]
    """The same, though the disk refuses to write it down."""
    online: Callable[[], bool]
    latest: Callable[[str, str], Reading | None]
    clock: Callable[[], Millis]
    zone: ZoneInfo
    pause_ms: Millis
    """Least time between two writes of the relay's point."""


class Siren:
    """`learn` takes what alarms do, `silence` mutes; `run` must be running, `rest` goes before its end."""

    def __init__(
        self,
        name: str,
        settings: RelaySettings,
        priorities: frozenset[int],
        store: SirenStore,
        ways: SirenWays,
        states: Sequence[AlarmState],
    ) -> None:
        self.name = name
        self._settings = settings
        self._priorities = priorities
        self._store = store
        self._ways = ways
        self._max_on = millis(settings.max_on)
        self._memory = SirenMemory()
        self._stored: SirenMemory | None = None
        self._loud: dict[str, int] = {}
        """The occurrences that are loud, with their priority."""
        self._on: bool | None = None
        """What the device was last brought to; `None` while nobody knows."""
        self._wrote_at: Millis = 0
        self._trouble = ""
        self._trouble_since: Millis | None = None
        self._pressed = False
        self.testing = False
        """Whether the weekly test runs."""
        self._resting = False
        self._bringing = asyncio.Lock()
        self._woken = asyncio.Event()
        for state in states:
            self._note(state)

    @property
    def sounding(self) -> bool:
        """Whether it is to sound now."""
        return self._memory.on_since is not None

    @property
    def _calling(self) -> frozenset[str]:
        """The occurrences that ask for sound."""
        return frozenset(self._loud) - self._memory.hushed

    @property
    def _emergency(self) -> bool:
        """Whether an alarm of priority 1 asks for sound."""
        return any(self._loud[occurrence] == 1 for occurrence in self._calling)

    @property
    def fault(self) -> str:
        """Why it may not sound when it must: the last test, or a state that cannot be brought about."""
        since = self._trouble_since
        stuck = since is not None and self._ways.clock() - since >= TROUBLE_MS
        return self._trouble if stuck else self._memory.fault

    def learn(self, transitions: Sequence[Transition]) -> None:
        """Takes alarms that changed; a new one sounds though others were silenced."""
        for transition in transitions:
            fresh = self._note(transition.state)
            again = transition.change is Change.REALARMED
            if again:
                hushed = self._memory.hushed - {transition.state.occurrence}
                self._memory = replace(self._memory, hushed=hushed)
            if fresh or again:
                self._memory = rearmed(self._memory, self._ways.clock())
        self._woken.set()

    def _note(self, state: AlarmState) -> bool:
        """True when an occurrence is loud that was not."""
        before = state.occurrence in self._loud
        if state.occurrence and state.priority in self._priorities and state.isa in LOUD:
            self._loud[state.occurrence] = state.priority
            return not before
        self._loud.pop(state.occurrence, None)
        return False

    async def silence(self) -> int:
        """Mutes what sounds until another alarm comes; of how many alarms. The alarms stay."""
        count = len(self._calling)
        await self._remember(silenced(self._memory, self._loud))
        self._woken.set()
        return count

    async def run(self) -> None:
        """Follows the alarms until cancelled; what state the device is in is unknown at first."""
        if self._stored is None:
            self._memory = self._stored = await self._store.load(self.name)
        self._on = None
        again_s = FIRST_AGAIN_S
        while True:
            self._woken.clear()
            await self._look()
            if await self._bring(self.sounding):
                await self._test_if_due()
                wait_s, again_s = LOOK_S if self.sounding else IDLE_S, FIRST_AGAIN_S
            elif self._ways.online():
                wait_s, again_s = again_s, min(2 * again_s, LONGEST_AGAIN_S)
            else:  # nothing was sent, so it costs nothing to see it come back at once
                wait_s = LOOK_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()

    async def rest(self) -> None:
        """Before a clean end: nothing is left on, for nobody watches it then."""
        self._resting = True
        if self._on is False:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REST_S):
                for _ in range(REST_TRIES):
                    if await self._bring(False):
                        return
                    await asyncio.sleep(LOOK_S)
        _LOG.error("%s: could not be switched off before the end: %s", self.name, self._trouble)

    async def _look(self) -> None:
        """What alarms, time, the silence button and the device itself say."""
        button = self._read(self._settings.silence)
        pressed = button is not None and button.value is True
        if pressed and not self._pressed and self.sounding:
            _LOG.info("%s: silenced by its button", self.name)
            await self.silence()
        self._pressed = pressed
        await self._remember(demanded(self._memory, self._loud, self._ways.clock(), self._max_on))
        seen = self._read(self._settings)
        told = seen is not None and seen.at > self._wrote_at and isinstance(seen.value, bool)
        if seen is not None and told and self._on is not seen.value:
            self._on = None  # switched by somebody else, or its board lost power

    def _read(self, point: PointRef | None) -> Reading | None:
        return None if point is None else self._ways.latest(point.device, point.point)

    async def _remember(self, memory: SirenMemory) -> None:
        """Keeps what changed; a disk that refuses does not silence a siren."""
        self._memory = memory
        if memory == self._stored:
            return
        self._stored = memory
        try:
            await self._store.save(self.name, memory)
        except sqlite3.OperationalError as error:
            _LOG.error("%s: its state cannot be stored: %s", self.name, error)

    async def _bring(self, on: bool) -> bool:
        """Brings the device into a state where it is not; False when that did not succeed."""
        async with self._bringing:
            if self._resting and on:
                return True
            pulse = self._settings.pulse if on else None
            since_ms = self._ways.clock() - self._wrote_at
            if self._on is on and (pulse is None or since_ms < PULSE_S * 500):
                return True
            if pulse is None and 0 <= since_ms < self._ways.pause_ms:
                await asyncio.sleep((self._ways.pause_ms - since_ms) / 1000)
            value: Value = on if pulse is None else float(PULSE_S)
            return await self._write(pulse or self._settings, value, on)

    async def _write(self, point: PointRef, value: Value, on: bool) -> bool:
        now = self._ways.clock()
        self._on = None
        if not self._ways.online():
            self._say("its device does not answer", now)
            return False
        reason = "an alarm sounds" if on else "no alarm sounds"
        command = Command(point.device, point.point, value, reason, f"siren {self.name}", now, now + VALID_MS)
        who = Requester(command.who, Role.ADMIN, command.who, "gateway")
        try:
            # On for lives, or off: neither may fail for want of a record.
            go = self._ways.sound if self._emergency or not on else self._ways.submit
            record = await go(command, who)
        except (CommandRefused, OutcomeLost, sqlite3.OperationalError) as error:
            self._say(str(error), now)
            return False
        self._wrote_at = self._ways.clock()
        if record.state != "confirmed":
            self._say(f"{record.state}: {record.detail}", now)
            return False
        self._on, self._trouble, self._trouble_since = on, "", None
        return True

    def _say(self, trouble: str, now: Millis) -> None:
        if trouble != self._trouble:
            _LOG.error("%s: %s", self.name, trouble)
        self._trouble = trouble
        self._trouble_since = now if self._trouble_since is None else self._trouble_since

    async def _test_if_due(self) -> None:
        test, now = self._settings.test, self._ways.clock()
        if test is None or self.sounding or self._resting:
            return
        day = due_test(test, self._ways.zone, now, self._memory)
        if day:  # written down first: whatever happens, it is not repeated today
            self.testing = True
            await self._remember(replace(self._memory, tested=day))
            fault = await self._test(test.lasts.total_seconds())
            await self._remember(replace(self._memory, fault=fault))
            self.testing = False
            _LOG.info("%s: tested: %s", self.name, fault or "well")

    async def _test(self, lasts_s: float) -> str:
        """Sounds for a moment; what was wrong, empty when all was well. An alarm ends it, and sounds on."""
        if not await self._bring(True):
            await self._bring(False)
            return f"test: {self._trouble}"
        on_at = self._wrote_at
        heard = await self._hear(on_at, lasts_s)
        if self._calling:
            return self._memory.fault
        if not await self._bring(False):
            return f"test: {self._trouble}"
        if not heard and not await self._hear(on_at, FEEDBACK_MORE_S, enough=True):
            return "test: no feedback, the siren may be dead"
        return ""

    async def _hear(self, since: Millis, for_s: float, *, enough: bool = False) -> bool:
        """Whether the feedback contact was read closed since then; `enough` waits no longer than for that."""
        heard = self._settings.feedback is None
        until = asyncio.get_running_loop().time() + for_s
        while asyncio.get_running_loop().time() < until and not self._calling and not (enough and heard):
            contact = self._read(self._settings.feedback)
            heard = heard or (contact is not None and contact.value is True and contact.at >= since)
            await asyncio.sleep(HEAR_S)
        return heard
