"""Who hears of what: suppression by a parent, holding off, shelves, floods, alarming again.

An alarm's own life (`lifecycle`) goes on below all of this: what lies over it hides its
creation from people, never its monitoring and never the end of what they were told of.
Everything is kept in the alarm states, so that a restart changes nothing.

    raised -> priority 1 ------------------------------------------> told
           -> shelved, out of service -----------------------------> quiet until it is taken back
           -> has a parent: active -> suppressed; else held 20 s --> suppressed or told
           -> more than 10 in 10 min and priority 3 or 4 ----------> told in a digest
           -> told
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from drivers.reading import Millis
from drivers.settings import millis
from rules import lifecycle
from rules.agenda import Agenda
from rules.alarm import AlarmState, Change, Condition, Transition
from rules.lifecycle import base36
from rules.monitor import Monitor
from rules.site import SiteInfo

HOLD_OFF_MS = 20_000
"""An alarm with a parent waits so long for the parent's diagnosis."""
FLOOD_ALARMS = 10
FLOOD_MS = 600_000
"""More alarms than this in so long are a flood (EEMUA 191, ISA-18.2)."""
DIGEST_FROM = 3
"""From this priority on alarms of a flood are told in digests; more urgent ones always alone."""
DIGEST_MS = 60_000
"""A digest gathers so long before it is told."""

Key = tuple[str, str]


