"""Counters of energy, water and passages: from what the meter shows to what was consumed; pure.

    corrected = face + offset       the face is the meter's own number, the offset starts at 0

The corrected value never falls and never leaps. What an honest meter cannot do in the time
that passed is a bad reading; when it goes on, the offset is changed so that the corrected
value continues where it stood, and a `Correction` tells people about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from drivers.reading import Millis

CONFIRM = 3
"""So many readings in a row must agree before a number that cannot follow is believed."""
TIGHTEST_MS = 60_000
"""Shorter times count as this long: meters count in steps, and times of reading jitter."""
NEAR_END = 0.9
"""A rollover leads from the last tenth of the range to the first."""
HALF = 0.5
"""A meter that falls below half of what it showed is another one, or was set to zero."""

FELL = "counter_fell"
TOO_FAST = "rate"


class Change(StrEnum):
    """Why a counter did not simply grow."""

    ROLLOVER = "rollover"  # all its digits are used up: it began again at 0
    REPLACED = "replaced"  # another meter, or the same set to zero
    RATIO = "ratio"  # its transformers' ratios were set anew
    SET_BACK = "set_back"  # a little lower, and it stays there
    SET_FORWARD = "set_forward"  # higher than can have been consumed, and it stays there


class Correction(NamedTuple):
    """A change of the offset: what the face showed before and after, and the offset from now on."""

    change: Change
    at: Millis
    before: float
    after: float
    offset: float


@dataclass(frozen=True, slots=True)
class RegisterLimits:
    """What a model of meter can do: where its counter starts again at 0 (None: unknown), how
    much it counts per minute at most (None: unknown), and its smallest step."""

    rolls_at: float | None = None
    max_rate: float | None = None
    step: float = 0.0


class RegisterState(NamedTuple):
    """What must outlive a restart: the last face believed, when, and the offset."""

    face: float
    at: Millis
    offset: float


class Taken(NamedTuple):
    """The corrected value, None with its `reason` for a bad reading; and the correction made."""

    value: float | None
    reason: str = ""
    correction: Correction | None = None


class _Doubt(NamedTuple):
    """Readings in a row that agree with each other and not with what was believed."""

    first: float
    last: float
    at: Millis
    agreed: int


class Register:
    """One counter. Feed it every good reading; what it needs for the next run is `state`."""

    __slots__ = ("_announced", "_doubt", "_per_ms", "_rolls_at", "_step", "state")

    def __init__(self, limits: RegisterLimits, state: RegisterState | None = None) -> None:
        self.state = state
        self._rolls_at = limits.rolls_at
        self._step = limits.step
        self._per_ms = None if limits.max_rate is None else limits.max_rate / 60_000
        self._doubt: _Doubt | None = None
        self._announced: Change | None = None

    def announce(self, change: Change) -> None:
        """The meter itself said that it is another one (serial number) or has other ratios."""
        self._announced = change

    def past(self, face: float) -> float:
        """The corrected value of an older reading that comes late; nothing is learnt from it."""
        return face if self.state is None else _rounded(face + self.state.offset)

    def take(self, face: float, at: Millis) -> Taken:
        """The next reading of the face."""
        state = self.state
        if state is None:
            self.state = RegisterState(face, at, 0.0)
            return Taken(face)
        if self._announced is not None:
            return self._renewed(state, self._announced, face, at)
        doubt = self._doubt
        climbing = doubt is not None and doubt.last > state.face
        if self._follows(state.face, state.at, face, at) and not (climbing and self._agrees(face, at)):
            return self._believe(state, face, at)
        if self._rolled(state, face, at):
            return self._rebase(Change.ROLLOVER, state, face, at, state.offset + (self._rolls_at or 0.0))
        return self._question(state, face, at)

    def _follows(self, face: float, since: Millis, later: float, at: Millis) -> bool:
        """Whether the face can have grown so in that time."""
        return face <= later <= face + self._most(since, at)

    def _most(self, since: Millis, at: Millis) -> float:
        if self._per_ms is None:
            return float("inf")
        return max(at - since, TIGHTEST_MS) * self._per_ms + self._step

    def _agrees(self, face: float, at: Millis) -> bool:
        doubt = self._doubt
        return doubt is not None and self._follows(doubt.last, doubt.at, face, at)

    def _rolled(self, state: RegisterState, face: float, at: Millis) -> bool:
        end = self._rolls_at
        if end is None or not state.face < end or state.face < NEAR_END * end or face > (1 - NEAR_END) * end:
            return False
        return face >= 0 and end - state.face + face <= min(
            self._most(state.at, at), 2 * (1 - NEAR_END) * end
        )

    def _believe(self, state: RegisterState, face: float, at: Millis) -> Taken:
        self._doubt = None
        self.state = RegisterState(face, at, state.offset)
        return Taken(_rounded(face + state.offset) if state.offset else face)

    def _rebase(self, change: Change, state: RegisterState, face: float, at: Millis, offset: float) -> Taken:
        self._doubt = self._announced = None
        offset = _rounded(offset)
        self.state = RegisterState(face, at, offset)
        return Taken(_rounded(face + offset), "", Correction(change, at, state.face, face, offset))

    def _question(self, state: RegisterState, face: float, at: Millis) -> Taken:
        """A number that cannot follow: bad, until `CONFIRM` of them in a row agree."""
        doubt = self._doubt
        if doubt is not None and self._agrees(face, at):
            doubt = _Doubt(doubt.first, face, at, doubt.agreed + 1)
        else:
            doubt = _Doubt(face, face, at, 1)
        self._doubt = doubt
        if doubt.agreed < CONFIRM:
            return Taken(None, FELL if face < state.face else TOO_FAST)
        offset = state.face + state.offset - doubt.first
        return self._rebase(_kind(state.face, doubt.first), state, face, at, offset)

    def _renewed(self, state: RegisterState, change: Change, face: float, at: Millis) -> Taken:
        """The first reading after an announced change: a new start, whatever it shows."""
        if change is Change.RATIO and self._follows(state.face, state.at, face, at):
            return self._rebase(change, state, face, at, state.offset)  # it counts on as before
        first = self._doubt.first if self._doubt is not None and self._agrees(face, at) else face
        return self._rebase(change, state, face, at, state.face + state.offset - first)


def _kind(before: float, after: float) -> Change:
    if after >= before:
        return Change.SET_FORWARD
    return Change.REPLACED if after < HALF * before else Change.SET_BACK


def _rounded(value: float) -> float:
    return round(value, 6)
