"""Destinations, as JSON."""

from __future__ import annotations

from edge.web.views.base import Instant, View


class QuarantinedView(View):
    """One entry that a destination refused for good."""

    at: Instant
    line: str
    status: int
    reason: str


class ComparedView(View):
    """What the nightly comparison with the destination came to; `reason` says why not all was compared.
    `permitted` is false where nothing may be read there."""

    at: Instant
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
    differing: int
    permitted: bool


class SyncView(View):
    """One destination; `received` is what a stand-in holds, null for a real district. `hours_pending`
    is null where no hourly figures are sent. With `comparing` what it holds is compared every night;
    `compared` is null before the first time."""

    id: str
    url: str
    stand_in: bool
    pending: int
    oldest_pending: Instant | None
    last_success: Instant | None
    rate_per_s: float
    sent: int
    quarantined: int
    quarantine: list[QuarantinedView]
    blocked: bool
    reason: str
    received: int | None
    hours_pending: int | None
    hours_trouble: str
    comparing: bool
    compared: ComparedView | None
