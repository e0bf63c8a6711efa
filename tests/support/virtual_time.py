"""An event loop whose clock jumps to the next timer: hours of line traffic in a second.

Only for code that waits on timers and futures; real sockets would starve. Work in threads takes
no time: the clock stands until it is done.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.outside = 0
        """Pieces of work in threads that are not done."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.outside and timeout != 0:
            return super().select(None)  # whoever ends wakes the loop
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`time()` is virtual and starts at 0."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds."""
        return self._jumping.now

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Work in a thread, during which the clock stands."""
        self._jumping.outside += 1
        done = super().run_in_executor(executor, func, *args)
        done.add_done_callback(self._came_back)
        return done

    def _came_back(self, _: asyncio.Future[Any]) -> None:
        self._jumping.outside -= 1


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine on a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
