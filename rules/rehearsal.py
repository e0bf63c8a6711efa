"""Replays readings through rules with a simulated clock: backtests, and what a change would have done.

The same engine as live, fed in the order of storing; no alarm is told to anybody. What is kept
grows with the occurrences, never with the readings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, Protocol

from drivers.reading import Millis, Reading, Value
from rules.alarm import AlarmState, Change, Transition
from rules.engine import Engine
from rules.rulebook import Rule
from rules.site import SiteInfo
from rules.timetable import Calendar
from rules.track import Counts

LATENESS_MS: Millis = 2_000
"""So long a timer waits for readings that are still on their way; live and in a rehearsal."""
_BATCH = 512


class Readings(Protocol):
    """Where stored readings come from."""

    def between(self, since: Millis, until: Millis) -> Iterable[Reading]:
        """Readings measured in [since, until), in the order of storing."""
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
) -> Rehearsal:
    """Plays readings, which may begin before `since` to fill windows; alarms count from `since` on.

    Each reading is taken as if it had come when it was measured. `hear` gets every transition.
    """
    engine = Engine(rules, site, calendar, states, lateness_ms=LATENESS_MS)
    book = _Book(Rehearsal(since, until))
    stream = iter(readings)
    now: Millis | None = None
    while batch := tuple(islice(stream, _BATCH)):
        if now is None:
            now = batch[0].at
            book.keep(engine.tick(now), hear)
        batch = tuple(reading._replace(received_at=reading.at) for reading in batch)
        now = max(now, *(reading.at for reading in batch))
        book.result.readings += len(batch)
        book.keep(engine.evaluate(batch, now), hear)
    book.keep(engine.tick(until - 1 + LATENESS_MS), hear)
    return book.close(engine)


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

    def keep(self, said: Sequence[Transition], hear: Callable[[Transition], None] | None) -> None:
        for transition in said:
            state, key = transition.state, (transition.state.rule, transition.state.scope)
            if hear is not None:
                hear(transition)
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
