"""One alarm's life, as pure transitions of its state (ISA-18.2 / IEC 62682).

       C true            since + for                  C false
normal ------> pending -------------> active ------------------> clearing
   ^             | C false               ^   C true again            |
   |-------------'                       '---------------------------|
   '------------------------ since + clear_for ----------------------'

Acknowledging stands beside this: it never clears, and clearing never acknowledges. A
latched alarm waits in normal for its reset.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from drivers.reading import Millis, Value
from rules.alarm import AlarmState, Change, Condition, Transition

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
AUTO_ACK_MS = 86_400_000
"""A returned, unacknowledged alarm of priority 3 or 4 acknowledges itself after a day."""
AUTO_ACK_FROM = 3
CHATTER = ((3, 60_000), (6, 3_600_000))
"""So many raises in so long are chattering (ISA-18.2: three in a minute)."""
CHATTER_QUIET_MS = 600_000
"""A chattering alarm clears after so long without its condition."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What of a rule drives the life of its alarms; times in milliseconds."""

    for_ms: Millis = 0
    clear_for_ms: Millis = 0
    latch: bool = False
    min_active_ms: Millis = 0
    confirm: int = 1
    """How many episodes `confirm_ms` apart at most make an alarm."""
    confirm_ms: Millis = 0
    may_chatter: bool = False
    """Whether an alarm that comes too often is held; never what saves lives."""


class Cause(NamedTuple):
    """What made the condition true, for people to read."""

    device: str = ""
    point: str = ""
    value: Value | None = None
    unit: str = ""
    message: str = ""


def base36(number: int) -> str:
    """A non-negative number in digits and small letters."""
    text = ""
    while number > 0:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text or "0"


def due(state: AlarmState, timing: Timing) -> Millis | None:
    """When the state changes by itself if nothing else happens; None for never."""
    if state.condition is Condition.PENDING:
        return None if state.sighted else state.since + timing.for_ms
    if state.condition is Condition.CLEARING:
        return _clears(state, timing)
    waits = state.condition is Condition.NORMAL and not state.acked and not state.latched
    if waits and state.priority >= AUTO_ACK_FROM and state.cleared_at is not None:
        return state.cleared_at + AUTO_ACK_MS
    return None


def becomes_true(state: AlarmState, at: Millis, timing: Timing, cause: Cause) -> list[Transition]:
    """The condition is true at `at`; nothing when it was already pending or active."""
    if state.condition is Condition.NORMAL:
        if timing.for_ms <= 0:
            return [_seen(state, at, timing, cause)]
        pended = replace(state, condition=Condition.PENDING, since=at)
        return [Transition(Change.PENDED, pended, at)]
    if state.condition is Condition.CLEARING:
        again = replace(state, condition=Condition.ACTIVE, since=at, reasserts=state.reasserts + 1)
        return [Transition(Change.REASSERTED, again, at)]
    return []


def becomes_false(state: AlarmState, at: Millis, timing: Timing) -> list[Transition]:
    """The condition is false at `at`; nothing when it was already normal or clearing."""
    if state.condition is Condition.PENDING:
        return [drop(state, at)]
    if state.condition is Condition.ACTIVE:
        clearing = replace(state, condition=Condition.CLEARING, since=at)
        if _clears(clearing, timing) <= at:
            return [_cleared(state, at)]
        return [Transition(Change.CLEARING, clearing, at)]
    return []


def elapse(state: AlarmState, timing: Timing, cause: Cause) -> list[Transition]:
    """The time of `due` has come: pending becomes active, clearing becomes normal, both at that time."""
    at = due(state, timing)
    if at is None:
        return []
    if state.condition is Condition.PENDING:
        return [_seen(state, at, timing, cause)]
    if state.condition is Condition.CLEARING:
        return [_cleared(state, at)]
    return acknowledge(state, "auto", "", at)


def drop(state: AlarmState, at: Millis) -> Transition:
    """Pending ends without an alarm."""
    dropped = replace(state, condition=Condition.NORMAL, since=at, sighted=False)
    return Transition(Change.DROPPED, dropped, at)


def restart(state: AlarmState, at: Millis) -> Transition:
    """Pending or clearing counts anew from `at`, because too much time passed without data."""
    change = Change.PENDED if state.condition is Condition.PENDING else Change.CLEARING
    return Transition(change, replace(state, since=at), at)


def disarm(state: AlarmState, at: Millis) -> list[Transition]:
    """The rule's active time is over: back to normal; told only where a raise was."""
    if state.condition is Condition.PENDING:
        return [drop(replace(state, stale=False), at)]
    if state.condition in (Condition.ACTIVE, Condition.CLEARING):
        return [_cleared(replace(state, stale=False), at)]
    return mark(state, stale=False, at=at)


def close(state: AlarmState, at: Millis) -> list[Transition]:
    """The rule was changed or removed, or the scope is no longer bound: nothing is left open."""
    raised = state.condition in (Condition.ACTIVE, Condition.CLEARING)
    if not (
        raised or state.condition is Condition.PENDING or state.latched or not state.acked or state.stale
    ):
        return []
    closed = replace(
        state,
        condition=Condition.NORMAL,
        since=at,
        cleared_at=at if raised else state.cleared_at,
        acked=True,
        latched=False,
        stale=False,
        suppressed_by="",
        held_until=None,
        shelved_until=None,
    )
    return [Transition(Change.CLOSED, closed, at, notify=raised and state.told)]


