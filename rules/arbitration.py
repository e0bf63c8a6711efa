"""The arbiter: alarms in, decisions about points out.

Pure and deterministic: it is told transitions in the order they happen, and time by `tick`;
`next_due` says when that is needed. Each action of an occurrence is taken up at most once.
`plans` and `levers` are all it remembers; `changed` names those that are to be stored.

    raised -> waits for its time -> blocked by an interlock, or
              advise: said    confirm: proposed -> a person's yes    auto: stands in its lever
    ends   -> by `undo` and `restore`, one after the other
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from drivers.reading import Millis, Value
from drivers.settings import millis
from rules.action import OVERRIDE, After
from rules.alarm import AlarmState, Change, Transition
from rules.intent import Act, ActKind, Intent, Lever
from rules.levers import Levers, Present
from rules.plan import Equipment, Equipments, Equipped, Plan, Proposal, Target
from rules.verbs import value_of

OVERRIDE_MS: Millis = 3_600_000
"""A person's command holds its point so long against rules, where nothing else is set."""
PROPOSAL_MS: Millis = 900_000
"""A proposal waits so long for a person."""
LATE_MS: Millis = 120_000
"""An alarm about what was longer ago than this moves nothing."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What an earlier life left, and how the arbiter is set. `armed` names the rules whose mode auto
    acts; None for all."""

    plans: Sequence[Plan] = ()
    levers: Sequence[Lever] = ()
    armed: Collection[str] | None = None
    override_ms: Millis = OVERRIDE_MS
    proposal_ms: Millis = PROPOSAL_MS


