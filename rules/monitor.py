"""One rule on one scope at work: its tree, its alarm's state, and what becomes of lost data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from drivers.reading import Millis
from drivers.settings import millis
from rules import lifecycle
from rules.agenda import Agenda
from rules.alarm import AlarmState, Change, Condition, Transition
from rules.assessor import Assessor
from rules.cell import Cell
from rules.compiled import Tree, cells_of, delays_of, groups_of, judge_of
from rules.delay import Delay
from rules.group import Group
from rules.lifecycle import Cause, Timing
from rules.rulebook import Rule
from rules.silence import gap_ms
from rules.tree import ABSENCE
from rules.truth import Truth

_ON_LOSS: dict[str, Truth] = {"raise": True, "clear": False, "hold": None, "ignore": None}


class Announcing(Protocol):
    """Who decides which transitions a person hears of."""

    def judge(self, monitor: Monitor, transition: Transition) -> Transition:
        """The same transition, with what lies over the state and whether it is told."""
        ...


def timing_of(rule: Rule) -> Timing:
    """What of a rule drives the life of its alarms."""
    confirm = rule.confirm
    return Timing(
        for_ms=rule.for_ms,
        clear_for_ms=rule.clear_for_ms,
        latch=rule.latch,
        min_active_ms=millis(rule.min_active),
        confirm=1 if confirm is None else confirm.occurrences,
        confirm_ms=0 if confirm is None else millis(confirm.within),
        may_chatter=rule.alarm is not None and rule.priority > 1,
    )


class Monitor:
    """Steps one alarm through its life as the truth of its tree changes.

    While `doubtful` (a leaf was changed by retained data only, or stored data contradict a
    restored state) nothing but lost data moves the state: the next live reading of any
    of its points decides.
    """

    def __init__(
        self,
        rule: Rule,
        state: AlarmState,
        agenda: Agenda,
        woken: list[Monitor],
        announcer: Announcing,
    ) -> None:
        self.rule = rule
        self.state = state
        self.parents: list[Monitor] = []
        self.children: list[Monitor] = []
        self.armed = True
        self.doubtful = False
        self.woken = False
        self.truth: Truth = None
        self.cells: tuple[Cell, ...] = ()
        self._timing = timing_of(rule)
        self._announcer = announcer
        self._delays: tuple[Delay, ...] = ()
        self._groups: tuple[Group, ...] = ()
        self._hush: Callable[[], Truth] | None = None
        self._locks: tuple[tuple[str, Callable[[], Truth]], ...] = ()
        self._lock_delays: tuple[Delay, ...] = ()
        self._extend = 0 if rule.suppress_when is None else millis(rule.suppress_when.extend)
        self._agenda = agenda
        self._woken = woken
        self._clock: Millis = 0
        self._frozen_since: Millis | None = None
        self._gap: Millis = 0
        self._judge: Callable[[], Truth] = lambda: None
        self.assessor: Assessor | None = None
        self.devices: frozenset[str] = frozenset()
        """Whose points it watches."""

    def plant(self, tree: Tree, hush: Tree | None = None) -> None:
        """Gives it its compiled condition and what suppresses it; called once, before any reading."""
        self.tree = tree
        self.cells = cells_of(tree)
        self._delays = delays_of(tree)
        self._groups = groups_of(tree)
        self._judge = judge_of(tree)
        self._hush = None if hush is None else judge_of(hush)
        self._gap = gap_ms(max(track.every_ms for cell in self.cells for track in cell.tracks))

    def guard(self, locks: Mapping[str, Tree]) -> None:
        """Gives it the compiled interlocks of its actions."""
        self._locks = tuple((name, judge_of(tree)) for name, tree in locks.items())
        self._lock_delays = tuple(delay for tree in locks.values() for delay in delays_of(tree))

    def restore(self) -> None:
        """After the state was loaded: leaves take the side of their hysteresis that the state
        tells, and the state waits for a live reading."""
        self._frozen_since = self.state.since
        self.seed()
        for delay, since in zip(self._delays, self.state.timers, strict=False):
            delay.resume(since)
        self._schedule()

    def seed(self) -> None:
        """Sets the hysteresis of all leaves as if the tree had the truth that the state implies."""
        held = self.state.condition in (Condition.PENDING, Condition.ACTIVE)
        for cell in self.cells:
            cell.held = held
        for group in self._groups:
            group.held = held

    # -- called by leaves

    def wake(self) -> None:
        """A leaf's truth changed."""
        if not self.woken:
            self.woken = True
            self._woken.append(self)

    def doubt(self) -> None:
        """Something moved that is no edge: look again at the next live reading, whatever it says."""
        self.doubtful = True
        for cell in self.cells:
            cell.dirty = True

    # -- called by the engine

    def settle(self, at: Millis, *, live: bool) -> Sequence[Transition]:
        """Takes the tree's present truth into the state. `live` is false when time alone woke it."""
        self.woken = False
        at = self._advance(at)
        done: list[Transition] = []
        self._note(done, at)
        truth = self._judge()
        self._forget(done, at)
        if live:
            self.doubtful = False
        if self.armed and not (self.doubtful and truth is not None):
            self._step(done, truth, at)
        return self._end(done)

    def arm(self, armed: bool, at: Millis) -> Sequence[Transition]:
        """Its active time begins or ends."""
        if armed == self.armed:
            return ()
        self.armed = armed
        if armed:
            return self.settle(at, live=False)
        self.truth = None
        self._frozen_since = None
        return self.commit(lifecycle.disarm(self.state, self._advance(at)))

    def fire(self, due: Millis) -> None:
        """A timer of the state has come, unless the state changed meanwhile."""
        if due in (self.due, self.state.hushed_until):
            self.wake()

    def reconcile(self, at: Millis) -> None:
        """After history was replayed: where it agrees with the restored state and is fresh, the
        state goes on as if never interrupted; else the next live reading decides."""
        self.woken = False
        tracks = [track for cell in self.cells for track in cell.tracks]
        newest = max((max(track.at or 0, track.heard_at) for track in tracks), default=0)
        expected = self.state.condition in (Condition.PENDING, Condition.ACTIVE)
        self._update(at)
        truth = self._judge()
        if truth is not expected:
            self.seed()
            for cell in self.cells:
                cell.truth = cell.judge(at)
            self._update(at)
            truth = self._judge()
        self.doubtful = False
        self._frozen_since = max(newest, self.state.since)
        if truth is expected and at - newest <= self._gap:
            self._frozen_since = None
            self.truth = truth
        elif truth is not None:
            self.doubt()
        for cell in self.cells:
            if cell.truth is not None:
                cell.held = cell.truth

    def acknowledge(self, user: str, note: str, at: Millis) -> Sequence[Transition]:
        """A person has seen it."""
        return self.commit(lifecycle.acknowledge(self.state, user, note, at))

    def reset(self, user: str, note: str, at: Millis) -> Sequence[Transition]:
        """A person lets the latch go."""
        return self.commit(lifecycle.reset(self.state, user, note, at))

    def shift(self, step: Millis) -> None:
        """Moves the running timers, after the clock was stepped."""
        self._clock += step
        if self.state.condition in (Condition.PENDING, Condition.CLEARING):
            self.state = replace(self.state, since=self.state.since + step)
        if self._frozen_since is not None:
            self._frozen_since += step
        for delay in self._delays:
            delay.shift(step)
        state = self.state
        self.state = replace(
            state,
            timers=tuple(None if since is None else since + step for since in state.timers),
            held_until=None if state.held_until is None else state.held_until + step,
            found_at=None if state.found_at is None else state.found_at + step,
            hushed_until=None if state.hushed_until is None else state.hushed_until + step,
        )

    @property
    def due(self) -> Millis | None:
        """When its state changes by itself if the truth stays."""
        return lifecycle.due(self.state, self._timing)

    @property
    def patience(self) -> Millis:
        """How long what turns its truth must last to change its state."""
        return self._timing.clear_for_ms if self.state.is_raised else self._timing.for_ms

    # -- inside

    def _forget(self, done: list[Transition], at: Millis) -> None:
        """An alarm that came back and was never acknowledged lets go after its time."""
        due = self.due
        if self.state.condition is Condition.NORMAL and due is not None and due <= at:
            self._apply(done, lifecycle.elapse(self.state, self._timing, Cause()))

    def _update(self, at: Millis) -> None:
        for delay in self._delays:
            delay.update(at)

    def _note(self, done: list[Transition], at: Millis) -> None:
        """Inner timers and what suppresses it, as of now; what changed is for the record."""
        state = self.state
        if self._delays:
            self._update(at)
            state = replace(state, timers=tuple(delay.since for delay in self._delays))
        if self._hush is not None:
            state = self._hushed(state, self._hush(), at)
        if self._locks:
            for delay in self._lock_delays:
                delay.update(at)
            if state.is_raised:
                state = replace(state, interlocks=self._locked())
        if state != self.state:
            self._apply(done, [Transition(Change.NOTED, state, at)])

    def _hushed(self, state: AlarmState, truth: Truth, at: Millis) -> AlarmState:
        if truth is True:
            return replace(state, hushed=True, hushed_until=None)
        until = state.hushed_until
        if truth is False and state.hushed and until is None:
            until = at + self._extend
        if until is not None and until <= at:
            return replace(state, hushed=False, hushed_until=None)
        return replace(state, hushed_until=until)

    def _step(self, done: list[Transition], truth: Truth, at: Millis) -> None:
        lost = truth is None and any(cell.lost for cell in self.cells)
        if lost:
            truth = _ON_LOSS[self.rule.nodata.then]
            self._apply(done, lifecycle.mark(self.state, stale=self.rule.nodata.then != "ignore", at=at))
        elif truth is not None:
            self._apply(done, lifecycle.mark(self.state, stale=False, at=at))
        self.truth = truth
        if truth is None:
            self._freeze(done, at, lost)
            return
        self._thaw(done, truth, at)
        if truth and self.state.hushed and not self.state.is_raised:
            if self.state.condition is Condition.PENDING:
                self._apply(done, [lifecycle.drop(self.state, at)])
            return
        if truth:
            self._apply(done, lifecycle.becomes_true(self.state, at, self._timing, self._cause(at)))
        else:
            self._apply(done, lifecycle.becomes_false(self.state, at, self._timing))
        self._elapse(done, truth, at)

    def _freeze(self, done: list[Transition], at: Millis, lost: bool) -> None:
        """Unknown: a pending alarm is given up when data are lost; all else waits as it is."""
        if lost and self.state.condition is Condition.PENDING:
            self._apply(done, [lifecycle.drop(self.state, at)])
        if lost:
            self._frozen_since = -self._gap - 1  # however short it seems: timers restart
        elif self._frozen_since is None:
            self._frozen_since = at

    def _thaw(self, done: list[Transition], truth: bool, at: Millis) -> None:
        """Known again: a running timer goes on if the gap was small, else it restarts."""
        since, self._frozen_since = self._frozen_since, None
        if since is None or at - since <= self._gap:
            return
        runs = Condition.PENDING if truth else Condition.CLEARING
        if self.state.condition is runs:
            self._apply(done, [lifecycle.restart(self.state, at)])

    def _elapse(self, done: list[Transition], truth: Truth, at: Millis) -> None:
        due = self.due
        if due is None or due > at:
            return
        condition = self.state.condition
        if condition is not Condition.NORMAL and truth is (condition is Condition.PENDING):
            self._apply(done, lifecycle.elapse(self.state, self._timing, self._cause(at)))

    def _apply(self, done: list[Transition], transitions: Sequence[Transition]) -> None:
        for transition in transitions:
            judged = self._announcer.judge(self, self._with_locks(transition))
            if self.assessor is not None:
                judged = self.assessor.follow(self.state, judged)
            self.state = judged.state
            done.append(judged)

    def _with_locks(self, transition: Transition) -> Transition:
        """A raise says which interlocks held at that instant."""
        if not self._locks or transition.change is not Change.RAISED:
            return transition
        return replace(transition, state=replace(transition.state, interlocks=self._locked()))

    def _locked(self) -> tuple[str, ...]:
        """The interlocks that hold; one that cannot be told does."""
        return tuple(name for name, judge in self._locks if judge() is not False)

    def commit(self, transitions: Sequence[Transition]) -> Sequence[Transition]:
        """Takes transitions of its own state as they are; gives them as they are told."""
        done: list[Transition] = []
        self._apply(done, transitions)
        return self._end(done)

    def lay_over(self, transition: Transition) -> Transition:
        """Takes a transition that only concerns what lies over the state, and is judged already."""
        self.state = transition.state
        return transition

    def _end(self, done: list[Transition]) -> Sequence[Transition]:
        if done:
            self._schedule()
        return done

    def _schedule(self) -> None:
        for due in (self.due, self.state.hushed_until):
            if due is not None:
                self._agenda.add(due, self)

    def _advance(self, at: Millis) -> Millis:
        """Event time never runs back for one alarm, whatever order its points report in."""
        self._clock = max(self._clock, at)
        return self._clock

    def _cause(self, at: Millis) -> Cause:
        """The first leaf that is true, or lost: what a person should look at."""
        ranked = sorted(self.cells, key=lambda cell: (cell.truth is not True, not cell.lost))
        cell = ranked[0]
        track = cell.tracks[0]
        said = cell.description
        for each in cell.tracks:
            each.catch_up(at)
        value = None if cell.lost else cell.value(at)
        if cell.lost or said.agg == "absent":
            message = f"{said.role}: no data"
        elif said.agg in ABSENCE:
            message = f"{said.role}: unchanged"
        else:
            name = said.role if said.agg == "last" else f"{said.agg}({said.role})"
            shown = round(value, 3) if isinstance(value, float) else value
            limit = cell.compared(at)[0]
            limit = round(limit, 3) if isinstance(limit, float) else limit
            message = f"{name} = {shown} {said.unit} ({said.op} {limit})"
        return Cause(track.device, track.point, value, said.unit, message)
