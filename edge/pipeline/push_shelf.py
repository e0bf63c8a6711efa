"""Pushes that the disk refuses: they stand in memory until it takes them, and leave all the same, once."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence

from drivers.reading import Millis
from edge.store.alarms import AlarmStore, Push

AGAIN_S = 5.0
"""What stands in memory is offered to the disk this often."""
LIMIT = 10_000


class PushShelf:
    """The store's pushes, seen through what only memory knows of them."""

    def __init__(self, store: AlarmStore) -> None:
        self._store = store
        self._memory: dict[str, Push] = {}
        self._due: Millis | None = None

    def __len__(self) -> int:
        return len(self._memory)

    def __contains__(self, push: str) -> bool:
        """Whether a push of that id stands in memory."""
        return push in self._memory

    def hold(self, pushes: Sequence[Push]) -> None:
        """Takes pushes that could not be stored; one that is known stays as it is."""
        for push in pushes:
            if len(self._memory) < LIMIT:
                self._memory.setdefault(push.id, push)

    async def due(self, now: Millis, limit: int, but: Collection[str] = ()) -> list[Push]:
        """Pending pushes whose time has come, most urgent first, each once; not of the channels `but`."""
        await self._offer()
        try:
            found = await self._store.due_pushes(now, limit, but)
        except sqlite3.OperationalError:
            found = []
        found = [push for push in found if push.id not in self._memory]
        held = (p for p in self._memory.values() if p.state == "pending" and p.channel not in but)
        found += [p for p in held if p.due_at <= now]
        return sorted(found, key=lambda push: (push.priority, push.created_at))

    async def wait_s(self, now: Millis, but: Collection[str] = ()) -> float | None:
        """How long nothing is due, `None` for as long as nobody says so; the channels `but` say so."""
        try:
            due = await self._store.next_push_due(but)
        except sqlite3.OperationalError:
            due = None
        wait = None if due is None else max(0.05, (due - now) / 1000)
        if not self._memory:
            return wait
        return min(AGAIN_S, AGAIN_S if wait is None else max(wait, 1.0))

    async def settle(self, pushes: Sequence[Push]) -> None:
        """Keeps the outcome of an attempt: on disk, else in memory."""
        stored = [push for push in pushes if push.id not in self._memory]
        self._memory |= {push.id: push for push in pushes if push.id in self._memory}
        if stored:
            try:
                await self._store.settle_pushes(stored)
            except sqlite3.OperationalError:
                self._memory |= {push.id: push for push in stored}

    async def _offer(self) -> None:
        """Hands to the disk what stands in memory, as far as it takes it."""
        for push in list(self._memory.values()):
            try:
                await self._store.keep_push(push)
            except sqlite3.OperationalError:
                return
            if self._memory.get(push.id) is push:
                del self._memory[push.id]
