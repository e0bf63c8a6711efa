"""Keeps the store small: seals what is old enough, rolls up days, gives up what the budget asks for.

Order of giving up: raw values that every destination holds, the oldest day first; raw values that
some lack, the oldest first, replaced by minute rollups; minute rollups. Quarter-hour rollups (the
last reading of each counter among them), alarms and audit are never given up.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from drivers.reading import Millis
from edge.store import archive, catalogue, cursors, spans
from edge.store.ballast import SIZE
from edge.store.catalogue import DAY_MS, PARTS, Batch, Day, Policy
from edge.store.cursors import Held
from edge.store.database import Database
from edge.store.helper import Helper

_LOG = logging.getLogger(__name__)

HOUR = 3_600_000
EVERY_S, PEEK_S = 60.0, 10.0
"""A round once a minute; a file that refuses to be written is noticed sooner."""
WORK_LIMIT_S = 600.0
DELETE_ROWS = 5_000
BREATH_S = 0.02
"""Between two steps of a longer deletion, so that readings are stored in between."""
MEASURED_DAYS = 7
TURNOVER_DAYS = 2.0
"""A store that has given up days and has room for fewer than this lives from giving up more."""
FULL_SHARE = 0.95
"""From this share of the volume on the store gives up what it may, whatever its own budget says."""
LEAST_SPARE = 2 * SIZE
"""And where less than this is free: readings are refused before (`edge.store.folder`)."""
IDLE_SHARE = 4
"""Free pages of the hot file beyond this part of the budget are given back to the volume."""
GIVE_BACK_PAGES = 2_000

Shed = Literal["raw_held", "raw_unsent", "minutes"]


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is kept: raw values for `keep_raw` ms at most, all files within `max_bytes`. Moments stay
    rows for `hot` ms and are sealed in runs of `span` ms."""

    keep_raw: Millis
    max_bytes: int
    hot: Millis = HOUR
    span: Millis = 6 * HOUR


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How full the store is. `days_left` until the budget is full at the rate of the last days;
    `None` while no day is complete, 0 when old days already make room for new ones."""

    used_bytes: int = 0
    max_bytes: int = 0
    oldest: Millis | None = None
    bytes_per_day: float | None = None
    days_left: float | None = None
    bytes_per_point: float | None = None
    shed_points: Mapping[Shed, int] = field(default_factory=dict)


def spare_bytes(folder: Path) -> int:
    """What may be written on a folder's volume until it is too full; negative when it is."""
    volume = os.statvfs(folder)
    reserve = max(volume.f_blocks * volume.f_frsize * (1 - FULL_SHARE), LEAST_SPARE)
    return round(volume.f_bavail * volume.f_frsize - reserve)


