"""What rules decided goes out: stored first, sent once, its end and its effect written down.

    engine -> gather -> stored with the alarm -> sending -> dispatcher -> effect watched

Decisions that waited too long are not carried out: late data, a full disk or a long stop do not
move anything an hour later.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from drivers.reading import Millis
from edge.pipeline.armoury import Armoury
from edge.pipeline.dispatcher import Dispatcher, OutcomeLost
from edge.pipeline.effects import Newest, seen
from edge.store import actions
from edge.store.accounts import Accounts, Role
from edge.store.actions import ActionRecord, ActionState, Arming, Memory, NoProposal
from edge.store.commands import CommandRecord, CommandRefused, Requester
from edge.store.database import Database
from rules.action import Verify
from rules.command import Command
from rules.engine import Engine
from rules.intent import Act, ActKind, Lever
from rules.plan import Plan, Target
from rules.rulebook import Rule
from rules.site import SiteInfo

_LOG = logging.getLogger(__name__)

LATE_MS: Millis = 120_000
"""A decision that is older than this is not sent any more."""
PATIENCE_MS: Millis = 600_000
AGAIN_S = 1.0
"""Where the door says "not so often", it is knocked at again, for so long at most."""
FAILED_MS: Millis = 900_000
"""So long an action that came to nothing is a fact for the gateway's own rules."""
_END: Mapping[str, ActionState] = {
    "confirmed": "confirmed", "failed": "failed", "unknown": "unknown", "expired": "expired",
    "refused": "refused",
}  # fmt: skip


class Work(NamedTuple):
    """What is to be stored together: decisions, and what the arbiter remembers."""

    acts: tuple[Act, ...]
    memory: Memory


class _Job(NamedTuple):
    number: int
    act: Act


