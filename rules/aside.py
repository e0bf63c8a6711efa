"""What people put aside, and for how long at most: alarms on the shelf, devices out of service."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from drivers.reading import Millis
from rules.monitor import Monitor
from rules.rulebook import Rule

MAX_SHELF_MS = 7 * 86_400_000
MAX_OUT_MS = 30 * 86_400_000


class NotShelvable(ValueError):
    """This alarm is not put aside; the message says why."""


class NotTakenOut(ValueError):
    """This device is not taken out of service; the message says why."""


class Outage(NamedTuple):
    """A device that somebody works on: by which order, who said so, until when."""

    device: str
    order: str
    by: str
    until: Millis


def check_shelf(rule: Rule, reason: str, until: Millis, at: Millis) -> None:
    """Raises NotShelvable where an alarm of a rule may not lie on the shelf until then."""
    if rule.priority == 1 or not rule.shelvable:
        raise NotShelvable("this alarm may not be shelved: it guards lives, or its rule says so")
    if not reason.strip():
        raise NotShelvable("an alarm is shelved for a reason: say it")
    if not at < until <= at + MAX_SHELF_MS:
        raise NotShelvable("an alarm is shelved for at most seven days, until a time still to come")


def check_outage(order: str, until: Millis, at: Millis) -> None:
    """Raises NotTakenOut where an order does not take a device out of service until then."""
    if not order.strip():
        raise NotTakenOut("a device is taken out of service by a work order: name it")
    if not at < until <= at + MAX_OUT_MS:
        raise NotTakenOut("a device is out of service for at most thirty days, until a time still to come")


def outages_of(monitors: Iterable[Monitor]) -> list[Outage]:
    """The devices that are out of service, by their ids."""
    found = {
        device: Outage(device, m.state.oos_order, m.state.oos_by, m.state.oos_until)
        for m in monitors
        if m.state.oos_until is not None
        for device in m.devices
    }
    return [found[device] for device in sorted(found)]
