"""Pushes that the disk refuses: they stand in memory until it takes them, and leave all the same, once."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

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

    def hold(self, pushes: Sequence[Push]) -> None:
        """Takes pushes that could not be stored; one that is known stays as it is."""
        for push in pushes:
            if len(self._memory) < LIMIT:
                self._memory.setdefault(push.id, push)

    async def due(self, now: Millis, limit: int) -> list[Push]:
        """Pending pushes whose time has come, the most urgent first, each once."""
        await self._offer()
        try:
            found = await self._store.due_pushes(now, limit)
        except sqlite3.OperationalError:
            found = []
        found = [push for push in found if push.id not in self._memory]
        found += [p for p in self._memory.values() if p.state == "pending" and p.due_at <= now]
        return sorted(found, key=lambda push: (push.priority, push.created_at))

    async def wait_s(self, now: Millis) -> float | None:
        """How long nothing is due, `None` for as long as nobody says so."""
        try:
            due = await self._store.next_push_due()
        except sqlite3.OperationalError:
            due = None
        wait = None if due is None else max(0.05, (due - now) / 1000)
        if not self._memory:
            return wait
        return min(AGAIN_S, AGAIN_S if wait is None else max(wait, 1.0))

    async def settle(self, push: Push) -> None:
        """Keeps the outcome of an attempt: on disk, else in memory."""
        if push.id not in self._memory:
            try:
                await self._store.settle_push(push)
            except sqlite3.OperationalError:
                self._memory[push.id] = push
            return
        self._memory[push.id] = push

    async def _offer(self) -> None:
        """Hands to the disk what stands in memory, as far as it takes it."""
        for push in list(self._memory.values()):
            try:
                await self._store.keep_push(push)
            except sqlite3.OperationalError:
                return
            if self._memory.get(push.id) is push:
                del self._memory[push.id]
