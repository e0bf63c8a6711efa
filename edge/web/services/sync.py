"""How a destination fares: what waits, what it refused, what the comparison with it came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from drivers.reading import Millis


class Quarantined(NamedTuple):
    """One entry that a destination refused for good: its line protocol, HTTP status and reason."""

    at: Millis
    line: str
    status: int
    reason: str


class Compared(NamedTuple):
    """What a comparison of the last days with the destination came to. `differing` fields were not the
    same, in which `missing` values were lacking there; `resent` entries went again, after which `still`
    fields differ. `surplus` fields hold more there; `spots` single points were read back, `spots_wrong` of
    them were not as sent. `reason` says why nothing, or not all, was compared; `permitted` is false where
    the school may not read there."""

    at: Millis
    same: bool
    days: int
    values: int
    missing: int
    resent: int
    still: int
    surplus: int
    spots: int
    spots_wrong: int
    reason: str
    differing: int = 0
    permitted: bool = True


@dataclass(frozen=True, slots=True)
class SyncStatus:
    """One destination. `received` is what a stand-in holds, `None` for a real district;
    `quarantine` shows the newest of the `quarantined` entries. Of hourly figures `hours_pending`
    hours wait, `None` where none are sent. With `comparing` what it holds is compared every night;
    `compared` is `None` before the first time."""

    id: str
    url: str
    stand_in: bool = False
    pending: int = 0
    oldest_pending: Millis | None = None
    last_success: Millis | None = None
    rate_per_s: float = 0.0
    sent: int = 0
    quarantined: int = 0
    quarantine: tuple[Quarantined, ...] = ()
    blocked: bool = False
    reason: str = ""
    received: int | None = None
    hours_pending: int | None = None
    hours_trouble: str = ""
    comparing: bool = False
    compared: Compared | None = None