class Announcer:
    """Judges each transition as it happens. What follows for other alarms stands in `out`
    once `follow` was called."""

    def __init__(self, agenda: Agenda, site: SiteInfo) -> None:
        self._agenda = agenda
        self._site = site
        self._monitors: dict[Key, Monitor] = {}
        self._recent: dict[Key, Millis] = {}
        self._digests: dict[str, list[Monitor]] = {}
        self._after: list[tuple[Monitor, Millis]] = []
        self._back: list[tuple[Monitor, Millis]] = []
        self.out: list[Transition] = []

    def begin(self, monitors: Iterable[Monitor], at: Millis) -> None:
        """Ties parents and children, and goes on where an earlier life ended."""
        self._monitors = {(m.state.rule, m.state.scope): m for m in monitors}
        _tie(self._monitors.values(), self._site)
        told = [(m.state.announced_at, key) for key, m in self._monitors.items() if m.state.announced_at]
        self._recent = {key: when for when, key in sorted(told) if when is not None}
        for monitor in self._monitors.values():
            state = monitor.state
            if state.digest and not state.told:
                self._join(state.digest, monitor, state.held_until)
            elif state.suppressed_by and _parent(monitor) is None:
                self._after.append((monitor, at))
            self._remind(monitor)

    # -- each transition

    def judge(self, monitor: Monitor, transition: Transition) -> Transition:
        """The transition as it is told, and its state with what lies over it."""
        state, at = transition.state, transition.at
        if state.silent:
            return replace(transition, state=replace(state, acked=True), notify=False)
        match transition.change:
            case Change.RAISED:
                if monitor.children:
                    self._after.append((monitor, at))
                return self._raised(monitor, transition)
            case Change.CLEARED | Change.CLOSED | Change.DROPPED:
                if monitor.children:
                    self._after.append((monitor, at))
                if transition.notify and state.digest and self._runs_on(monitor, state.digest):
                    return replace(transition, notify=False)
            case Change.ACKED:
                if monitor.rule.realarm is not None:
                    self._agenda.add(at + millis(monitor.rule.realarm), _Reminder(self, monitor))
            case Change.SHELVED if state.shelved_until is not None:
                self._agenda.add(state.shelved_until, _Reminder(self, monitor))
            case Change.OUT_OF_SERVICE if state.oos_until is not None:
                self._agenda.add(state.oos_until, _Reminder(self, monitor))
            case Change.UNSHELVED | Change.IN_SERVICE:
                self._back.append((monitor, at))
        return transition

    def _raised(self, monitor: Monitor, raised: Transition) -> Transition:
        state, at = raised.state, raised.at
        if state.oos_until is not None:
            return replace(raised, notify=False)
        if state.priority > 1:
            if state.shelved_until is not None:
                return replace(raised, notify=False)
            parent = _parent(monitor)
            if parent is not None:
                return replace(raised, state=_hidden(state, parent), notify=False)
            if monitor.parents:
                held = replace(state, held_until=at + HOLD_OFF_MS)
                self._agenda.add(at + HOLD_OFF_MS, _Reminder(self, monitor))
                return replace(raised, state=held, notify=False)
        return self._tell(monitor, raised)

    # -- what follows from it

    def follow(self) -> list[Transition]:
        """What else changes because of what was judged."""
        while self._after:
            monitor, at = self._after.pop(0)
            for child in monitor.children:
                self._look_up(child, at)
            self._look_up(monitor, at)
        while self._back:
            self._come_back(*self._back.pop(0))
        out = self.out[:]
        self.out.clear()
        return out

    def remind(self, monitor: Monitor, due: Millis) -> None:
        """Something of this alarm may be due."""
        state = monitor.state
        if state.shelved_until is not None and state.shelved_until <= due:
            self.out.extend(monitor.commit(lifecycle.unshelve(state, due)))
        if state.oos_until is not None and state.oos_until <= due:
            self.out.extend(monitor.commit(lifecycle.into_service(monitor.state, due)))
        if monitor.state.aside == state.aside:  # else `_come_back` looks
            self._look_up(monitor, due)
        state, again = monitor.state, monitor.rule.realarm
        if again is None or state.acked_at is None or not state.is_raised or not state.acked:
            return
        hidden = state.aside or bool(state.suppressed_by)
        if not hidden and state.acked_at + millis(again) <= due:
            (told,) = lifecycle.realarm(state, due)
            self._say(monitor, self._tell(monitor, told))

    def _look_up(self, child: Monitor, at: Millis) -> None:
        """Takes the present word of an alarm's parents, where it was not told yet."""
        state = child.state
        if not state.is_raised or state.aside or state.priority == 1:
            return
        parent = _parent(child)
        if state.suppressed_by:
            if parent is None:
                freed = replace(state, suppressed_by="", held_until=at + HOLD_OFF_MS)
                self._agenda.add(at + HOLD_OFF_MS, _Reminder(self, child))
                self._say(child, Transition(Change.RELEASED, freed, at))
        elif state.told:
            return
        elif parent is not None:
            self._say(child, Transition(Change.SUPPRESSED, _hidden(state, parent), at))
        elif not state.digest and _waited(child, at):
            unseen = replace(state, acked=False, held_until=None)
            self._say(child, self._tell(child, Transition(Change.ANNOUNCED, unseen, at)))

    def _come_back(self, monitor: Monitor, at: Millis) -> None:
        """From the shelf or from work on it: what is still there is heard again, told before or not."""
        state = monitor.state
        if not state.is_raised or state.suppressed_by or state.aside:
            return
        if state.told or state.priority == 1:
            again = Transition(Change.ANNOUNCED, replace(state, acked=False), at)
            self._say(monitor, self._tell(monitor, again))
        else:
            self._look_up(monitor, at)

    def close_digest(self, name: str, due: Millis) -> None:
        """A digest has gathered long enough: one notice for all that is in it."""
        inside = [m for m in self._digests.pop(name, []) if m.state.digest == name and not m.state.told]
        running = [m for m in inside if m.state.is_raised and not m.state.aside]
        for number, monitor in enumerate(running):
            told = replace(monitor.state, told=True, held_until=None)
            if number:
                self._say(monitor, Transition(Change.NOTED, told, due))
                continue
            group = self._site.building_of(monitor.state.scope)
            digest = Transition(Change.DIGEST, told, due, True, len(inside), group)
            self._say(monitor, digest if len(inside) > 1 else Transition(Change.ANNOUNCED, told, due, True))

    # -- floods

    def _tell(self, monitor: Monitor, transition: Transition) -> Transition:
        """Told alone, or in a digest when there are too many."""
        state, at = transition.state, transition.at
        key = (state.rule, state.scope)
        self._recent.pop(key, None)
        self._recent[key] = at
        state = replace(state, announced_at=at)
        if self._flooded(at):
            self._mark_first(key, at)
            if state.priority >= DIGEST_FROM and not state.told:
                name = self._open_digest(state, at)
                self._digests[name].append(monitor)
                held = replace(state, digest=name, held_until=_until(name))
                return replace(transition, state=held, notify=False)
        return replace(transition, state=replace(state, told=True, held_until=None), notify=True)

    def _flooded(self, at: Millis) -> bool:
        while self._recent:
            key, when = next(iter(self._recent.items()))
            if when > at - FLOOD_MS:
                break
            del self._recent[key]
        return len(self._recent) > FLOOD_ALARMS

    def _mark_first(self, newest: Key, at: Millis) -> None:
        """The first in time of a burst is what a person should look at first."""
        burst = [self._monitors[key] for key in self._recent if key in self._monitors and key != newest]
        if any(m.state.first_out for m in burst):
            return
        first = min(burst, key=lambda m: (m.state.raised_at or at, m.state.rule, m.state.scope))
        if first.state.is_raised:
            self._say(first, Transition(Change.NOTED, replace(first.state, first_out=True), at))

    def _open_digest(self, state: AlarmState, at: Millis) -> str:
        head = f"{state.rule}.{self._site.building_of(state.scope)}."
        name = next((n for n in self._digests if n.startswith(head) and _until(n) > at), None)
        if name is None:
            name = head + base36(at + DIGEST_MS)
            self._join(name, None, at + DIGEST_MS)
        return name

    def _join(self, name: str, monitor: Monitor | None, due: Millis | None) -> None:
        if name not in self._digests:
            self._digests[name] = []
            self._agenda.add(_until(name) if due is None else due, _DigestEnd(self, name))
        if monitor is not None:
            self._digests[name].append(monitor)

    def _runs_on(self, monitor: Monitor, digest: str) -> bool:
        """Whether another alarm of the same digest is still there: then its end is not told yet."""
        return any(
            other is not monitor and other.state.digest == digest and other.state.is_raised
            for other in self._monitors.values()
        )

    # -- inside

    def _say(self, monitor: Monitor, transition: Transition) -> None:
        self.out.append(monitor.lay_over(transition))

    def _remind(self, monitor: Monitor) -> None:
        state = monitor.state
        again = monitor.rule.realarm
        dues = [state.shelved_until, state.oos_until, None if state.digest else state.held_until]
        if again is not None and state.acked_at is not None and state.is_raised:
            dues.append(state.acked_at + millis(again))
        for due in dues:
            if due is not None:
                self._agenda.add(due, _Reminder(self, monitor))

    def shift(self, step: Millis) -> None:
        """The clock was stepped: bursts move with it; the end of a shelf or of work is a promise and does
        not."""
        self._recent = {key: at + step for key, at in self._recent.items()}
        for monitor in self._monitors.values():
            for promised in (monitor.state.shelved_until, monitor.state.oos_until):
                if promised is not None:
                    self._agenda.add(promised, _Reminder(self, monitor))


