"""Follows the life of one rule on one scope and says what was found, and how much of it.

A finding begins with the episode: with the alarm, or with a sighting of a rule that wants several. It
ends with it. What it must remember stands in the alarm's state, so that it goes on after a restart.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from drivers.reading import Millis
from rules import arithmetic
from rules.alarm import AlarmState, Condition, Transition
from rules.finding import Finding, FindingSpec, Suspect, average_name
from rules.lifecycle import base36
from rules.tally import Tallied, Tally
from rules.track import Track
from rules.window import Window
from rules.yardstick import Yardstick

HOUR_MS = 3_600_000
SURE = 1.96
"""Standard deviations to either side that hold 95 %."""


class Began(NamedTuple):
    """When what is counted began, and what the counter, or the rate, showed then."""

    at: Millis
    counter: float | None = None


class Amount(NamedTuple):
    """How much, how surely, and on what it stands; or why that cannot be told."""

    value: float | None
    spread: float | None = None
    basis: str = ""
    weak: str = ""


class Estimate(Protocol):
    """A way to say how much."""

    def begin(self, at: Millis) -> Began:
        """An episode begins at `at`; what is counted may have begun before."""
        ...

    def amount(self, began: Began, at: Millis) -> Amount:
        """From then until `at`."""
        ...


class Excess:
    """The growth of a counter beyond its baseline, from the beginning of the window that showed it."""

    def __init__(self, track: Track, window: Window, yardstick: Yardstick) -> None:
        self._track = track
        self._window = window
        self._yardstick = yardstick

    def begin(self, at: Millis) -> Began:
        """The counter as it stood when the window, or what there is of it, began."""
        self._track.catch_up(at)
        counter, grown = self._track.value, self._window.value()
        started = self._window.started
        if not isinstance(counter, float) or grown is None or started is None:
            return Began(at, counter if isinstance(counter, float) else None)
        return Began(max(started, at - self._window.over), counter - grown)

    def amount(self, began: Began, at: Millis) -> Amount:
        """Growth less what is usual; never below 0."""
        self._track.catch_up(at)
        counter, stick = self._track.value, self._yardstick
        usual = stick.expected(began.at, at)
        if usual is None:
            return Amount(None, basis=stick.words, weak=stick.weak or "no baseline for this time")
        if began.counter is None or not isinstance(counter, float) or counter < began.counter:
            return Amount(None, basis=stick.words, weak="the counter is not known from its beginning")
        spread = stick.spread(began.at, at)
        value = max(0.0, counter - began.counter - usual)
        return Amount(value, None if spread is None else SURE * spread, stick.words)


class ExcessFlow:
    """A least rate beyond its baseline, for as long as it lasts, from the beginning of the window that
    showed it: what flows all the time, without what people used beside it."""

    def __init__(self, track: Track, window: Window, yardstick: Yardstick) -> None:
        self._track = track
        self._window = window
        self._yardstick = yardstick

    def begin(self, at: Millis) -> Began:
        """The least rate of the window, per hour."""
        self._track.catch_up(at)
        return Began(at - self._window.over, self._window.value())

    def amount(self, began: Began, at: Millis) -> Amount:
        """That rate less what is usual, by the hours; never below 0."""
        stick, hours = self._yardstick, (at - began.at) / HOUR_MS
        usual = stick.value(at)
        if usual is None:
            return Amount(None, basis=stick.words, weak=stick.weak or "no baseline for this time")
        if began.counter is None:
            return Amount(None, basis=stick.words, weak="the rate is not known from its beginning")
        spread = stick.spread(began.at, at)
        value = max(0.0, began.counter - usual) * hours
        return Amount(value, None if spread is None else SURE * spread, stick.words)


class Averages:
    """Arithmetic over the averages of roles, the duration in hours, and parameters."""

    def __init__(
        self, text: str, tree: ast.expr, params: Mapping[str, float],
        roles: Mapping[str, Sequence[tuple[Track, Tally]]],
    ) -> None:  # fmt: skip
        self._text = text
        self._tree = tree
        self._params = dict(params)
        self._roles = roles
        self._marks: dict[int, Tallied] = {}

    def begin(self, at: Millis) -> Began:
        """All averages count from now."""
        self._marks = {id(tally): _so_far(track, tally, at) for track, tally in self._all()}
        return Began(at)

    def amount(self, began: Began, at: Millis) -> Amount:
        """With the averages of several points of a role added up."""
        names = {**self._params, "duration": (at - began.at) / HOUR_MS}
        for role, points in self._roles.items():
            means = [self._mean(track, tally, at) for track, tally in points]
            known = [mean for mean in means if mean is not None]
            if not known:
                return Amount(None, weak=f"no values of {role}")
            names[average_name(role)] = sum(known)
        try:
            return Amount(arithmetic.value_of(self._tree, self._text, names), basis=self._text)
        except ValueError as error:
            return Amount(None, weak=str(error))

    def _mean(self, track: Track, tally: Tally, at: Millis) -> float | None:
        now = _so_far(track, tally, at)
        before = self._marks.get(id(tally), Tallied(0.0, 0))
        if now.span > before.span:
            return (now.area - before.area) / (now.span - before.span)
        return track.value if isinstance(track.value, float) else None

    def _all(self) -> list[tuple[Track, Tally]]:
        return [pair for points in self._roles.values() for pair in points]


def _so_far(track: Track, tally: Tally, at: Millis) -> Tallied:
    track.catch_up(at)
    return tally.so_far(at)


class Assessor:
    """The findings of one rule on one scope."""

    def __init__(
        self,
        spec: FindingSpec,
        unit: str,
        estimate: Estimate | None,
        suspects: Sequence[tuple[str, Estimate]] = (),
    ) -> None:
        self._spec = spec
        self._unit = unit
        self._estimate = estimate
        self._suspects = tuple(suspects)
        self._shown: Finding | None = None

    def follow(self, before: AlarmState, transition: Transition) -> Transition:
        """The transition, with the finding that begins or ends with it."""
        state = transition.state
        runs = state.is_raised or state.sighted
        if runs and not before.found:
            return self._begin(before, transition)
        if not runs and before.found:
            ended = replace(state, found="", found_at=None, found_from=None)
            at = before.since if before.condition is Condition.CLEARING else transition.at
            finding = self._finding(before, max(at, before.found_at or at))
            return replace(transition, state=ended, finding=replace(finding, ended_at=at))
        return transition

    def present(self, state: AlarmState, at: Millis) -> Finding | None:
        """The finding that goes on, as of `at`."""
        return self._finding(state, at) if state.found else None

    def _begin(self, before: AlarmState, transition: Transition) -> Transition:
        at = before.since if before.condition is Condition.PENDING else transition.at
        began = Began(at) if self._estimate is None else self._estimate.begin(transition.at)
        began = began if began.at < at else Began(at, began.counter)
        state = transition.state
        name = f"{state.rule}.{state.scope}.{base36(began.at)}"
        state = replace(state, found=name, found_at=began.at, found_from=began.counter)
        return replace(transition, state=state, finding=self._finding(state, transition.at))

    def _finding(self, state: AlarmState, at: Millis) -> Finding:
        began = Began(state.found_at or at, state.found_from)
        amount = Amount(None) if self._estimate is None else self._estimate.amount(began, at)
        return Finding(
            id=state.found,
            rule=state.rule,
            scope=state.scope,
            kind=self._spec.kind,
            began_at=began.at,
            amount=amount.value,
            spread=amount.spread,
            unit=self._unit if self._estimate is not None else "",
            basis=amount.basis,
            weak=amount.weak,
            suspects=self._ranked(at),
            device=state.device,
            point=state.point,
            value=state.value,
            message=state.message,
        )

    def _ranked(self, at: Millis) -> tuple[Suspect, ...]:
        """The sub-meters by their excess over the last window, the greatest first."""
        found = []
        for device, excess in self._suspects:
            grown = excess.amount(excess.begin(at), at).value
            if grown:
                found.append(Suspect(device, grown))
        top = 0 if self._spec.suspects is None else self._spec.suspects.top
        return tuple(sorted(found, key=lambda one: (-one.excess, one.device))[:top])
