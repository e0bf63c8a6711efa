"""One rule on one scope at work: its tree, its alarm's state, and what becomes of lost data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from drivers.reading import Millis
from rules import lifecycle
from rules.agenda import Agenda
from rules.alarm import AlarmState, Condition, Transition
from rules.cell import Cell
from rules.lifecycle import Cause, Timing
from rules.network import Tree, cells_of, gap_ms, judge_of
from rules.rulebook import Rule
from rules.tree import ABSENCE
from rules.truth import Truth

_ON_LOSS: dict[str, Truth] = {"raise": True, "clear": False, "hold": None, "ignore": None}


class Monitor:
    """Steps one alarm through its life as the truth of its tree changes.

    While `doubtful` (a leaf was changed by retained data only, or stored data contradict a
    restored state) nothing but lost data moves the state: the next live reading of any
    of its points decides.
    """

    def __init__(self, rule: Rule, state: AlarmState, agenda: Agenda, woken: list[Monitor]) -> None:
        self.rule = rule
        self.state = state
        self.armed = True
        self.doubtful = False
        self.woken = False
        self.truth: Truth = None
        self.cells: tuple[Cell, ...] = ()
        self._timing = Timing(rule.for_ms, rule.clear_for_ms, rule.latch)
        self._agenda = agenda
        self._woken = woken
        self._clock: Millis = 0
        self._frozen_since: Millis | None = None
        self._gap: Millis = 0
        self._judge: Callable[[], Truth] = lambda: None

    def plant(self, tree: Tree) -> None:
        """Gives it its compiled tree; called once, before any reading."""
        self.tree = tree
        self.cells = cells_of(tree)
        self._judge = judge_of(tree)
        self._gap = gap_ms(max(track.every_ms for cell in self.cells for track in cell.tracks))

    def restore(self) -> None:
        """After the state was loaded: leaves take the side of their hysteresis that the state
        tells, and the state waits for a live reading."""
        self._frozen_since = self.state.since
        self.seed()
        self._schedule()

    def seed(self) -> None:
        """Sets the hysteresis of all leaves as if the tree had the truth that the state implies."""
        held = self.state.condition in (Condition.PENDING, Condition.ACTIVE)
        for cell in self.cells:
            cell.held = held

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
        truth = self._judge()
        done = self._forget(at)
        if live:
            self.doubtful = False
        elif self.doubtful and truth is not None:
            return done
        return [*done, *self._step(truth, at)] if self.armed else done

    def arm(self, armed: bool, at: Millis) -> Sequence[Transition]:
        """Its active time begins or ends."""
        if armed == self.armed:
            return ()
        self.armed = armed
        if armed:
            return self.settle(at, live=False)
        self.truth = None
        self._frozen_since = None
        return self._commit(lifecycle.disarm(self.state, self._advance(at)))

    def fire(self, due: Millis) -> None:
        """A timer of the state has come, unless the state changed meanwhile."""
        if self.due == due:
            self.wake()

    def reconcile(self, at: Millis) -> None:
        """After history was replayed: where it agrees with the restored state and is fresh, the
        state goes on as if never interrupted; else the next live reading decides."""
        self.woken = False
        newest = max((track.at or 0 for cell in self.cells for track in cell.tracks), default=0)
        expected = self.state.condition in (Condition.PENDING, Condition.ACTIVE)
        truth = self._judge()
        if truth is not expected:
            self.seed()
            for cell in self.cells:
                cell.truth = cell.judge(at)
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
        return self._commit(lifecycle.acknowledge(self.state, user, note, at))

    def reset(self, user: str, note: str, at: Millis) -> Sequence[Transition]:
        """A person lets the latch go."""
        return self._commit(lifecycle.reset(self.state, user, note, at))

    def shift(self, step: Millis) -> None:
        """Moves the running timers, after the clock was stepped."""
        self._clock += step
        if self.state.condition in (Condition.PENDING, Condition.CLEARING):
            self.state = replace(self.state, since=self.state.since + step)
        if self._frozen_since is not None:
            self._frozen_since += step

    @property
    def due(self) -> Millis | None:
        """When its state changes by itself if the truth stays."""
        return lifecycle.due(self.state, self._timing)

    # -- inside

    def _forget(self, at: Millis) -> Sequence[Transition]:
        """An alarm that came back and was never acknowledged lets go after its time."""
        due = self.due
        if self.state.condition is not Condition.NORMAL or due is None or due > at:
            return ()
        return self._commit(lifecycle.elapse(self.state, self._timing, Cause()))

    def _step(self, truth: Truth, at: Millis) -> Sequence[Transition]:
        at = self._advance(at)
        lost = truth is None and any(cell.lost for cell in self.cells)
        done: list[Transition] = []
        if lost:
            truth = _ON_LOSS[self.rule.nodata.then]
            self._apply(done, lifecycle.mark(self.state, stale=self.rule.nodata.then != "ignore", at=at))
        elif truth is not None:
            self._apply(done, lifecycle.mark(self.state, stale=False, at=at))
        self.truth = truth
        if truth is None:
            self._freeze(done, at, lost)
            return self._commit(done)
        self._thaw(done, truth, at)
        if truth:
            self._apply(done, lifecycle.becomes_true(self.state, at, self._timing, self._cause(at)))
        else:
            self._apply(done, lifecycle.becomes_false(self.state, at, self._timing))
        self._elapse(done, truth, at)
        return self._commit(done)

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

    def _apply(self, done: list[Transition], transitions: list[Transition]) -> None:
        for transition in transitions:
            self.state = transition.state
            done.append(transition)

    def _commit(self, transitions: list[Transition]) -> Sequence[Transition]:
        for transition in transitions:
            self.state = transition.state
        if transitions:
            self._schedule()
        return transitions

    def _schedule(self) -> None:
        due = self.due
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
        value = None if cell.lost else cell.value(at)
        if cell.lost or said.agg == "absent":
            message = f"{said.role}: no data"
        elif said.agg in ABSENCE:
            message = f"{said.role}: unchanged"
        else:
            name = said.role if said.agg == "last" else f"{said.agg}({said.role})"
            shown = round(value, 3) if isinstance(value, float) else value
            message = f"{name} = {shown} {said.unit} ({said.op} {said.val})"
        return Cause(track.device, track.point, value, said.unit, message)
