"""Replays readings through rules with a simulated clock: backtests, and what a change would have done.

The same engine as live, fed in the order of storing; no alarm is told to anybody. What is kept
grows with the occurrences, never with the readings.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import islice
from typing import NamedTuple, Protocol, runtime_checkable
from zoneinfo import ZoneInfo

from drivers.reading import Millis, Reading, Value
from rules.alarm import AlarmState, Change, Transition
from rules.baseline import Baseline, BaselineKey, lesson_of, local_day
from rules.engine import Engine
from rules.explanation import Explanation
from rules.finding import Finding
from rules.intent import Act, ActKind
from rules.monitor import timing_of
from rules.rulebook import Rule
from rules.site import SiteInfo
from rules.stretch import Slab
from rules.timetable import Calendar
from rules.track import Counts

LATENESS_MS: Millis = 2_000
"""So long a timer waits for readings that are still on their way; live and in a rehearsal."""
LEAD_MS: Millis = 2 * 86_400_000
"""So much of the past is played at least, to fill windows and know what stood already."""
_BATCH = 512


class Readings(Protocol):
    """Where stored readings come from."""

    def between(self, since: Millis, until: Millis) -> Iterable[Reading]:
        """Readings measured in [since, until), by time over all devices; what came late stands where
        it came."""
        ...


Wanted = Collection[tuple[str, str]]


@runtime_checkable
class Columns(Protocol):
    """Stored readings that come side by side."""

    def slabs(self, since: Millis, until: Millis, wanted: Wanted) -> Iterable[Slab]:
        """The wanted points' readings measured in [since, until), stretch after stretch."""
        ...


class Teacher(Protocol):
    """Who learns baselines as the simulated days pass."""

    def lesson(self, day: date, wanted: Sequence[BaselineKey]) -> Sequence[Baseline]:
        """The wanted baselines of a local day, from what was measured before its lesson."""
        ...


class Occurrence(NamedTuple):
    """One alarm as it would have been; `cleared_at` is None when it still stood at the end."""

    rule: str
    scope: str
    raised_at: Millis
    cleared_at: Millis | None
    priority: int
    told: bool
    device: str
    point: str
    value: Value | None
    unit: str
    message: str

    @property
    def key(self) -> tuple[str, str, Millis]:
        """What makes two of them the same in two rehearsals."""
        return self.rule, self.scope, self.raised_at


@dataclass(slots=True)
class Rehearsal:
    """What came of [since, until): occurrences by the time they were raised, and how many readings
    there were. `notices` counts what people would have heard."""

    since: Millis
    until: Millis
    occurrences: list[Occurrence] = field(default_factory=list)
    readings: int = 0
    notices: int = 0
    counts: Counts = field(default_factory=Counts)
    acts: list[Act] = field(default_factory=list)
    """What rules would have done, mode auto as if armed; proposals as far as they were made."""
    findings: list[Finding] = field(default_factory=list)
    """By the time they began; those that went on at the end as of then."""

    @property
    def commands(self) -> tuple[Act, ...]:
        """The commands that would have been sent."""
        return tuple(act for act in self.acts if act.kind is ActKind.ORDERED)

    @property
    def proposals(self) -> tuple[Act, ...]:
        """What a person would have been asked."""
        return tuple(act for act in self.acts if act.kind is ActKind.PROPOSED)

    def found(self) -> Mapping[tuple[str, str], float]:
        """What was found in all, by rule and unit; what could not be told is left out."""
        total: dict[tuple[str, str], float] = {}
        for one in self.findings:
            if one.amount is not None:
                total[one.rule, one.unit] = total.get((one.rule, one.unit), 0.0) + one.amount
        return total

    def alarm_ms(self) -> Mapping[str, Millis]:
        """How long alarms of each rule stood, all scopes together."""
        total: dict[str, Millis] = {}
        for one in self.occurrences:
            end = self.until if one.cleared_at is None else one.cleared_at
            total[one.rule] = total.get(one.rule, 0) + end - one.raised_at
        return total


@dataclass(frozen=True, slots=True)
class Difference:
    """Two rehearsals of the same readings: what only the one or the other raised, and what both did."""

    only_before: tuple[Occurrence, ...]
    only_after: tuple[Occurrence, ...]
    both: int