class _Reminder:
    """An entry of the agenda for what lies over one alarm."""

    __slots__ = ("_announcer", "_monitor")

    def __init__(self, announcer: Announcer, monitor: Monitor) -> None:
        self._announcer = announcer
        self._monitor = monitor

    def fire(self, due: Millis) -> None:
        """The time has come."""
        self._announcer.remind(self._monitor, due)


class _DigestEnd:
    """An entry of the agenda for a digest."""

    __slots__ = ("_announcer", "_name")

    def __init__(self, announcer: Announcer, name: str) -> None:
        self._announcer = announcer
        self._name = name

    def fire(self, due: Millis) -> None:
        """It has gathered long enough."""
        self._announcer.close_digest(self._name, due)


def _until(digest: str) -> Millis:
    """When a digest ends; its name says so."""
    return int(digest.rpartition(".")[2], 36)


def _parent(monitor: Monitor) -> Monitor | None:
    """A parent that is an alarm now."""
    return next((parent for parent in monitor.parents if parent.state.is_raised), None)


def _waited(child: Monitor, at: Millis) -> bool:
    """Whether its time is over and no parent is about to become an alarm."""
    held = child.state.held_until
    pending = any(parent.state.condition is Condition.PENDING for parent in child.parents)
    return (held is None or held <= at) and not pending


def _hidden(state: AlarmState, parent: Monitor) -> AlarmState:
    return replace(state, suppressed_by=parent.state.occurrence, held_until=None, digest="")


def _tie(monitors: Iterable[Monitor], site: SiteInfo) -> None:
    """Children of a parent are the instances of the rules it names that watch only devices below it."""
    by_rule: dict[str, list[tuple[Monitor, frozenset[str]]]] = {}
    for monitor in monitors:
        devices = frozenset(track.device for cell in monitor.cells for track in cell.tracks)
        by_rule.setdefault(monitor.rule.id, []).append((monitor, devices))
    for found in by_rule.values():
        for parent, _ in found:
            below = _below(parent.state.scope, parent, site)
            for name in parent.rule.parent_of:
                for child, devices in by_rule.get(name, ()):
                    heard = child.rule.alarm is not None and child.rule.priority > 1
                    if devices <= below and heard and child is not parent:
                        parent.children.append(child)
                        child.parents.append(parent)


def _below(scope: str, parent: Monitor, site: SiteInfo) -> frozenset[str]:
    """The devices of a parent's scope: those on a line, a device itself, those in a space."""
    if parent.rule.scope.each == "line":
        return frozenset(device.id for device in site.devices_on.get(scope, ()))
    if scope in site.device_by_id:
        return frozenset({scope})
    devices = site.devices if scope == site.id else site.devices_below.get(scope, ())
    return frozenset(device.id for device in devices)