class Arbiter:
    """All levers and plans of a site."""

    def __init__(
        self,
        equipment: Equipments,
        zone: ZoneInfo,
        present: Present,
        start: Standing | None = None,
    ) -> None:
        start = start or Standing()
        self._equipment = equipment
        self._override_ms = start.override_ms
        self._proposal_ms = start.proposal_ms
        self._now: Millis = 0
        self._out: list[Act] = []
        self._touched: set[str] = set()
        self.changed: set[str] = set()
        """Occurrences of plans and keys of levers that changed since somebody cleared this."""
        self._points: frozenset[Target] = frozenset()
        self.armed = start.armed
        self.plans: dict[str, Plan] = {plan.occurrence: plan for plan in start.plans}
        self._levers = Levers(start.levers, present, zone, self.changed, self._touched)
        self.changed.clear()

    @property
    def levers(self) -> Mapping[str, Lever]:
        """All points that anything was wanted of, by `levers.lever_key`."""
        return self._levers.by_key

    def standing(self, occurrence: str) -> list[tuple[Lever, Intent]]:
        """What an occurrence wants now, by point."""
        return self._levers.standing(occurrence)

    # -- what comes in

    def begin(self, at: Millis, states: Iterable[AlarmState]) -> None:
        """Goes on where an earlier life ended: what it planned for alarms that are gone is taken back."""
        self._points = frozenset(
            target for each in self._equipment.values() for one in each.actions for target in one.targets
        )
        raised = {state.occurrence: state for state in states if state.is_raised or state.latched}
        for plan in list(self.plans.values()):
            state = raised.get(plan.occurrence)
            if state is None:
                self._end(plan, at, reset=True)
            elif not state.is_raised and not plan.ended:
                self._end(plan, at, reset=False)
        self._run(at)

    def take(self, transition: Transition, *, late: bool = False) -> bool:
        """One transition of an alarm, as it happens; `late` when what caused it was measured long ago.
        Whether it matters to any action."""
        state, change = transition.state, transition.change
        plan = self.plans.get(state.occurrence)
        equipment = self._equipment.get((state.rule, state.scope))
        if plan is None and (equipment is None or change is not Change.RAISED):
            return False
        late = late or transition.at < self._now - LATE_MS
        self.tick(transition.at)
        if change is Change.RAISED and plan is None and equipment is not None:
            if not state.aside and not late:
                self._begin(state, equipment, max(self._now, transition.at))
        elif (plan := self.plans.get(state.occurrence)) is not None:
            self._follow(plan, transition)
        self._run(transition.at)
        return True

    def tick(self, at: Millis) -> None:
        """Lets time pass: everything due until then, each at its own time."""
        while (due := self.next_due()) is not None and due <= at:
            self._run(due)

    def next_due(self) -> Millis | None:
        """When `tick` must be called if nothing else happens."""
        times = [due for plan in self.plans.values() if (due := plan.due()) is not None]
        times += [due for lever in self.levers.values() if (due := lever.due(self._now)) is not None]
        return min(times, default=None)

    def manual(self, device: str, point: str, value: Value, who: str, at: Millis) -> bool:
        """A person told a point something: rules leave it alone for a while. Whether any rule cares."""
        if Target(device, point) not in self._points:
            return False
        self.tick(at)
        until = max(self._now, at) + self._override_ms
        self._levers.take_over(device, point, value, who, at, until)
        return True

    def confirm(self, intent: str, who: str, at: Millis) -> bool:
        """A person lets a proposal out; False when there is none."""
        self.tick(at)
        found = self._proposal(intent)
        if found is None:
            return False
        plan, proposal = found
        self._drop(plan, proposal)
        wish = self._dated(replace(proposal.intent, person=who), max(self._now, at))
        lever = self._levers.at(wish.device, wish.point, shadow=False)
        # This person's word is the newest.
        self._levers.place(replace(lever, lease_until=0, lease_by=""), wish, self._now)
        self._run(at)
        return True

    def reject(self, intent: str, at: Millis) -> bool:
        """A person says no to a proposal; False when there is none."""
        self.tick(at)
        found = self._proposal(intent)
        if found is not None:
            self._drop(*found)
            self._run(at)
        return found is not None

    def stand_down(self, rule: str, at: Millis) -> None:
        """A rule was disarmed: what it wants of points ends, as if its alarms were over."""
        self.tick(at)
        for lever in [lever for lever in self.levers.values() if not lever.shadow]:
            for intent in lever.standing:
                if intent.rule == rule and not intent.person:
                    self._withdraw(intent, shadow=False, at=at, why="disarmed")
        self._run(at)

    def shift(self, step: Millis) -> None:
        """Moves everything remembered, after the clock was stepped."""
        self._now += step
        for plan in list(self.plans.values()):
            self._note(
                replace(
                    plan,
                    waiting=tuple((number, when + step) for number, when in plan.waiting),
                    proposals=tuple(replace(one, expires_at=one.expires_at + step) for one in plan.proposals),
                    leaving=tuple((when + step, one) for when, one in plan.leaving),
                )
            )
        self._levers.shift(step)

    # -- what comes out

    def drain(self) -> list[Act]:
        """The decisions since the last call, in order."""
        out = self._out[:]
        self._out.clear()
        return out

    # -- plans

    def _begin(self, state: AlarmState, equipment: Equipment, at: Millis) -> None:
        self._note(
            Plan(
                state.rule,
                state.scope,
                state.occurrence,
                equipment.meaning,
                equipment.stagger_ms,
                equipment.reverse,
                state.interlocks,
                tuple((one.placed.number, at + one.placed.offset_ms) for one in equipment.actions),
            )
        )

    def _follow(self, plan: Plan, transition: Transition) -> None:
        at, state = max(self._now, transition.at), transition.state
        match transition.change:
            case Change.CLEARED:
                self._end(plan, at, reset=not state.latched)
            case Change.CLOSED | Change.RESET:
                self._end(plan, at, reset=True)
            case _ if state.interlocks != plan.locks and not plan.ended:
                self._lock(plan, state.interlocks, at)

    def _lock(self, plan: Plan, locks: tuple[str, ...], at: Millis) -> None:
        """Other interlocks hold now: what they forbid ends, what they forbade may come."""
        self._note(replace(plan, locks=locks, blocked=()))
        for lever, intent in self.standing(plan.occurrence):
            held = [name for name in intent.unless if name in locks]
            if held:
                self._withdraw(intent, shadow=lever.shadow, at=at, why=f"interlock: {', '.join(held)}")

    def _end(self, plan: Plan, at: Millis, *, reset: bool) -> None:
        """The alarm is over: what waits is dropped, what stands is taken back as its undo says."""
        for one in plan.proposals:
            self._say(ActKind.EXPIRED, at, one.intent, "the alarm is over")
        gone = {intent for _, intent in plan.leaving}
        going: list[Intent] = []
        for lever, intent in self.standing(plan.occurrence):
            if intent.id in gone or intent.undo == "after" or (intent.undo == "on_reset" and not reset):
                continue
            if intent.undo == "never":
                self._levers.withdraw(lever, intent, restore=False)
            else:
                going.append(intent)
        turns = sorted({one.number for one in going if one.staged}, reverse=plan.reverse)
        later = [
            (at + turns.index(one.number) * plan.stagger_ms if one.staged else at, one.id) for one in going
        ]
        leaving = tuple(sorted({*plan.leaving, *later}))
        self._note(replace(plan, waiting=(), blocked=(), proposals=(), leaving=leaving, ended=True))

    # -- time

    def _run(self, at: Millis) -> None:
        """Everything due, in the order of occurrences and points; then each point is settled."""
        at = self._now = max(self._now, at)
        touched = {name for name in self._touched if name in self.plans}
        due = sorted(touched | {name for name, plan in self.plans.items() if _is_due(plan.due(), at)})
        for occurrence in due:
            self._advance(self.plans[occurrence], at)
        stirred = {key for key in self._touched if key in self.levers}
        stirred |= {key for key, lever in self.levers.items() if _is_due(lever.due(at - 1), at)}
        for key in sorted(stirred):
            self._out.extend(self._levers.settle(self.levers[key], at))
        for occurrence in sorted(touched | set(due) | {name for name in self._touched if name in self.plans}):
            if self.plans[occurrence].empty and not self._levers.holds(occurrence):
                del self.plans[occurrence]
                self.changed.add(occurrence)
        self._touched.clear()

    def _advance(self, plan: Plan, at: Millis) -> None:
        for number, when in plan.waiting:
            if when <= at and number not in plan.blocked:
                plan = self._attempt(plan, number, at)
        for when, name in plan.leaving:
            if when <= at:
                for lever, intent in self.standing(plan.occurrence):
                    if intent.id == name:
                        self._levers.withdraw(lever, intent, restore=True)
        over = [one for one in plan.proposals if one.expires_at <= at]
        for one in over:
            self._say(ActKind.EXPIRED, at, one.intent, "nobody confirmed it")
        self._note(
            replace(
                plan,
                leaving=tuple(one for one in plan.leaving if one[0] > at),
                proposals=tuple(one for one in plan.proposals if one not in over),
            )
        )

    def _attempt(self, plan: Plan, number: int, at: Millis) -> Plan:
        """Takes up one action whose time has come, unless an interlock holds."""
        equipment = self._equipment.get((plan.rule, plan.scope))
        done = replace(plan, waiting=tuple(one for one in plan.waiting if one[0] != number))
        if equipment is None or equipment.meaning != plan.meaning:
            return done  # the rule was edited meanwhile: what it says now is for the next alarm
        one = next(e for e in equipment.actions if e.placed.number == number)
        held = [name for name in one.placed.action.unless if name in plan.locks]
        held += one.barred
        intents = [intent for target in one.targets if (intent := self._intent(plan, one, target, at))]
        if held:
            for intent in intents:
                self._say(ActKind.BLOCKED, at, intent, f"interlock: {', '.join(held)}")
            return replace(plan, blocked=(*plan.blocked, number))
        for intent in intents:
            proposal = self._take_up(intent, one, at)
            if proposal is not None:
                done = replace(done, proposals=(*done.proposals, proposal))
        return done

    def _take_up(self, intent: Intent, one: Equipped, at: Millis) -> Proposal | None:
        """One action on one point: said, proposed, or placed."""
        mode = one.placed.action.mode
        shadow = mode == "auto" and self.armed is not None and intent.rule not in self.armed
        lever = self._levers.at(intent.device, intent.point, shadow=shadow)
        if mode == "advise":
            self._say(ActKind.ADVISED, at, intent)
        elif OVERRIDE in intent.unless and lever.lease_until > at:
            self._say(ActKind.BLOCKED, at, intent, f"{OVERRIDE}: {lever.lease_by}")
        elif mode == "confirm":
            expires_at = at + self._proposal_ms
            self._out.append(Act(ActKind.PROPOSED, at, intent, intent.value, expires_at=expires_at))
            return Proposal(intent, expires_at)
        else:
            self._levers.place(lever, intent, self._now)
        return None

    def _intent(self, plan: Plan, one: Equipped, target: Target, at: Millis) -> Intent | None:
        """What an action wants of one point; None, and said so, where that cannot be told."""
        action = one.placed.action
        lever = self._levers.at(target.device, target.point, shadow=False)
        found = lever.found if lever.standing else None
        base = self._levers.holding(lever, self._now) if found is None else found
        value = value_of(one.verb, action.args, base)
        undo = "after" if isinstance(action.undo, After) else action.undo
        number = one.placed.number
        intent = Intent(
            id=f"{plan.occurrence}/{number}/{target.device}.{target.point}",
            rule=plan.rule, scope=plan.scope, occurrence=plan.occurrence, number=number, cmd=action.cmd,
            device=target.device, point=target.point, value=False if value is None else value,
            prio=action.prio, since=at, until=action.lasts_ms, undo=undo,
            min_on_ms=millis(action.min_on) if action.min_on else 0,
            min_off_ms=millis(action.min_off) if action.min_off else 0,
            max_per_day=action.max_per_day, unless=action.unless, staged=one.placed.staged,
        )  # fmt: skip
        if value is None:
            self._say(ActKind.REFUSED, at, intent, "the present value is not known")
            return None
        return intent if action.mode == "confirm" else self._dated(intent, at)

    @staticmethod
    def _dated(intent: Intent, at: Millis) -> Intent:
        """From when it stands, and until when; `until` holds how long it lasts before."""
        return replace(intent, since=at, until=None if intent.until is None else at + intent.until)

    def _proposal(self, intent: str) -> tuple[Plan, Proposal] | None:
        for plan in self.plans.values():
            for proposal in plan.proposals:
                if proposal.intent.id == intent:
                    return plan, proposal
        return None

    def _drop(self, plan: Plan, proposal: Proposal) -> None:
        self._note(replace(plan, proposals=tuple(one for one in plan.proposals if one is not proposal)))

    def _withdraw(self, intent: Intent, *, shadow: bool, at: Millis, why: str) -> None:
        lever = self._levers.at(intent.device, intent.point, shadow=shadow)
        self._say(ActKind.WITHDRAWN, at, intent, why)
        self._levers.withdraw(lever, intent, restore=intent.undo != "never")

    def _note(self, plan: Plan) -> None:
        if self.plans.get(plan.occurrence) != plan:
            self.plans[plan.occurrence] = plan
            self.changed.add(plan.occurrence)
            self._touched.add(plan.occurrence)

    def _say(self, kind: ActKind, at: Millis, intent: Intent, detail: str = "") -> None:
        self._out.append(Act(kind, at, intent, intent.value, detail=detail))


def _is_due(due: Millis | None, at: Millis) -> bool:
    return due is not None and due <= at