def rehearse(
    rules: Sequence[Rule],
    site: SiteInfo,
    calendar: Calendar | None,
    readings: Iterable[Reading],
    since: Millis,
    until: Millis,
    *,
    states: Sequence[AlarmState] = (),
    hear: Callable[[Transition], None] | None = None,
    teacher: Teacher | None = None,
) -> Rehearsal:
    """Plays readings, which may begin before `since` to fill windows; alarms count from `since` on.

    Each reading is taken as if it had come when it was measured, unless it came later than live
    timers wait for it. `hear` gets every transition. Without a `teacher` no baseline is known.
    """
    play = _Play(rules, site, calendar, states, since, until, hear, teacher)
    stream = iter(readings)
    while batch := tuple(islice(stream, _BATCH)):
        play.readings(batch)
    return play.close()


def rehearse_columns(
    rules: Sequence[Rule],
    site: SiteInfo,
    calendar: Calendar | None,
    columns: Columns,
    since: Millis,
    until: Millis,
    *,
    lead: Millis | None = None,
    states: Sequence[AlarmState] = (),
    hear: Callable[[Transition], None] | None = None,
    watch: Callable[[Millis, int], None] | None = None,
    teacher: Teacher | None = None,
) -> Rehearsal:
    """The same from columns, beginning `lead` before `since` (see `lead_of`): far faster, and of the same
    outcome. `watch` is told how far it is: the instant, and the readings so far."""
    play = _Play(rules, site, calendar, states, since, until, hear, teacher)
    lead = lead_of(rules, play.engine) if lead is None else lead
    for slab in columns.slabs(since - lead, until, play.engine.watched()):
        play.slab(slab)
        if watch is not None:
            watch(slab.until, play.book.result.readings)
    return play.close()


def explain_past(
    rule: Rule,
    site: SiteInfo,
    calendar: Calendar | None,
    columns: Columns | Readings,
    scope: str,
    at: Millis,
    teacher: Teacher | None = None,
) -> Explanation:
    """One rule on one scope as it stood at a past instant, by what is stored of the time before (see
    `lead_of`). KeyError where it does not watch the scope."""
    play = _Play([rule], site, calendar, (), at, at + 1, None, teacher)
    play.engine.explain(rule.id, scope)
    since = at - lead_of([rule], play.engine)
    if isinstance(columns, Columns):
        for slab in columns.slabs(since, at + 1, play.engine.watched_by(rule.id, scope)):
            play.slab(slab)
    else:
        stream = iter(columns.between(since, at + 1))
        while batch := tuple(islice(stream, _BATCH)):
            play.readings(batch)
    play.close()
    return play.engine.explain(rule.id, scope, at)


def lead_of(rules: Sequence[Rule], engine: Engine) -> Millis:
    """So far back the past is played to know how rules stand: two days, and whatever windows and delays
    reach beyond that."""
    timings = [timing_of(rule) for rule in rules]
    delays = max((t.for_ms + t.clear_for_ms + t.min_active_ms + t.confirm_ms for t in timings), default=0)
    return LEAD_MS + delays + max(engine.lookback().values(), default=0)