class Actuator:
    """Takes decisions from the engine's arbiter to the field; `run` must be running for that.

    `clock` is the one of the rules, `wall` that of the door to the field.
    """

    def __init__(
        self,
        engine: Engine,
        rules: Sequence[Rule],
        site: SiteInfo,
        core: Database,
        accounts: Accounts,
        dispatcher: Dispatcher,
        armoury: Armoury,
        newest: Newest,
        clock: Callable[[], Millis],
        wall: Callable[[], Millis],
    ) -> None:
        self._engine = engine
        self._arbiter = engine.hands.arbiter
        self._actions = {(rule.id, placed.number): placed.action for rule in rules for placed in rule.actions}
        self._site = site
        self._core = core
        self._accounts = accounts
        self._dispatcher = dispatcher
        self._armoury = armoury
        self._newest = newest
        self._clock = clock
        self._wall = wall
        self._acts: list[Act] = []
        self._changed: set[str] = set()
        self._roles: dict[str, Role] = {}
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue()
        self._locks: dict[Target, asyncio.Lock] = {}
        self._latest_job: dict[Target, int] = {}
        self._failed_at: Millis | None = None
        dispatcher.listen(self.heard)

    # -- with the evaluator

    def gather(self) -> Work | None:
        """What the engine decided since the last call; it is the caller's until `kept` or `back`."""
        self._acts += self._arbiter.drain()
        self._changed |= self._arbiter.changed
        self._arbiter.changed.clear()
        if not self._acts and not self._changed:
            return None
        work = Work(tuple(self._acts), {name: self._remembered(name) for name in sorted(self._changed)})
        self._acts.clear()
        self._changed.clear()
        return work

    def keep(self, c: sqlite3.Connection, work: Work) -> Sequence[tuple[int, Act]]:
        """Stores it inside the caller's transaction; the decisions to be sent, with their numbers."""
        orders = [act for act in work.acts if act.kind is ActKind.ORDERED]
        known = actions.by_key(c, [act.key for act in orders])
        actions.add(c, work.acts, self._clock())
        actions.remember(c, work.memory)
        numbers = actions.by_key(c, [act.key for act in orders])
        return [(numbers[act.key], act) for act in orders if act.key not in known]

    def kept(self, orders: Sequence[tuple[int, Act]]) -> None:
        """It is durable: what is to be sent is sent."""
        for number, act in orders:
            self._enqueue(_Job(number, act))

    def back(self, work: Work) -> None:
        """It could not be stored: it waits."""
        self._acts[:0] = work.acts
        self._changed |= work.memory.keys()

    def _remembered(self, name: str) -> Plan | Lever | None:
        return self._arbiter.plans.get(name) or self._arbiter.levers.get(name)

    # -- people

    def heard(self, command: Command) -> None:
        """A person told a point something: rules leave it alone for a while."""
        if self._arbiter.manual(command.device, command.point, command.value, command.who, self._clock()):
            self._engine.hands.schedule()

    async def confirm(self, number: int, who: Requester) -> ActionRecord:
        """Lets a proposal out; raises NoProposal. Durable when it returns, and then it is sent."""
        record, now = await self._open(number), self._clock()
        self._roles[record.act.intent.id] = who.role
        if not self._arbiter.confirm(record.act.intent.id, who.name, now):
            raise NoProposal(f"the proposal {number} is no longer open")
        return await self._answered(record, "accepted", who, "", "action.confirm")

    async def reject(self, number: int, who: Requester, note: str) -> ActionRecord:
        """Says no to a proposal; raises NoProposal. Durable when it returns."""
        record = await self._open(number)
        if not self._arbiter.reject(record.act.intent.id, self._clock()):
            raise NoProposal(f"the proposal {number} is no longer open")
        return await self._answered(record, "rejected", who, note, "action.reject")

    async def _open(self, number: int) -> ActionRecord:
        record = await self._core.read(lambda c: actions.one(c, number))
        if record is None or record.state != "proposed":
            raise NoProposal(f"there is no open proposal {number}")
        return record

    async def _answered(
        self, record: ActionRecord, state: ActionState, who: Requester, note: str, action: str
    ) -> ActionRecord:
        intent, work = record.act.intent, self.gather()

        def store(c: sqlite3.Connection) -> tuple[Sequence[tuple[int, Act]], ActionRecord | None]:
            actions.answer(c, intent.id, state, who.name, note[:500], self._clock())
            target = f"action:{intent.device}/{intent.point}"
            self._accounts.audit(
                c,
                who.name,
                who.source,
                action,
                target,
                "",
                f"{intent.cmd} {intent.value}",
                f"ok {note}".strip(),
            )
            return (self.keep(c, work) if work is not None else (), actions.one(c, record.id))

        try:
            orders, after = await self._core.run(store)
        except sqlite3.OperationalError:
            if work is not None:
                self.back(work)
            raise
        self._engine.hands.schedule()
        self.kept(orders)
        return after or record

    async def arm(self, rule: str, who: Requester, reason: str) -> Arming:
        """Asks for a rule of mode auto to act, or agrees; raises NotArmed."""
        after = await self._armoury.arm(rule, who, reason)
        self._arbiter.armed = self._armoury.armed
        return after

    async def disarm(self, rule: str, who: Requester, reason: str) -> Arming:
        """Takes a rule the right to act, and takes back what it did; raises NotArmed."""
        after = await self._armoury.disarm(rule, who, reason)
        self._arbiter.armed = self._armoury.armed
        if self._arbiter.armed is not None:
            self._arbiter.stand_down(rule, self._clock())
            self._engine.hands.schedule()
        return after

    # -- what can be seen

    async def newest(self, limit: int, before: int | None, *, waiting: bool) -> Sequence[ActionRecord]:
        """Decisions, newest first; with `waiting` only those that have not ended."""
        return await self._core.read(lambda c: actions.newest(c, limit, before, waiting=waiting))

    def levers(self) -> Sequence[Lever]:
        """The points that rules or leases hold now."""
        now = self._clock()
        return [
            lever
            for _, lever in sorted(self._arbiter.levers.items())
            if lever.top is not None or (lever.lease_until > now and not lever.shadow)
        ]

    def armings(self) -> Sequence[tuple[Arming, Millis]]:
        """How the rules of mode auto stand, and when each may be armed."""
        return [(one, self._armoury.ripe_at(rule)) for rule, one in self._armoury.stands.items()]

    @property
    def acts_at_once(self) -> bool:
        """Whether rules of mode auto need no arming."""
        return self._armoury.armed is None

    def facts(self) -> Mapping[str, bool]:
        """What the gateway's own rules look at."""
        failed = self._failed_at
        return {"action_failed": failed is not None and self._clock() - failed < FAILED_MS}

    # -- to the field

    async def recover(self) -> None:
        """At the start: what an earlier run decided and did not send is sent if it is young enough, what it
        may have sent is not repeated, and effects are watched again."""
        await self._armoury.begin()
        records = await self._core.read(lambda c: actions.newest(c, 10_000, waiting=True))
        for record in reversed(records):
            if record.state == "sending":
                await self._settle(
                    record.id, ("sending",), "unknown", "the gateway stopped while it was sent"
                )
            elif record.state in ("decided", "watching"):
                self._enqueue(_Job(record.id, record.act))

    def _enqueue(self, job: _Job) -> None:
        self._latest_job[_target(job.act)] = job.number
        self._jobs.put_nowait(job)

    async def run(self) -> None:
        """Carries decisions out, one after the other for each point, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                job = await self._jobs.get()
                group.create_task(self._carry_out(job), name=f"action {job.number}")

    async def _carry_out(self, job: _Job) -> None:
        lock = self._locks.setdefault(_target(job.act), asyncio.Lock())
        try:
            async with lock:
                since = await self._send(job)
            if since is not None:
                await self._watch(job, since)
        except sqlite3.OperationalError as error:  # the disk refuses: the next start finds it as it stands
            _LOG.error("action %d: %s", job.number, error)

    async def _send(self, job: _Job) -> Millis | None:
        """Sends one decision, once; since when its effect is to be watched, None for not at all."""
        record = await self._core.read(lambda c: actions.one(c, job.number))
        if record is None or record.state != "decided":
            return record.updated_at if record is not None and record.state == "watching" else None
        if self._latest_job[_target(job.act)] != job.number:
            await self._settle(job.number, ("decided",), "superseded", "a newer decision came")
            return None
        if self._clock() - job.act.at > LATE_MS:
            await self._settle(job.number, ("decided",), "expired", "decided too long ago; nothing was sent")
            return None
        since = self._clock()
        if not await self._settle(job.number, ("decided",), "sending", ""):
            return None
        try:
            outcome = await self._submit(job.number, job.act)
        except CommandRefused as refused:
            await self._fail(job, "refused", f"{refused.code}: {refused}")
            return None
        except OutcomeLost as error:
            await self._fail(job, "unknown", str(error))
            return None
        state = _END.get(outcome.state, "unknown")
        if outcome.state != "confirmed":
            await self._fail(job, state, outcome.detail, outcome.id)
            return None
        watched = self._verify(job.act) is not None
        state = "watching" if watched else "confirmed"
        await self._settle(job.number, ("sending",), state, "", outcome.id)
        return since if watched else None

    async def _submit(self, number: int, act: Act) -> CommandRecord:
        intent = act.intent
        why = f"{intent.rule} {intent.scope}: {intent.cmd}{' back' if act.restores else ''}"
        role = self._roles.get(intent.id, Role.OPERATOR)
        name = f"rule:{intent.rule}"
        who = Requester(name, role, name, intent.person or "gateway")
        while True:
            now = self._wall()
            command = Command(intent.device, intent.point, act.value, why, name, now, now + LATE_MS)
            try:
                return await self._dispatcher.submit(command, who)
            except CommandRefused as refused:  # nothing was sent, so it may be tried again
                newer = self._latest_job[_target(act)] != number
                if refused.code != "rate_limited" or newer or self._clock() - act.at > PATIENCE_MS:
                    raise
                await asyncio.sleep(AGAIN_S)

    async def _watch(self, job: _Job, since: Millis) -> None:
        """Waits for the effect of what a device took."""
        verify = self._verify(job.act)
        if verify is None:
            await self._settle(job.number, ("watching",), "confirmed", "")
            return
        target, value = _target(job.act), job.act.value
        missed = await seen(verify, target, value, since, self._site, self._newest, self._clock)
        if not missed:
            await self._settle(job.number, ("watching",), "effective", "")
        elif self._latest_job[_target(job.act)] == job.number:
            await self._fail(job, "without_effect", missed)

    def _verify(self, act: Act) -> Verify | None:
        """What shows the effect; nothing for what is taken back, or when the rule is gone."""
        action = self._actions.get((act.intent.rule, act.intent.number))
        return None if action is None or act.restores else action.verify

    async def _fail(self, job: _Job, state: ActionState, detail: str, command: int | None = None) -> None:
        """It came to nothing: people hear of it through the gateway's own rules."""
        intent = job.act.intent
        _LOG.warning("%s on %s: %s came to nothing: %s", intent.rule, intent.device, intent.cmd, detail)
        self._failed_at = self._clock()

        def store(c: sqlite3.Connection) -> None:
            actions.settle(c, job.number, ("sending", "watching"), state, self._clock(), detail, command)
            target = f"action:{intent.device}/{intent.point}"
            wish = f"{intent.cmd} {job.act.value}"
            self._accounts.audit(
                c,
                f"rule:{intent.rule}",
                "gateway",
                "action.fail",
                target,
                "",
                wish,
                f"{state} {detail}"[:500],
            )

        await self._core.run(store)

    async def _settle(
        self,
        number: int,
        before: Sequence[ActionState],
        state: ActionState,
        detail: str,
        command: int | None = None,
    ) -> bool:
        return await self._core.run(
            lambda c: actions.settle(c, number, before, state, self._clock(), detail, command)
        )


def _target(act: Act) -> Target:
    return Target(act.intent.device, act.intent.point)
