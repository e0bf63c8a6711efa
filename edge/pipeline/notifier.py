"""Delivers stored pushes: tries until the receiver says yes, or no for good."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from drivers.reading import Millis
from edge.channels.channel import Channel, Notice, Undelivered
from edge.store.alarms import AlarmStore, Push

_LOG = logging.getLogger(__name__)

EXPIRY_MS = 24 * 3600 * 1000
"""A push older than a day tells nobody anything new; it fails as expired."""
FIRST_MS = 2_000
LONGEST_MS = 300_000


class Notifier:
    """One stage: due pushes out, verdicts back into the store. `tell` gets settled pushes."""

    def __init__(
        self,
        store: AlarmStore,
        channels: Sequence[Channel],
        clock: Callable[[], Millis],
        tell: Callable[[Push], None],
    ) -> None:
        self._store = store
        self._channels = {channel.name: channel for channel in channels}
        self._clock = clock
        self._tell = tell
        self._woken = asyncio.Event()
        self._random = random.Random()  # noqa: S311  # jitter, not a secret
        self.delivered = 0
        self.failed = 0
        self.errors: dict[str, str] = {}

    def wake(self) -> None:
        """There may be new pushes."""
        self._woken.set()

    async def run(self) -> None:
        """Delivers until cancelled."""
        while True:
            self._woken.clear()
            pushes = await self._store.due_pushes(self._clock())
            if pushes:
                lanes: dict[str, list[Push]] = {}
                for push in pushes:
                    lanes.setdefault(push.channel, []).append(push)
                async with asyncio.TaskGroup() as group:  # one channel's trouble is not another's
                    for lane in lanes.values():
                        group.create_task(self._lane(lane))
                continue
            due = await self._store.next_push_due()
            wait_s = None if due is None else max(0.05, (due - self._clock()) / 1000)
            try:
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def _lane(self, pushes: Sequence[Push]) -> None:
        """One channel's pushes in turn; after a failure the rest of the lane waits too."""
        for number, push in enumerate(pushes):
            settled = await self._deliver(push)
            await self._store.settle_push(settled)
            self._tell(settled)
            if settled.state == "pending":
                for other in pushes[number + 1 :]:
                    if other.due_at < settled.due_at:
                        await self._store.settle_push(replace(other, due_at=settled.due_at))
                return

    async def _deliver(self, push: Push) -> Push:
        """One attempt; the push with its verdict."""
        now = self._clock()
        channel = self._channels.get(push.channel)
        if channel is None:
            return self._failed(push, now, "this channel is no longer configured")
        if now - push.created_at > EXPIRY_MS:
            return self._failed(push, now, "expired after a day")
        attempts = push.attempts + 1
        try:
            answer = await channel.send(msgspec.json.decode(push.body, type=Notice))
        except Undelivered as error:
            self.errors[push.channel] = str(error)
            if error.final:
                return self._failed(replace(push, attempts=attempts), now, str(error))
            wait = self._wait_ms(attempts, error.retry_after_s)
            _LOG.info(
                "%s: push %s not delivered, again in %d s: %s", push.channel, push.id, wait // 1000, error
            )
            return replace(push, attempts=attempts, due_at=now + wait, detail=str(error))
        self.delivered += 1
        self.errors.pop(push.channel, None)
        return replace(push, attempts=attempts, state="delivered", settled_at=self._clock(), detail=answer)

    def _wait_ms(self, attempts: int, wish_s: float | None) -> int:
        backoff = min(LONGEST_MS, FIRST_MS << min(attempts - 1, 10))
        jittered = backoff * self._random.uniform(0.5, 1.0)
        return round(max(jittered, (wish_s or 0) * 1000))

    def _failed(self, push: Push, now: Millis, detail: str) -> Push:
        self.failed += 1
        self.errors[push.channel] = detail
        _LOG.error("%s: push %s failed for good: %s", push.channel, push.id, detail)
        return replace(push, state="failed", settled_at=now, detail=detail)
