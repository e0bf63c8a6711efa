"""How the destinations fare: what waits, what they refused, what the comparison with them came to."""

from __future__ import annotations

from collections.abc import Sequence

from cloud_sync.reconcile import Reconciliation
from cloud_sync.uploader import Uploader
from edge.northbound import Northbound
from edge.reconciliation import NO_TOKEN
from edge.web.services.sync import Compared, Quarantined, SyncStatus


async def destinations(north: Northbound) -> Sequence[SyncStatus]:
    """Every destination."""
    return [await _destination(north, uploader) for uploader in north.uploaders]


async def _destination(north: Northbound, uploader: Uploader) -> SyncStatus:
    status = await uploader.status()
    parked = await north.quarantine.list(status.id)
    stand_in = north.stand_ins.get(status.id)
    hourly, nightly = north.hourly.get(status.id), north.nightly.get(status.id)
    return SyncStatus(
        id=status.id,
        url=status.url,
        stand_in=stand_in is not None,
        pending=status.pending,
        oldest_pending=status.oldest,
        last_success=status.last_success,
        rate_per_s=status.rate_per_s,
        sent=status.sent,
        quarantined=await north.quarantine.count(status.id),
        quarantine=tuple(Quarantined(p.at, p.line, p.status, p.reason) for p in parked),
        blocked=status.blocked,
        reason=status.reason or status.fault,
        received=await stand_in.points() if stand_in else None,
        hours_pending=None if hourly is None else (await hourly.status()).pending,
        hours_trouble="" if hourly is None else hourly.trouble,
        comparing=nightly is not None,
        compared=None if nightly is None or nightly.last is None else compared(nightly.last),
    )


def compared(found: Reconciliation) -> Compared:
    """A comparison in sum over its streams and days; a day that could not be compared is not counted."""
    return Compared(
        at=found.at,
        same=found.same,
        days=len({day.since for day in found.days if not day.skipped}),
        values=sum(day.values for day in found.days),
        missing=sum(day.missing for day in found.days),
        resent=sum(day.resent for day in found.days),
        still=sum(day.still for day in found.days),
        surplus=sum(day.surplus for day in found.days),
        spots=found.spot.asked,
        spots_wrong=found.spot.wrong,
        reason=found.reason,
        differing=sum(day.differing for day in found.days),
        permitted=found.reason != NO_TOKEN,
    )
