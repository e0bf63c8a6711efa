"""Rules over readings: evaluate and tick in, transitions out.

Pure: no clock, no I/O, no task. A reading finds its point, the point its leaves; only a
leaf whose truth changes wakes the tree above it. Whatever is due later stands in one
agenda; `next_due` says when `tick` must be called though nothing comes.

Rules must have passed `rules.check.check_rule` for the same site.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from drivers.reading import Millis, Origin, Reading
from rules import explanation, lifecycle
from rules.agenda import NEVER, Agenda
from rules.alarm import AlarmState, Transition
from rules.announcer import Announcer
from rules.arbitration import LATE_MS, Standing
from rules.aside import NotTakenOut, Outage, check_outage, check_shelf, outages_of
from rules.baseline import Baseline, BaselineKey
from rules.binding import Coverage
from rules.explanation import Explanation
from rules.finding import Finding
from rules.hands import Hands
from rules.monitor import Monitor
from rules.network import Network
from rules.roster import Roster
from rules.rulebook import Rule
from rules.site import SiteInfo
from rules.stretch import Passage, Stretch
from rules.timetable import Calendar
from rules.track import Counts
from rules.yardstick import Lesson

STEP_BACK_MS = 60_000
"""A call dated further back than this means that the clock was stepped, not that it was late."""


class Engine:
    """All instances of all rules at one site.

    `states` are those of an earlier life: what they say goes on. An active alarm stays
    active without a second raise, a running `for` goes on when the gap in the data is
    small (three sample intervals, at least 5 min), a state whose rule changed or went is closed.
    `counts` tells how many readings changed nothing, and why.

    Timers follow the event time: one that is due while a reading may still be on its way
    waits `lateness_ms` for it. What comes no later than that changes the past in the same way
    however calls and batches are cut: a rehearsal of what was stored finds what happened live.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        site: SiteInfo,
        calendar: Calendar | None,
        states: Sequence[AlarmState] = (),
        *,
        lateness_ms: Millis = 0,
        acting: Standing | None = None,
    ) -> None:
        self._lateness = lateness_ms
        self.counts = Counts()
        self._agenda = Agenda()
        self._network = Network(self._agenda, site, calendar)
        self._points = self._network.points
        self._passage = Passage(self._points)
        self._announcer = Announcer(self._agenda, site)
        self.hands = Hands(self._agenda, self._network, self._announcer, site, acting or Standing())
        self._woken: list[Monitor] = []
        self._out: list[Transition] = []
        self._now: Millis | None = None
        roster = Roster(
            rules, site, calendar or Calendar(), states, self._agenda, self._network, self.hands,
            self._woken, self._out,
        )  # fmt: skip
        self._monitors = roster.monitors
        self._coverage = roster.coverage
        self._shifts = roster.shifts
        self._orphans = roster.orphans

    # -- what comes in

    def evaluate(self, readings: Sequence[Reading], at: Millis) -> list[Transition]:
        """Takes readings in the order they came; `at` is now. What became due until then, less the
        lateness, happens too, at its own time."""
        self._begin(at)
        late = self._lateness
        agenda, tracks, counts = self._agenda, self._points.tracks, self.counts
        presences = self._points.presences
        for reading in readings:
            arrived = reading.received_at
            if agenda.due < arrived:  # seldom, and then as far as nothing older can come
                settled = max(min(reading.at, arrived), arrived - late)
                if agenda.due < settled:
                    self._run(settled - 1)
            if presences and (presence := presences.get(reading.device)) is not None:
                presence.hear(reading)
            track = tracks.get((reading.device, reading.point))
            if track is not None:
                track.take(reading, arrived, counts)
            if self._woken:
                self.hands.late = arrived - reading.at > LATE_MS
                self._settle(reading.at, live=reading.origin is Origin.LIVE)
                self.hands.late = False
        self._run(at - late - 1 if readings and late else at - late)
        return self._drain()

    def tick(self, at: Millis) -> list[Transition]:
        """Lets time pass without any reading."""
        return self.evaluate((), at)

    def next_due(self) -> Millis | None:
        """When `tick` must be called if no reading comes before; 0 before the first call."""
        if self._now is None or self._out:
            return self._now or 0
        return None if self._agenda.due == NEVER else self._agenda.due + self._lateness

    def warm(self, readings: Sequence[Reading], at: Millis) -> None:
        """Fills points and windows from stored readings, in the order they were measured, with
        no effect on any alarm. Only once, before the first evaluate or tick; RuntimeError else.

        The longest `over` of the rules is enough history; with less, windows fill anew.
        """
        if self._now is not None:
            raise RuntimeError("warm comes before the first evaluate or tick")
        monitors = list(self._monitors.values())
        for cell in (cell for monitor in monitors for cell in monitor.cells):
            cell.held = False
        for reading in readings:
            presence = self._points.presences.get(reading.device)
            if presence is not None:
                presence.hear(reading)
            track = self._points.tracks.get((reading.device, reading.point))
            if track is not None:
                track.take(reading, at, self.counts)
        self._points.catch_up(at)
        self._woken.clear()
        for monitor in monitors:
            monitor.reconcile(at)
        self._begin(at)

    def pass_over(
        self, stretches: Iterable[Stretch], busy: Collection[str], until: Millis
    ) -> Mapping[str, Sequence[str]]:
        """Takes as read what it can of what came before `until` (see `rules.stretch`), and gives what must be
        evaluated before `land` is called: points by device. Not before the first evaluate or tick."""
        return self._passage.over(stretches, busy, until)

    def land(self, until: Millis) -> list[Transition]:
        """Everything before `until` has come: what became due happens, each thing at its own time."""
        said = self.evaluate((), until - 1 + self._lateness)
        self._passage.land()
        return said

    def watched(self) -> Collection[tuple[str, str]]:
        """The points that rules look at: (device, point); `online` stands for anything of a device."""
        return self._points.tracks.keys()

    def watched_by(self, rule: str, scope: str) -> Collection[tuple[str, str]]:
        """Those that one instance looks at; KeyError for an unknown one."""
        monitor = self._monitors[rule, scope]
        tracks = self._points.tracks.items()
        return [key for key, track in tracks if any(cell.owner is monitor for cell in track.cells)]

    def lookback(self) -> dict[tuple[str, str], Millis]:
        """How much history each point needs so that its windows go on after a restart: (device,
        point) -> milliseconds."""
        return self._network.lookback()

    # -- baselines and findings

    def wanted(self) -> list[BaselineKey]:
        """The baselines that the rules name, for whoever learns them."""
        return list(self._network.weave.yardsticks)

    def learn(self, learned: Iterable[Baseline]) -> None:
        """What was learned comes into force at its own time; at once where that is past."""
        yardsticks = self._network.weave.yardsticks
        pairs = [(yardsticks[one.key], one) for one in learned if one.key in yardsticks]
        Lesson.plan(pairs, self._agenda)

    def baselines(self) -> list[Baseline]:
        """What is in force."""
        sticks = self._network.weave.yardsticks.values()
        return [stick.learned for stick in sticks if stick.learned is not None]

    def findings(self) -> list[Finding]:
        """Those that go on, with how much it is by now."""
        at = (self._now or 0) - self._lateness
        return [
            found
            for monitor in self._monitors.values()
            if monitor.assessor is not None
            and (found := monitor.assessor.present(monitor.state, at)) is not None
        ]

    # -- what people do

    def acknowledge(self, rule: str, scope: str, user: str, note: str, at: Millis) -> list[Transition]:
        """A person has seen the alarm; nothing when it was acknowledged. KeyError for an unknown instance."""
        return self._acted(self._monitors[rule, scope].acknowledge(user, note, at))

    def reset(self, rule: str, scope: str, user: str, note: str, at: Millis) -> list[Transition]:
        """Lets go of a latched alarm that is back to normal. KeyError for an unknown instance."""
        return self._acted(self._monitors[rule, scope].reset(user, note, at))

    def shelve(
        self, rule: str, scope: str, user: str, reason: str, until: Millis, at: Millis
    ) -> list[Transition]:
        """Puts an alarm aside until then. NotShelvable says why not; KeyError for an unknown instance."""
        monitor = self._monitors[rule, scope]
        check_shelf(monitor.rule, reason, until, at)
        return self._acted(monitor.commit(lifecycle.shelve(monitor.state, user, reason, until, at)))

    def unshelve(self, rule: str, scope: str, at: Millis) -> list[Transition]:
        """Takes it back; one that is still there is told anew. KeyError for an unknown instance."""
        monitor = self._monitors[rule, scope]
        return self._acted(monitor.commit(lifecycle.unshelve(monitor.state, at)))

    def out_of_service(
        self, device: str, user: str, order: str, until: Millis, at: Millis
    ) -> list[Transition]:
        """Somebody works on a device until then, by a work order: what only it is watched for calls
        nobody, priority 1 too. NotTakenOut says why not."""
        check_outage(order, until, at)
        there = self._only_on(device)
        if not there:
            raise NotTakenOut(f"no rule watches {device} alone")
        return self._acted(
            [
                one
                for m in there
                for one in m.commit(lifecycle.out_of_service(m.state, user, order, until, at))
            ]
        )

    def into_service(self, device: str, at: Millis) -> list[Transition]:
        """The work is done before its time; what is still there is told. Nothing for one in service."""
        there = self._only_on(device)
        return self._acted([one for m in there for one in m.commit(lifecycle.into_service(m.state, at))])

    def outages(self) -> list[Outage]:
        """The devices that are out of service."""
        return outages_of(self._monitors.values())

    def _only_on(self, device: str) -> list[Monitor]:
        return [m for m in self._monitors.values() if m.devices == {device}]

    # -- what can be seen

    def coverage(self) -> list[Coverage]:
        """Where each rule watches, and where points are missing."""
        return list(self._coverage)

    def explain(self, rule: str, scope: str, at: Millis | None = None) -> Explanation:
        """One instance as of `at`, by default of the last call; KeyError for an unknown one."""
        found = explanation.explain(self._monitors[rule, scope], at or self._now or 0)
        return replace(found, deeds=self.hands.deeds(rule, scope))

    def states(self) -> list[AlarmState]:
        """The state of every instance, to be handed to the next engine."""
        return [monitor.state for monitor in self._monitors.values()]

    # -- inside

    def _begin(self, at: Millis) -> None:
        """The first call starts all watches and closes what is left over; later ones mind the clock."""
        if self._now is not None:
            if at < self._now - STEP_BACK_MS:
                self._rebase(at - self._now)
            self._now = max(at, self._now)
            return
        self._now = at
        for state in self._orphans:
            self._out.extend(lifecycle.close(state, at))
        for transition in self._out:
            self.hands.see(transition)
        self._network.begin(at)
        self._announcer.begin(self._monitors.values(), at)
        self.hands.begin(at, self.states())
        for shift in self._shifts:
            shift.fire(at)

    def _run(self, until: Millis) -> None:
        """Everything due until then, each at its own time."""
        agenda = self._agenda
        while agenda.due <= until:
            due, what = agenda.take()
            what.fire(due)
            self._out.extend(self._announcer.follow())
            if self._woken:
                self._settle(due, live=False)

    def _settle(self, at: Millis, *, live: bool) -> None:
        woken = self._woken[:]
        self._woken.clear()
        for monitor in woken:
            self._out.extend(monitor.settle(at, live=live))
            self._out.extend(self._announcer.follow())

    def _acted(self, done: Sequence[Transition]) -> list[Transition]:
        return [*done, *self._announcer.follow()]

    def _drain(self) -> list[Transition]:
        out = self._out[:]
        self._out.clear()
        return out

    def _rebase(self, step: Millis) -> None:
        """The clock was stepped back: everything remembered moves with it, so that running timers
        keep their length and new readings are not taken for old ones."""
        self._now = (self._now or 0) + step
        self._agenda.shift(step)
        self._points.shift(step)
        for monitor in self._monitors.values():
            monitor.shift(step)
        self._announcer.shift(step)
        self._network.weave.start(self._now)
        self.hands.shift(step)
        for shift in self._shifts:
            shift.restart(self._now)
