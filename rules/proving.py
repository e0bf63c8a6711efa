"""Plays the tests that a rule carries, each on a school made for it, and says what did not come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from drivers.reading import Millis, Quality, Reading, Value
from drivers.settings import millis
from rules.alarm import Change, Transition
from rules.baseline import DAY_MS, SLOTS, Baseline, BaselineKey
from rules.engine import Engine
from rules.intent import Act, ActKind
from rules.past import lessons
from rules.presence import DERIVED
from rules.rulebook import Rule, RuleFault
from rules.stage import place_of, stage_of
from rules.trial import ExpectedCommand, Trial
from rules.verbs import Verbs


def prove(
    rule: Rule, points: Mapping[str, str], kinds: frozenset[str], verbs: Verbs | None = None
) -> list[RuleFault]:
    """What the rule's own tests find wrong with it; empty when all hold.

    `points` is the vocabulary (point -> unit), `kinds` its kinds of spaces, `verbs` its commands (None:
    what a rule would do is not looked at). RuleFault paths start at the rule's top.
    """
    faults = []
    for number, trial in enumerate(rule.tests):
        try:
            found = list(_Play(rule, trial, points, kinds, verbs).faults())
        except (ValueError, KeyError) as error:
            found = [f"cannot be played: {error}"]
        faults += [RuleFault(("tests", number), f"this test of {rule.id} fails: {text}") for text in found]
    return faults


class _Play:
    """One test at play."""

    def __init__(
        self,
        rule: Rule,
        trial: Trial,
        points: Mapping[str, str],
        kinds: frozenset[str],
        verbs: Verbs | None,
    ) -> None:
        self._rule = rule
        self._verbs = verbs
        self._acts: list[Act] = []
        self._trial = trial
        self._units = {**points, **DERIVED}
        self._stage = stage_of(rule, trial, points, kinds, verbs)
        self._start = self._stage.start

    def faults(self) -> Iterator[str]:
        """What did not come as expected."""
        end = max(at for steps in self._stage.series.values() for at, _ in steps)
        if self._trial.lasts is not None:
            end = max(end, millis(self._trial.lasts))
        said = self._play(end)
        raised = [t.at - self._start for t in said if t.change is Change.RAISED]
        cleared = [t.at - self._start for t in said if t.change in (Change.CLEARED, Change.CLOSED)]
        expect = self._trial.expect
        shown = ", ".join(f"{at / 1000:g} s" for at in raised) or "never"
        for wanted, word in ((expect.active_at, True), (expect.normal_at, False)):
            if wanted is not None:
                at = millis(wanted)
                active = sum(1 for t in raised if t <= at) > sum(1 for t in cleared if t <= at)
                if active is not word:
                    state = "active" if word else "normal"
                    yield f"not {state} at {at / 1000:g} s (raised: {shown})"
        if expect.active_never and raised:
            yield f"raised at {shown}, and should never be"
        if expect.occurrences is not None and len(raised) != expect.occurrences:
            yield f"{len(raised)} occurrences (raised: {shown}), not {expect.occurrences}"
        if expect.occurrences_le is not None and len(raised) > expect.occurrences_le:
            yield f"{len(raised)} occurrences (raised: {shown}), more than {expect.occurrences_le}"
        begun = sum(1 for t in said if t.finding is not None and t.finding.ended_at is None)
        if expect.findings is not None and begun != expect.findings:
            yield f"{begun} findings, not {expect.findings}"
        if expect.commands is not None and self._verbs is not None:
            yield from self._deeds(expect.commands)

    def _deeds(self, expected: tuple[ExpectedCommand, ...]) -> Iterator[str]:
        done = [act for act in self._acts if act.kind in (ActKind.ORDERED, ActKind.PROPOSED)]
        told = [(act.intent.cmd, act.restores, act.kind is ActKind.PROPOSED) for act in done]
        shown = ", ".join(
            f"{act.intent.cmd}{' back' if act.restores else ''} at {(act.at - self._start) / 1000:g} s"
            for act in done
        )
        if told != [(one.cmd, one.restores, one.proposed) for one in expected]:
            yield f"commands: {shown or 'none'}; other ones are expected"
            return
        for act, one in zip(done, expected, strict=True):
            if one.by is not None and act.at - self._start > millis(one.by):
                yield f"commands: {shown}; {one.cmd} is expected by {one.by.total_seconds():g} s"

    def _play(self, end: Millis) -> list[Transition]:
        # One rule alone: nothing above it, and of the devices there only those of the test.
        alone = self._rule.model_copy(update={"supervise": (), "parent_of": ()})
        engine = Engine([alone], self._stage.site, self._stage.calendar)
        bound = engine.coverage()[0]
        if self._stage.scope not in bound.bound:
            missing = ", ".join(name for one in bound.unbound for name in one.missing)
            raise ValueError(f"given lacks {missing or 'what its scope asks for'}")
        engine.learn(self._usual(engine.wanted()))
        said = list(engine.tick(self._start))
        for at, readings in self._rounds(end):
            said += engine.evaluate(readings, self._start + at)
        said += engine.tick(self._start + end)
        self._acts = engine.hands.arbiter.drain()
        return [t for t in said if t.state.scope == self._stage.scope]

    def _usual(self, wanted: Sequence[BaselineKey]) -> Iterator[Baseline]:
        """What is usual of every counter that the rule compares with that: as told, else as learned."""
        if self._trial.history:
            yield from lessons(self._stage, self._trial.history, wanted)
        for device, point, name in wanted:
            if name in self._trial.baselines:
                usual = self._trial.baselines[name]
                values = {
                    "tow_p50_28d": (usual,) * len(SLOTS),
                    "degree_day_12m": (usual, usual, 0.0, 0.0, 0.0, 0.0),
                }.get(name, (usual,))
                since = self._start - DAY_MS
                yield Baseline(device, point, name, self._units[point], since, "", "", 28, values)

    def _rounds(self, end: Millis) -> Iterator[tuple[Millis, list[Reading]]]:
        """All readings by time; constants are repeated with the finest series."""
        series, constants, pace = self._stage.series, self._stage.constants, self._stage.pace
        values: list[tuple[Millis, str, Value]] = [
            (at, role, value) for role, steps in series.items() for at, value in steps if at <= end
        ]
        values += [(at, role, value) for role, value in constants.items() for at in range(0, end + 1, pace)]
        order = {role: number for number, role in enumerate(self._trial.given)}
        # What does not change is known before what does.
        values.sort(key=lambda one: (one[0], one[1] in series, order[one[1]]))
        for at, role, value in values:
            yield at, [self._reading(role, value, self._start + at)]

    def _reading(self, role: str, value: Value, at: Millis) -> Reading:
        device, point = place_of(role), role.rpartition(".")[2]
        unit = self._units[point]
        if unit not in ("bool", "text") and not isinstance(value, bool | str):
            value = float(value)
        if point == "online":
            silent = value is False
            some = next(iter(self._stage.site.device_by_id[device].points))
            reason = "timeout" if silent else ""
            quality = Quality.BAD if silent else Quality.GOOD
            return Reading(device, some, None if silent else 0.0, "1", at, at, quality, reason)
        return Reading(device, point, value, unit, at, at)