class Archivist:
    """Works on the telemetry file's readings; `held` says when nothing may be sealed (a salvage
    is bringing rows back, or times are still to be repaired)."""

    def __init__(
        self,
        database: Database,
        keeping: Keeping,
        destinations: Sequence[str],
        clock: Callable[[], Millis],
        held: Callable[[], bool] = lambda: False,
        spare: Callable[[Path], int] = spare_bytes,
    ) -> None:
        self._database = database
        self._data = database.path.parent
        self._keeping = keeping
        self._destinations = list(destinations)
        self._clock = clock
        self._held = held
        self._spare = spare
        self._helper = Helper(self._data, idle_s=5.0)
        self.occupancy = Occupancy(max_bytes=keeping.max_bytes)
        self.last_error = ""

    async def run(self) -> None:
        """Works once a minute until cancelled."""
        try:
            await self.recover()
            while True:
                await self._attempt()
                waited = 0.0
                while waited < EVERY_S and not (self._database.error and waited):
                    await asyncio.sleep(PEEK_S)
                    waited += PEEK_S
        finally:
            await self.close()

    async def close(self) -> None:
        """Ends the helper process."""
        await self._helper.close()

    @property
    def helper_starts(self) -> int:
        """How often a process was started for the work."""
        return self._helper.starts

    async def _attempt(self) -> None:
        """One round; a disk that refuses is told once and tried again."""
        try:
            await self.step()
        except (sqlite3.DatabaseError, OSError) as error:
            if str(error) != self.last_error:
                _LOG.error("readings cannot be sealed: %s", error)
            self.last_error = str(error)
        else:
            self.last_error = ""

    async def recover(self) -> None:
        """Names sealed files that a lost telemetry file had named, and removes those that were given
        up when the last run ended."""
        known = {day.key: day for day in await self._database.read(catalogue.days)}
        found = await asyncio.to_thread(self._found)
        lost = [b for key, batches in found.items() if key not in known for b in batches]
        if lost:
            await self._database.run(lambda connection: _adopt(connection, lost))
        for key, day in known.items():
            if not day.raw:
                await asyncio.to_thread(catalogue.raw_file(self._data, key).unlink, missing_ok=True)

    def _found(self) -> dict[int, list[Batch]]:
        found = {}
        for path in sorted((self._data / catalogue.FOLDER).glob("raw-*.db")):
            key = catalogue.key_of(path.name)
            if key is not None:
                try:
                    found[key] = archive.batches_in(path, key)
                except sqlite3.DatabaseError as error:
                    _LOG.error("%s is left out: %s", path.name, error)
        return found

    async def step(self) -> None:
        """Seals, rolls up and gives up what is due. Raises sqlite3.DatabaseError where the disk refuses."""
        try:
            await self._shrink()
        finally:  # on a full disk that fails, and this makes the room for it
            await self._fit()
            await self._measure()

    async def _shrink(self) -> None:
        if not self._held():
            while await self._seal():
                pass
            await self._delete_sealed()
        await self._roll_up()
        await self._retire()

    async def _seal(self) -> bool:
        keeping = self._keeping
        now, policy = self._clock(), Policy(keeping.hot, keeping.span)
        if await self._database.read(lambda c: catalogue.due(c, now, policy)) is None:
            return False
        made = await self._helper.call(
            "seal", list[Batch], now, keeping.hot, keeping.span, timeout_s=WORK_LIMIT_S
        )
        if not made:
            return False
        (batch,) = made
        await self._database.run(lambda connection: catalogue.register(connection, batch))
        _LOG.info("sealed %d readings of %d moments", batch.points, batch.moments)
        return True

    async def _delete_sealed(self) -> None:
        if not await self._database.read(catalogue.has_sealed_rows):
            return
        if await self._database.run(spans.drop_sealed):
            return
        deleted = DELETE_ROWS
        while deleted == DELETE_ROWS:
            deleted = await self._database.run(lambda c: catalogue.delete_sealed(c, DELETE_ROWS))
            await asyncio.sleep(BREATH_S)
        await self._database.run(spans.forget_sealed)

    async def _roll_up(self) -> None:
        """Every day behind which another one has begun is complete."""
        days = await self._database.read(catalogue.days)
        for day in days[:-1]:
            if day.raw and not day.rolled:
                await self._helper.call("roll_up", int, day.key, timeout_s=WORK_LIMIT_S)
                await self._database.run(lambda c, key=day.key: catalogue.mark_rolled(c, key))  # type: ignore[misc]

    async def _retire(self) -> None:
        """Raw values older than `keep_raw` go when every destination holds them."""
        before = self._clock() - self._keeping.keep_raw
        held = await self._held_by_all()
        for day in _held_days(await self._database.read(catalogue.days), held):
            if _end(day) <= before:
                await self._drop_raw(day, minutes=False)

    async def _fit(self) -> None:
        """Gives up in the stated order until everything fits into the budget."""
        if await asyncio.to_thread(self._too_full):
            await self._give_back()
        while await asyncio.to_thread(self._too_full):
            held = await self._held_by_all()
            days = await self._database.read(catalogue.days)
            raw = [day for day in days if day.raw and day.rolled]
            sent = _held_days(days, held)
            if sent:
                await self._drop_raw(sent[0], minutes=False, shed="raw_held")
            elif raw:
                minutes = await self._helper.call("keep_minutes", int, raw[0].key, timeout_s=WORK_LIMIT_S)
                await self._drop_raw(raw[0], minutes=minutes > 0, shed="raw_unsent")
            elif fine := [day for day in days if day.minutes]:
                await self._drop_minutes(fine[0])
            else:
                return

    async def _give_back(self) -> None:
        """Folds the hot file's log, and makes the file smaller where it has grown far beyond what it needs:
        before anything is lost."""
        await self._database.fold()
        size, free = await self._database.read(_pages)
        excess = free - self._keeping.max_bytes // IDLE_SHARE // size
        while excess > 0:
            pages = min(excess, GIVE_BACK_PAGES)
            await self._database.run(partial(_vacuum, pages=pages))
            excess -= pages
            await self._database.fold()
            await asyncio.sleep(BREATH_S)

    def _too_full(self) -> bool:
        return archive.used(self._data) > self._keeping.max_bytes or self._spare(self._data) < 0

    async def _held_by_all(self) -> Held:
        def look(connection: sqlite3.Connection) -> Held:
            return cursors.common([cursors.held(connection, name) for name in self._destinations])

        return await self._database.read(look)

    async def _drop_raw(self, day: Day, *, minutes: bool, shed: Shed | None = None) -> None:
        path = catalogue.raw_file(self._data, day.key)
        size = await asyncio.to_thread(archive.size_of, path)

        def note(connection: sqlite3.Connection) -> None:
            catalogue.give_up_raw(connection, day.key, minutes=minutes)
            if shed is not None:
                catalogue.count_shed(connection, shed, day.points, size)
            if shed == "raw_unsent":  # no destination waits for what is gone
                cursors.give_up(connection, day.last_id)
                for name in self._destinations:  # one that was never reached has no cursor yet
                    cursors.accept(connection, name, None, day.last_id, 0)

        await self._note(note, path)
        if shed is not None:
            _LOG.warning("%s (%d readings) was given up: the store's budget is full", path.name, day.points)

    async def _drop_minutes(self, day: Day) -> None:
        path = catalogue.minutes_file(self._data, day.key)
        size = await asyncio.to_thread(archive.size_of, path)

        def note(connection: sqlite3.Connection) -> None:
            catalogue.give_up_minutes(connection, day.key)
            catalogue.count_shed(connection, "minutes", 0, size)

        await self._note(note, path)

    async def _note(self, note: Callable[[sqlite3.Connection], None], path: Path) -> None:
        """Notes that a file is given up, then removes it; on a full disk the other way round."""
        try:
            await self._database.run(note)
        except sqlite3.OperationalError:
            if self._spare(self._data) >= 0:
                raise
            await asyncio.to_thread(path.unlink, missing_ok=True)
            await self._database.run(note, leave_room=False)
        await asyncio.to_thread(path.unlink, missing_ok=True)

    async def _measure(self) -> None:
        days = await self._database.read(catalogue.days)
        shed = await self._database.read(
            lambda c: {row[0]: row[1] for row in c.execute("SELECT what, points FROM shed")}
        )
        self.occupancy = await asyncio.to_thread(_occupancy, self._data, self._keeping.max_bytes, days, shed)


