"""Delivers stored pushes: tries until the receiver says yes, or no for good."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import msgspec

from drivers.reading import Millis
from edge.channels.bucket import Bucket
from edge.channels.channel import Notice, Undelivered
from edge.channels.route import Route
from edge.pipeline.channel_health import ChannelHealth
from edge.pipeline.push_shelf import PushShelf
from edge.store.alarms import AlarmStore, Push

_LOG = logging.getLogger(__name__)

EXPIRY_MS = 24 * 3600 * 1000
"""A push older than a day tells nobody anything new; it fails as expired."""
FIRST_MS = 2_000
LONGEST_MS = 300_000
MOST_AT_ONCE = 500
LONG_MS = 30_000
"""What a provider wants so much later goes to the fallback channels now, and is tried then too."""
DIGEST_LINES = 20
DIGEST_FROM = 5
"""So many due pushes of priority 3 and 4 on one channel go out as one message."""


class Notifier:
    """One stage: due pushes out, verdicts back into the store. `tell` gets settled pushes."""

    def __init__(
        self,
        store: AlarmStore,
        routes: Sequence[Route],
        clock: Callable[[], Millis],
        tell: Callable[[Push], None],
    ) -> None:
        self.health = ChannelHealth(clock)
        self._store = store
        self._shelf = PushShelf(store)
        self._routes = {route.channel.name: route for route in routes}
        self._clock = clock
        self._tell = tell
        self._buckets = {name: Bucket(route.rate, clock()) for name, route in self._routes.items()}
        self._busy: set[str] = set()
        self._fresh: deque[Push] = deque(maxlen=MOST_AT_ONCE)
        store.tell_of_pushes(self._arrive)
        self._woken = asyncio.Event()
        self._random = random.Random()  # noqa: S311  # jitter, not a secret
        self.delivered = 0
        self.failed = 0

    def wake(self) -> None:
        """There may be new pushes."""
        self._woken.set()

    def _arrive(self, pushes: Sequence[Push]) -> None:
        """New pushes, durable already: they need not be read back."""
        self._fresh.extend(pushes)
        self._woken.set()

    def _arrived(self) -> list[Push]:
        """What arrived and can go at once; all else is found on disk when its time has come."""
        now = self._clock()
        ready = [
            push
            for push in self._fresh
            if push.due_at <= now and push.channel not in self._busy and push.id not in self._shelf
        ]
        self._fresh.clear()
        return sorted(ready, key=lambda push: push.priority)

    def hold(self, pushes: Sequence[Push]) -> None:
        """Takes pushes that could not be stored: they leave from memory."""
        self._shelf.hold(pushes)
        self._woken.set()

    @property
    def errors(self) -> Mapping[str, str]:
        """The last failure of each channel that does not get through."""
        return self.health.errors

    @property
    def held(self) -> int:
        """Pushes that stand in memory only."""
        return len(self._shelf)

    async def run(self) -> None:
        """Delivers until cancelled. Each channel has a lane of its own: one that hangs holds up no other."""
        with contextlib.suppress(sqlite3.OperationalError):
            self.health.restore(await self._store.failing_channels(), self._routes)
        self._busy.clear()
        self._fresh.clear()
        async with asyncio.TaskGroup() as group:
            while True:
                self._woken.clear()
                pushes = self._arrived() or await self._shelf.due(self._clock(), MOST_AT_ONCE, self._busy)
                lanes: dict[str, list[Push]] = {}
                for push in pushes:
                    lanes.setdefault(push.channel, []).append(push)
                for channel, lane in lanes.items():
                    self._busy.add(channel)
                    group.create_task(self._drive(channel, lane), name=f"pushes of {channel}")
                if not pushes:
                    wait_s = await self._shelf.wait_s(self._clock(), self._busy)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(wait_s):
                            await self._woken.wait()

    async def _drive(self, channel: str, pushes: Sequence[Push]) -> None:
        """One lane; when it is done, the channel's next pushes are looked for."""
        try:
            await self._lane(pushes)
        finally:
            self._busy.discard(channel)
            self._woken.set()

    async def watch(self) -> None:
        """Looks now and then at channels that can be checked without a message, until cancelled."""
        await self.health.watch([route.channel for route in self._routes.values()])

    async def _lane(self, pushes: Sequence[Push]) -> None:
        """One channel's due pushes, the most urgent first; many small ones as one digest.

        When the provider takes no more now, or an attempt fails, the rest waits too.
        """
        minor = [push for push in pushes if push.priority >= 3]
        if len(minor) < DIGEST_FROM:
            minor = []
        for number, push in enumerate(pushes):
            if push in minor:
                break
            if not await self._one(push, [push], pushes[number + 1 :]):
                return
        if minor:
            await self._one(digest_of(minor), minor, [])

    async def _one(self, push: Push, covered: Sequence[Push], behind: Sequence[Push]) -> bool:
        """Sends one message that stands for the covered pushes; False when the lane must wait."""
        bucket = self._buckets.get(push.channel)
        wait = bucket.wait_ms(push.priority, self._clock()) if bucket else 0
        if wait:
            await self._postpone((*covered, *behind), self._clock() + wait, "waits for the rate limit")
            return False
        settled = await self._deliver(push)
        in_digest = f"in a digest of {len(covered)}: " if len(covered) > 1 else ""
        outcomes = [
            replace(
                settled, id=one.id, occurrence=one.occurrence, priority=one.priority, body=one.body,
                created_at=one.created_at, detail=f"{in_digest}{settled.detail}",
            )
            for one in covered
        ]  # fmt: skip
        await self._shelf.settle(outcomes)
        if settled.state == "pending":
            outcomes += await self._postpone(
                behind, settled.due_at, f"waits behind another: {settled.detail}"
            )
        await self._fall_back([one for one in outcomes if _needs_another(one, self._clock())])
        for one in outcomes[: len(covered)]:
            self._tell(one)
        return settled.state != "pending"

    async def _postpone(self, pushes: Sequence[Push], until: Millis, why: str) -> list[Push]:
        """Puts off what is due earlier; those pushes."""
        later = [replace(push, due_at=until, detail=why) for push in pushes if push.due_at < until]
        await self._shelf.settle(later)
        return later

    async def _fall_back(self, unheard: Sequence[Push]) -> None:
        """What did not get through goes to its desk's fallback channels, once whatever is tried again."""
        others = [other for push in unheard for other in self._others(push)]
        if others:
            try:
                await self._store.save([], others)
            except sqlite3.OperationalError:
                self._shelf.hold(others)

    def _others(self, push: Push) -> list[Push]:
        used = self._routes.get(push.channel)
        desk = used.desk if used else push.channel.partition(".")[0]
        return [
            replace(
                push, id=f"{push.id.removesuffix(push.channel)}{name}", channel=name, attempts=0,
                due_at=self._clock(), state="pending", settled_at=None, detail="",
            )
            for name, route in self._routes.items()
            if route.desk == desk and route.fallback and name != push.channel
            and push.priority in route.channel.priorities
        ]  # fmt: skip

    async def _deliver(self, push: Push) -> Push:
        """One attempt; the push with its verdict."""
        now = self._clock()
        route = self._routes.get(push.channel)
        if route is None:
            return self._failed(push, now, "this channel is no longer configured")
        if now - push.created_at > EXPIRY_MS:
            return self._failed(push, now, "expired after a day")
        attempts = push.attempts + 1
        try:
            answer = await route.channel.send(msgspec.json.decode(push.body, type=Notice))
        except Undelivered as error:
            self.health.failed(push.channel, str(error))
            if error.final:
                return self._failed(replace(push, attempts=attempts), now, str(error))
            wait = self._wait_ms(attempts, error.retry_after_s)
            _LOG.info(
                "%s: push %s not delivered, again in %d s: %s", push.channel, push.id, wait // 1000, error
            )
            return replace(push, attempts=attempts, due_at=now + wait, detail=str(error))
        self.delivered += 1
        self.health.worked(push.channel)
        return replace(push, attempts=attempts, state="delivered", settled_at=self._clock(), detail=answer)

    def _wait_ms(self, attempts: int, wish_s: float | None) -> int:
        backoff = min(LONGEST_MS, FIRST_MS << min(attempts - 1, 10))
        jittered = backoff * self._random.uniform(0.5, 1.0)
        return round(max(jittered, (wish_s or 0) * 1000))

    def _failed(self, push: Push, now: Millis, detail: str) -> Push:
        self.failed += 1
        if push.channel in self._routes:
            self.health.failed(push.channel, detail)
        _LOG.error("%s: push %s failed for good: %s", push.channel, push.id, detail)
        return replace(push, state="failed", settled_at=now, detail=detail)


def _needs_another(push: Push, now: Millis) -> bool:
    """What was refused for good, what a provider wants much later, and every emergency that failed once."""
    late = push.priority == 1 or push.due_at - now >= LONG_MS
    return push.state == "failed" or (push.state == "pending" and late)


def digest_of(pushes: Sequence[Push]) -> Push:
    """One push that stands for many: a line each, the newest last."""
    notices = [msgspec.json.decode(push.body, type=Notice) for push in pushes]
    lines = [
        f"{'恢复' if n.change == 'cleared' else '报警'} {n.place} {n.title} {n.message}".strip()
        for n in notices
    ]
    shown = lines if len(lines) <= DIGEST_LINES else [*lines[:DIGEST_LINES], f"…… 共 {len(lines)} 条"]
    last = notices[-1]
    notice = replace(
        last, id=f"digest.{pushes[0].id}", change="digest", occurrence="", title=f"{len(lines)} 条消息",
        place="", message="\n".join(shown), guide="", device="", point="", value=None, unit="",
    )  # fmt: skip
    return replace(pushes[-1], id=notice.id, body=msgspec.json.encode(notice).decode())