def mark(state: AlarmState, *, stale: bool, at: Millis) -> list[Transition]:
    """The condition can no longer be told, or can again; nothing when that was known."""
    if state.stale == stale:
        return []
    return [Transition(Change.QUALITY, replace(state, stale=stale), at)]


def acknowledge(state: AlarmState, user: str, note: str, at: Millis) -> list[Transition]:
    """A person has seen it; nothing when one had."""
    if state.acked:
        return []
    acked = replace(state, acked=True, acked_by=user, acked_at=at, note=note)
    return [Transition(Change.ACKED, acked, at)]


def reset(state: AlarmState, user: str, note: str, at: Millis) -> list[Transition]:
    """A person has looked on site and lets a latched alarm go; nothing while it is not both
    latched and back to normal."""
    if state.condition is not Condition.NORMAL or not state.latched:
        return []
    seen = state if state.acked else replace(state, acked=True, acked_by=user, acked_at=at)
    return [Transition(Change.RESET, replace(seen, latched=False, note=note or state.note), at)]


def _seen(state: AlarmState, at: Millis, timing: Timing, cause: Cause) -> Transition:
    """An alarm, or one of the sightings that it takes to make one: then pending goes on until the
    condition ends."""
    if timing.confirm <= 1:
        return _raised(state, at, timing, cause)
    seen = (*(when for when in state.sightings if at - when < timing.confirm_ms), at)
    if len(seen) >= timing.confirm:
        return _raised(replace(state, sightings=()), at, timing, cause)
    since = at if state.condition is Condition.NORMAL else state.since
    noted = replace(state, condition=Condition.PENDING, since=since, sightings=seen, sighted=True)
    return Transition(Change.NOTED, noted, at)


def _clears(state: AlarmState, timing: Timing) -> Millis:
    """When a clearing alarm is normal."""
    wait = max(timing.clear_for_ms, CHATTER_QUIET_MS) if state.chattering else timing.clear_for_ms
    least = (state.raised_at or 0) + timing.min_active_ms if timing.min_active_ms else 0
    return max(state.since + wait, least)


def _chatters(raises: tuple[Millis, ...]) -> bool:
    return any(len(raises) >= n and raises[-1] - raises[-n] <= span for n, span in CHATTER)


def shelve(state: AlarmState, user: str, reason: str, until: Millis, at: Millis) -> list[Transition]:
    """A person puts it aside until then, for a reason: it goes on, and nobody hears of it."""
    shelved = replace(state, shelved_until=until, shelved_by=user, shelved_reason=reason)
    return [Transition(Change.SHELVED, shelved, at)]


def unshelve(state: AlarmState, at: Millis) -> list[Transition]:
    """Its time on the shelf is over; one that is still there makes itself heard again."""
    if state.shelved_until is None:
        return []
    back = replace(state, shelved_until=None, shelved_by="", shelved_reason="")
    return [Transition(Change.UNSHELVED, back, at)]


def out_of_service(state: AlarmState, user: str, order: str, until: Millis, at: Millis) -> list[Transition]:
    """Its device is worked on until then: it goes on, nobody hears of it, nothing is done about it."""
    out = replace(state, oos_until=until, oos_by=user, oos_order=order)
    return [Transition(Change.OUT_OF_SERVICE, out, at)]


def into_service(state: AlarmState, at: Millis) -> list[Transition]:
    """The work is done; an alarm that is still there makes itself heard."""
    if state.oos_until is None:
        return []
    back = replace(state, oos_until=None, oos_by="", oos_order="")
    return [Transition(Change.IN_SERVICE, back, at)]


def realarm(state: AlarmState, at: Millis) -> list[Transition]:
    """Seen long ago and still there: unacknowledged again (OPC UA ReAlarmTime)."""
    again = replace(state, acked=False, acked_by="", acked_at=None)
    return [Transition(Change.REALARMED, again, at)]


def _raised(state: AlarmState, at: Millis, timing: Timing, cause: Cause) -> Transition:
    # Two occurrences of one instance in one millisecond still need two names.
    stamp = at if state.raised_at is None else max(at, state.raised_at + 1)
    raises = (*state.raises, at)[-CHATTER[-1][0] :] if timing.may_chatter else ()
    raised = replace(
        state,
        condition=Condition.ACTIVE,
        since=at,
        occurrence=f"{state.rule}.{state.scope}.{base36(stamp)}",
        raised_at=stamp,
        cleared_at=None,
        acked=False,
        acked_by="",
        acked_at=None,
        note="",
        latched=timing.latch,
        reasserts=0,
        device=cause.device,
        point=cause.point,
        value=cause.value,
        unit=cause.unit,
        message=cause.message,
        raises=raises,
        chattering=_chatters(raises),
        sighted=False,
        told=False,
        held_until=None,
        suppressed_by="",
        digest="",
        first_out=False,
    )
    return Transition(Change.RAISED, raised, at, notify=True)


def _cleared(state: AlarmState, at: Millis) -> Transition:
    # Nobody was told of it, so nobody has to say that he saw it.
    unheard = state.oos_until is not None and not state.told
    acked = state.acked or unheard or bool(state.suppressed_by) or state.held_until is not None
    cleared = replace(
        state,
        condition=Condition.NORMAL,
        since=at,
        cleared_at=at,
        acked=acked,
        suppressed_by="",
        held_until=None,
        raises=() if state.chattering else state.raises,
        chattering=False,
    )
    return Transition(Change.CLEARED, cleared, at, notify=state.told)