class _Play:
    """An engine under a simulated clock, and what came of it so far."""

    def __init__(
        self,
        rules: Sequence[Rule],
        site: SiteInfo,
        calendar: Calendar | None,
        states: Sequence[AlarmState],
        since: Millis,
        until: Millis,
        hear: Callable[[Transition], None] | None,
        teacher: Teacher | None = None,
    ) -> None:
        self._teacher = teacher
        self._zone = ZoneInfo(site.timezone)
        self._taught: date | None = None
        self.engine = Engine(rules, site, calendar, states, lateness_ms=LATENESS_MS)
        self.book = _Book(Rehearsal(since, until))
        self._hear = hear
        self._now: Millis | None = None

    def readings(self, batch: Sequence[Reading]) -> None:
        """Readings in their order."""
        self.book.result.readings += len(batch)
        self._evaluate(batch)

    def slab(self, slab: Slab) -> None:
        """A stretch of all devices."""
        self.book.result.readings += slab.count
        if self._now is None:
            self._begin(slab.begins)
        self._now = max(self._now or 0, slab.begins)
        self._teach(slab.until)
        self._keep(self.engine.tick(slab.begins - 1 + LATENESS_MS))
        played = self.engine.pass_over(slab.stretches, slab.busy, slab.until)
        self._evaluate(slab.readings(played))
        self._keep(self.engine.land(slab.until))

    def close(self) -> Rehearsal:
        """Time passes until the end."""
        self._teach(self.book.result.until)
        self._keep(self.engine.tick(self.book.result.until - 1 + LATENESS_MS))
        return self.book.close(self.engine)

    def _teach(self, until: Millis) -> None:
        """All lessons that come into force by then: each knows only what was measured before it."""
        wanted = self.engine.wanted() if self._teacher is not None else ()
        if self._teacher is None or not wanted or self._now is None:
            return
        day = local_day(self._now, self._zone) - timedelta(days=2) if self._taught is None else self._taught
        while lesson_of(day + timedelta(days=1), self._zone).since <= until:
            day += timedelta(days=1)
            self.engine.learn(self._teacher.lesson(day, wanted))
        self._taught = day

    def _begin(self, at: Millis) -> None:
        self._now = at
        self._teach(at)
        self._keep(self.engine.tick(at))

    def _evaluate(self, batch: Sequence[Reading]) -> None:
        if not batch:
            return
        if self._now is None:
            self._begin(batch[0].at)
        came = [_arriving(reading) for reading in batch]
        self._now = max(self._now or 0, *(reading.received_at for reading in came))
        self._teach(self._now)
        self._keep(self.engine.evaluate(came, self._now))

    def _keep(self, said: Sequence[Transition]) -> None:
        self.book.keep(said, self._hear)
        begins = self.book.result.since
        self.book.result.acts += [act for act in self.engine.hands.arbiter.drain() if act.at >= begins]


def _arriving(reading: Reading) -> Reading:
    """As it came in, for the engine: what live timers have waited for counts as come in time."""
    if reading.at < reading.received_at <= reading.at + LATENESS_MS:
        return reading._replace(received_at=reading.at)
    return reading


def compare(before: Rehearsal, after: Rehearsal) -> Difference:
    """What a change of rules would have changed."""
    old, new = {o.key: o for o in before.occurrences}, {o.key: o for o in after.occurrences}
    return Difference(
        tuple(one for key, one in old.items() if key not in new),
        tuple(one for key, one in new.items() if key not in old),
        len(old.keys() & new.keys()),
    )


class _Book:
    """Gathers occurrences from transitions."""

    def __init__(self, result: Rehearsal) -> None:
        self.result = result
        self._open: dict[tuple[str, str], AlarmState] = {}
        self._found: dict[str, Finding] = {}

    def keep(self, said: Sequence[Transition], hear: Callable[[Transition], None] | None) -> None:
        for transition in said:
            state, key = transition.state, (transition.state.rule, transition.state.scope)
            if hear is not None:
                hear(transition)
            if transition.finding is not None:
                self._found[transition.finding.id] = transition.finding
            if state.silent:
                continue
            if transition.notify and transition.at >= self.result.since:
                self.result.notices += 1
            if state.is_raised:
                self._open[key] = state
            elif transition.change in (Change.CLEARED, Change.CLOSED) and key in self._open:
                self._close(key, state)

    def close(self, engine: Engine) -> Rehearsal:
        """What still stands has no end."""
        for key, state in list(self._open.items()):
            self._close(key, state)
        self._found |= {one.id: one for one in engine.findings()}
        begins = self.result.since
        inside = [f for f in self._found.values() if f.ended_at is None or f.ended_at >= begins]
        self.result.findings = sorted(inside, key=lambda one: (one.began_at, one.id))
        self.result.counts = engine.counts
        self.result.occurrences.sort(key=lambda one: (one.raised_at, one.rule, one.scope))
        return self.result

    def _close(self, key: tuple[str, str], state: AlarmState) -> None:
        del self._open[key]
        raised = state.raised_at
        if raised is None or (state.cleared_at is not None and state.cleared_at < self.result.since):
            return
        self.result.occurrences.append(
            Occurrence(
                state.rule, state.scope, raised, state.cleared_at, state.priority, state.told,
                state.device, state.point, state.value, state.unit, state.message,
            )
        )  # fmt: skip
