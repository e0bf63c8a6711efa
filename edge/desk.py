"""The alarm list and what people may do with it, answered from store, engine and rules."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.reading import Millis
from edge.pipeline.evaluator import Evaluator
from edge.store.alarms import AlarmStore, Push
from edge.store.readings import ReadingStore
from edge.web.services.alarms import AlarmRecord, Delivery, NotAllowed, UnknownAlarm
from edge.web.services.history import Aggregate, Sample
from edge.web.services.texts import Text
from rules.alarm import AlarmState, Condition
from rules.aside import NotShelvable, NotTakenOut, Outage
from rules.report import AlarmReport, report
from rules.rulebook import Rule
from rules.text import Text as RuleText

ASIDE = frozenset({"normal", "shelved", "suppressed", "out_of_service"})
"""States that stand in lists of their own."""
IN_MEMORY = "this stands in memory only: the storage has failed, a restart would forget it"


class StoredHistory:
    """`edge.web.services.history.History` over the reading store."""

    def __init__(self, store: ReadingStore) -> None:
        self._store = store

    async def query(
        self,
        device: str,
        point: str,
        since: Millis,
        until: Millis,
        step: Millis | None,
        agg: Aggregate | None,
        limit: int,
    ) -> Sequence[Sample]:
        """See the protocol."""
        samples = await self._store.history(
            device, point, since, until, step=step, aggregate=agg or "mean", limit=limit
        )
        return [Sample(*sample) for sample in samples]


class AlarmDesk:
    """`edge.web.services.alarms.Alarms`: occurrences with their rule's texts and their pushes."""

    def __init__(self, store: AlarmStore, evaluator: Evaluator, rules: Sequence[Rule]) -> None:
        self._store = store
        self._evaluator = evaluator
        self._rules = {rule.id: rule for rule in rules}

    async def list(
        self, state: str, priority: int | None, scopes: frozenset[str] | None, limit: int, offset: int
    ) -> Sequence[AlarmRecord]:
        """See the protocol."""
        stored = await self._store.occurrences(only_open=state not in ("all", "normal"))
        unstored = self._evaluator.unstored()
        known = [*unstored.values(), *(s for s in stored if s.occurrence not in unstored)]
        found = [
            s
            for s in sorted(known, key=lambda s: -(s.raised_at or 0))
            if (state in ("all", s.isa) or (state == "open" and s.isa not in ASIDE))
            and (priority is None or s.priority == priority)
            and (scopes is None or s.scope in scopes)
        ]
        return await self.records(found[offset : offset + limit])

    async def records(self, states: Sequence[AlarmState]) -> Sequence[AlarmRecord]:
        """Occurrences with all that the dashboard shows beside them."""
        pushes = await self._store.pushes([s.occurrence for s in states])
        return [self._record(s, pushes.get(s.occurrence, ())) for s in states]

    async def by_ids(self, occurrences: Sequence[str]) -> Sequence[AlarmRecord]:
        """The named occurrences, those that are stored."""
        found = [await self._known(name) for name in dict.fromkeys(occurrences)]
        return await self.records([state for state in found if state is not None])

    def _record(self, state: AlarmState, pushes: Sequence[Push]) -> AlarmRecord:
        rule = self._rules.get(state.rule)
        deliveries = tuple(
            Delivery(p.channel, p.state, p.settled_at or p.created_at, p.detail) for p in pushes
        )
        if rule is None or rule.alarm is None:
            return AlarmRecord(state, Text(state.rule, state.rule), deliveries=deliveries)
        alarm = rule.alarm
        return AlarmRecord(
            state,
            _text(alarm.title),
            _text(alarm.consequence),
            _text(alarm.guide),
            alarm.owner,
            round(alarm.respond_within.total_seconds() * 1000),
            deliveries,
        )

    async def acknowledge(self, occurrence: str, user: str, note: str) -> AlarmRecord:
        """See the protocol."""
        state = await self._current(occurrence)
        if state.acked:
            raise NotAllowed("this alarm is acknowledged already")
        await self._evaluator.acknowledge(state.rule, state.scope, user, note)
        return await self._again(occurrence)

    async def reset(self, occurrence: str, user: str, note: str) -> AlarmRecord:
        """See the protocol."""
        state = await self._current(occurrence)
        if not state.latched:
            raise NotAllowed("this alarm has no latch to reset")
        if state.condition is not Condition.NORMAL:
            raise NotAllowed("the condition is still there: an alarm is reset after it has cleared")
        await self._evaluator.reset(state.rule, state.scope, user, note)
        return await self._again(occurrence)

    async def shelve(self, occurrence: str, user: str, reason: str, until: Millis) -> AlarmRecord:
        """See the protocol."""
        state = await self._current(occurrence)
        try:
            await self._evaluator.shelve(state.rule, state.scope, user, reason, until)
        except NotShelvable as error:
            raise NotAllowed(str(error)) from error
        return await self._again(occurrence)

    async def unshelve(self, occurrence: str, user: str, note: str) -> AlarmRecord:
        """See the protocol."""
        state = await self._current(occurrence)
        if state.shelved_until is None:
            raise NotAllowed("this alarm is not shelved")
        await self._evaluator.unshelve(state.rule, state.scope)
        return await self._again(occurrence)

    async def out_of_service(self, device: str, user: str, order: str, until: Millis) -> None:
        """See the protocol."""
        try:
            await self._evaluator.out_of_service(device, user, order, until)
        except NotTakenOut as error:
            raise NotAllowed(str(error)) from error
        self._stored()

    async def into_service(self, device: str) -> None:
        """See the protocol."""
        if not await self._evaluator.into_service(device):
            raise NotAllowed(f"{device} is in service")
        self._stored()

    def outages(self) -> Sequence[Outage]:
        """See the protocol."""
        return self._evaluator.engine.outages()

    async def report(self, since: Millis, until: Millis) -> AlarmReport:
        """See the protocol."""
        return report(await self._store.raised_between(since, until), since, until)

    async def _known(self, occurrence: str) -> AlarmState | None:
        """An occurrence, also one that the disk has refused so far."""
        return self._evaluator.unstored().get(occurrence) or await self._store.occurrence(occurrence)

    async def _current(self, occurrence: str) -> AlarmState:
        state = await self._known(occurrence)
        if state is None:
            raise UnknownAlarm(occurrence)
        states = self._evaluator.engine.states()
        live = next((s for s in states if (s.rule, s.scope) == (state.rule, state.scope)), None)
        if live is None or live.occurrence != occurrence:
            raise NotAllowed("this occurrence is closed")
        return live

    def _stored(self) -> None:
        if self._evaluator.last_error:
            raise NotAllowed(IN_MEMORY)

    async def _again(self, occurrence: str) -> AlarmRecord:
        if occurrence in self._evaluator.unstored():
            raise NotAllowed(IN_MEMORY)
        state = await self._store.occurrence(occurrence)
        if state is None:
            raise UnknownAlarm(occurrence)
        return (await self.records([state]))[0]


def _text(text: RuleText) -> Text:
    return Text(text.zh, text.en)
