"""An alarm's life, stored and sent; the words of ISA-18.2."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from drivers.reading import Millis
from rules.finding import Finding


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
    ANNOUNCED = "announced"  # held back or hidden before; now a person hears of it
    SUPPRESSED = "suppressed"  # its parent is the alarm; `suppressed_by` names that occurrence
    RELEASED = "released"  # the parent is gone and this is not
    SHELVED = "shelved"
    UNSHELVED = "unshelved"
    OUT_OF_SERVICE = "out_of_service"  # its device is being worked on
    IN_SERVICE = "in_service"
    REALARMED = "realarmed"  # acknowledged, and still there after `realarm`
    DIGEST = "digest"  # one notice for all alarms of a rule in a building, during a flood
    NOTED = "noted"  # something only the record needs: first of a burst, a sighting, an inner timer


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
    told: bool = False
    """A person heard of this occurrence: then they hear of its end, whatever lies over it."""
    announced_at: Millis | None = None
    """When a person last heard of this instance, alone or in a digest."""
    held_until: Millis | None = None
    """A notice waits until then: for the parent's diagnosis, or for its digest."""
    suppressed_by: str = ""
    """The parent's occurrence that explains this one."""
    digest: str = ""
    """The digest that this occurrence is told in."""
    first_out: bool = False
    """The first in time of a burst."""
    shelved_until: Millis | None = None
    shelved_by: str = ""
    shelved_reason: str = ""
    oos_until: Millis | None = None
    """Out of service until then: somebody works on the device, by `oos_order`."""
    oos_by: str = ""
    oos_order: str = ""
    chattering: bool = False
    """It came too often: held until it is quiet for ten minutes."""
    raises: tuple[Millis, ...] = ()
    """When it was last raised, newest last; for chattering."""
    sightings: tuple[Millis, ...] = ()
    """Episodes seen by a rule that wants several before it raises."""
    sighted: bool = False
    """The running episode is among the sightings."""
    hushed: bool = False
    """`suppress_when` holds, or did so until a moment ago."""
    hushed_until: Millis | None = None
    timers: tuple[Millis | None, ...] = ()
    """Since when the parts of the condition that have a `for` of their own hold."""
    silent: bool = False
    """A finding or an event: it calls nobody, and is in no list of alarms."""
    found: str = ""
    """The finding that goes on."""
    found_at: Millis | None = None
    found_from: float | None = None
    """What the counter showed when it began."""
    interlocks: tuple[str, ...] = ()
    """The interlocks of its actions that hold, or cannot be told, while it is raised."""

    @property
    def isa(self) -> str:
        """The ISA-18.2 state name (A Normal ... F Latched ack, G Shelved, H Suppressed, I Out of service)."""
        if self.is_open and self.oos_until is not None:
            return "out_of_service"
        if self.is_open and self.shelved_until is not None:
            return "shelved"
        if self.suppressed_by or (self.held_until is not None and not self.digest):
            return "suppressed"
        if self.condition in (Condition.ACTIVE, Condition.CLEARING):
            return "acknowledged" if self.acked else "unacknowledged"
        if self.latched:
            return "latched_acknowledged" if self.acked else "latched_unacknowledged"
        return "normal" if self.acked else "returned_unacknowledged"

    @property
    def hidden(self) -> bool:
        """Whether people are not to hear of it now: put aside, explained by its parent, or held back."""
        return self.aside or bool(self.suppressed_by) or self.held_until is not None

    @property
    def aside(self) -> bool:
        """Whether a person has put it aside: shelved, or out of service."""
        return self.shelved_until is not None or self.oos_until is not None

    @property
    def is_raised(self) -> bool:
        """Whether the occurrence runs: active or clearing."""
        return self.condition in (Condition.ACTIVE, Condition.CLEARING)

    @property
    def is_open(self) -> bool:
        """Whether anybody may still have to do something: it runs, was not seen, or is latched."""
        return self.is_raised or not self.acked or self.latched


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of one instance: its state behind the change, and when in event time.

    `notify` is true when a person must hear of it (raised, or cleared after a raise). A
    notice that stands for several occurrences says of how many, and of which `group` (a
    building's id). `finding` is the rule's finding where it begins or ends with this change.
    """

    change: Change
    state: AlarmState
    at: Millis
    notify: bool = False
    count: int = 1
    group: str = ""
    finding: Finding | None = None