def _occupancy(data: Path, budget: int, days: Sequence[Day], shed: Mapping[Shed, int]) -> Occupancy:
    used = archive.used(data)
    raw = [day for day in days if day.raw]
    complete = [day for day in raw if day.rolled][-MEASURED_DAYS:]
    per_day = per_point = left = None
    if complete:
        size = archive.size_of(*(catalogue.raw_file(data, day.key) for day in complete))
        calendar = complete[-1].key // PARTS - complete[0].key // PARTS + 1
        per_day = size / calendar
        points = sum(day.points for day in complete)
        per_point = size / points if points else None
        left = max(0.0, (budget - used) / per_day)
        if shed and left < TURNOVER_DAYS:
            left = 0.0
    return Occupancy(
        used, budget, min((day.first_at for day in raw), default=None), per_day, left, per_point, dict(shed)
    )


def _pages(connection: sqlite3.Connection) -> tuple[int, int]:
    """Bytes of a page, and how many are free."""
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    return int(size), int(free)


def _vacuum(connection: sqlite3.Connection, pages: int) -> None:
    for _ in range(pages):  # each step of the statement gives one page back, and only the first is made
        connection.execute("PRAGMA incremental_vacuum(1)").fetchall()


def _held_days(days: Sequence[Day], held: Held) -> list[Day]:
    """The rolled-up days with raw values of which nothing waits any more."""
    befores = [0, *(day.last_id for day in days)]
    return [
        day
        for before, day in zip(befores, days, strict=False)
        if day.raw and day.rolled and held.covers(before, day.last_id)
    ]


def _end(day: Day) -> Millis:
    return (day.key // PARTS + 1) * DAY_MS


def _adopt(connection: sqlite3.Connection, batches: Sequence[Batch]) -> None:
    """A batch whose rows are still hot was never named: it is left to the next sealing."""
    lost = [
        batch
        for batch in batches
        if connection.execute("SELECT 1 FROM moments WHERE id=?", (batch.last_id,)).fetchone() is None
    ]
    catalogue.adopt(connection, lost)
    if lost:
        _LOG.warning("%d sealed batches were found that the telemetry file did not know", len(lost))
