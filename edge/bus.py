"""Readings inside the process: one publisher side, several subscribers, bounded queues."""

from __future__ import annotations

import asyncio
from collections import deque
from enum import StrEnum

from drivers.reading import Batch


class Overflow(StrEnum):
    """What a full subscription does."""

    WAIT = "wait"  # the publisher waits: nothing is lost
    DROP_OLDEST = "drop_oldest"  # counted in `dropped`


class Subscription:
    """One subscriber's queue of batches, bounded by its number of readings."""

    def __init__(self, name: str, limit: int, overflow: Overflow) -> None:
        self.name = name
        self.dropped = 0
        self._limit = limit
        self._overflow = overflow
        self._batches: deque[Batch] = deque()
        self._size = 0
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()

    @property
    def size(self) -> int:
        """Readings that wait."""
        return self._size

    async def put(self, batch: Batch) -> None:
        """Adds a batch under the overflow policy."""
        while self._size and self._size + len(batch) > self._limit:
            if self._overflow is Overflow.WAIT:
                self._drained.clear()
                await self._drained.wait()
            else:
                lost = self._batches.popleft()
                self._size -= len(lost)
                self.dropped += len(lost)
        self._batches.append(batch)
        self._size += len(batch)
        self._filled.set()

    async def get(self) -> Batch:
        """The oldest batch; waits for one."""
        while not self._batches:
            self._filled.clear()
            await self._filled.wait()
        batch = self._batches.popleft()
        self._size -= len(batch)
        self._drained.set()
        return batch


class ReadingBus:
    """Publishes each batch to every subscription."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []

    def subscribe(self, name: str, *, limit: int, overflow: Overflow) -> Subscription:
        """A new subscription; `limit` in readings."""
        subscription = Subscription(name, limit, overflow)
        self._subscriptions.append(subscription)
        return subscription

    async def publish(self, batch: Batch) -> None:
        """Hands a batch to all; returns when every subscription has taken it."""
        for subscription in self._subscriptions:
            await subscription.put(batch)

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """All subscriptions, for health and metrics."""
        return tuple(self._subscriptions)
