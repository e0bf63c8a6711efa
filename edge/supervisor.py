"""Keeps tasks alive: the only backoff and the only broad `except` in the house."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

_LOG = logging.getLogger(__name__)

STABLE_S = 60.0
"""A task that ran this long starts over with the shortest pause."""


@dataclass(slots=True)
class TaskHealth:
    """How one supervised task fares."""

    name: str
    running: bool = False
    restarts: int = 0
    last_error: str = ""
    since: float = 0.0


class Supervisor:
    """Runs named tasks in one task group and restarts those that raise, with backoff."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self.tasks: dict[str, TaskHealth] = {}

    def keep(
        self, name: str, run: Callable[[], Awaitable[None]], *, first_s: float = 0.5, longest_s: float = 30.0
    ) -> asyncio.Task[None]:
        """Starts `run` and starts it again after each error, first after `first_s`, at
        most after `longest_s`, with jitter. A normal return ends the task for good."""
        health = self.tasks[name] = TaskHealth(name)
        return self._group.create_task(self._keep(health, run, first_s, longest_s), name=name)

    async def _keep(
        self, health: TaskHealth, run: Callable[[], Awaitable[None]], first_s: float, longest_s: float
    ) -> None:
        pause = first_s
        while True:
            started = time.monotonic()
            health.running, health.since = True, started
            try:
                await run()
            except Exception as error:  # noqa: BLE001  # the one place: whatever fails is counted and restarted
                self._note(health, error)
            else:
                health.last_error = ""
                return
            finally:
                health.running = False
            if time.monotonic() - started > STABLE_S:
                pause = first_s
            await asyncio.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311  # jitter, not a secret
            pause = min(pause * 2, longest_s)

    @staticmethod
    def _note(health: TaskHealth, error: Exception) -> None:
        message = f"{type(error).__name__}: {error}"
        health.restarts += 1
        if message != health.last_error:  # a steady failure is told once
            known = isinstance(error, OSError) or type(error).__module__.startswith(("drivers", "cloud_sync"))
            _LOG.warning("%s failed, restarting: %s", health.name, message, exc_info=None if known else error)
        health.last_error = message
