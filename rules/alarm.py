"""An alarm's life, stored and sent; the words of ISA-18.2."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from drivers.reading import Millis


class Condition(StrEnum):
    """Where the condition of a rule instance stands."""

    NORMAL = "normal"
    PENDING = "pending"
    ACTIVE = "active"
    CLEARING = "clearing"


class Change(StrEnum):
    """What happened in a transition."""

    PENDED = "pended"  # condition true, `for` runs
    DROPPED = "dropped"  # false again before `for` ran out: a near miss
    RAISED = "raised"
    CLEARING = "clearing"
    REASSERTED = "reasserted"  # true again while clearing: the same occurrence
    CLEARED = "cleared"
    ACKED = "acked"
    RESET = "reset"
    QUALITY = "quality"  # data became stale or good again
    CLOSED = "closed"  # the rule was edited or removed


@dataclass(frozen=True, slots=True)
class AlarmState:
    """The whole state of one rule instance (`rule` on `scope`), as persisted.

    `scope` is the space, device or site id the instance is bound to. `since` is the
    event time of the last change of `condition`. `occurrence` is the id of the current
    or last occurrence, empty before the first. `value` and `point` show what raised it.
    """

    rule: str
    scope: str
    condition: Condition = Condition.NORMAL
    since: Millis = 0
    occurrence: str = ""
    raised_at: Millis | None = None
    cleared_at: Millis | None = None
    acked: bool = True
    acked_by: str = ""
    acked_at: Millis | None = None
    note: str = ""
    latched: bool = False
    stale: bool = False
    reasserts: int = 0
    priority: int = 4
    device: str = ""
    point: str = ""
    value: float | bool | str | None = None
    unit: str = ""
    message: str = ""
    semantic_hash: str = ""

    @property
    def isa(self) -> str:
        """The ISA-18.2 state name (A Normal ... F Latched ack)."""
        if self.condition in (Condition.ACTIVE, Condition.CLEARING):
            return "acknowledged" if self.acked else "unacknowledged"
        if self.latched:
            return "latched_acknowledged" if self.acked else "latched_unacknowledged"
        return "normal" if self.acked else "returned_unacknowledged"


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of one instance: its state behind the change, and when in event time.

    `notify` is true when a person must hear of it (raised, or cleared after a raise).
    """

    change: Change
    state: AlarmState
    at: Millis
    notify: bool = False
