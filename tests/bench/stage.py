"""What all loads share: the systems, a scratch folder, a broker and a district; and what a run gives."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.broker import Broker
from tests.bench.child import Child
from tests.bench.defaults import GROUP_S
from tests.bench.processes import Launch, Running
from tests.bench.system import System, Targets
from tests.support.ports import free_port

PATIENCE_S = 60.0
PLATFORM_S = 20.0


class NotReady(Exception):
    """A system did not come to work in time."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one system gave in one repetition of one load. Figures are named in `catalogue.py`, in SI units;
    `curves` are whole distributions for the plots; `failed` says why there are no figures."""

    load: str
    system: str
    figures: Mapping[str, float | None] = field(default_factory=dict)
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things are looked at, in seconds, and how often.

    Windows last whole `groups`, so that each holds as many commits and writes as any other; they begin
    `settle_s` after all devices were read, or when a system says that it works as it will go on (its
    `warm_s`), whichever is later. With `past_days` or `card_s` at 0 that part is left out. `limit_s`: no
    load begins later than that, should a machine be far slower than others.
    """

    repetitions: int = 3
    side_repetitions: int = 3
    settle_s: float = 15.0
    groups: int = 3
    latency_s: float = 10.0
    outage_s: float = 30.0
    presses: int = 200
    line_s: float = 600.0
    backlog_points: int = 2_000_000
    history_s: int = 86_400
    card_s: int = 43_200
    past_days: int = 30
    memory_s: float = 3600.0
    limit_s: float = 6 * 3600.0
    quick: bool = False

    @property
    def window_s(self) -> float:
        """How long a window of steady work lasts."""
        return self.groups * GROUP_S


QUICK = Pace(
    repetitions=1, side_repetitions=1, settle_s=2.0, groups=1, latency_s=3.0, outage_s=15.0, presses=30,
    line_s=180.0, backlog_points=200_000, history_s=7_200, card_s=0, past_days=0, memory_s=300.0,
    limit_s=285.0, quick=True,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stage:
    """One run of the benchmark; `say` tells a person what goes on."""

    folder: Path
    systems: Sequence[System]
    pace: Pace
    broker: Broker
    platform: Child
    district: Child
    say: Callable[[str], None]

    def targets(self, hook: str = "http://127.0.0.1:9/") -> Targets:
        """Where a system may connect, with a port of its own."""
        return Targets(self.broker.port, self.district.ready, hook, free_port())

    def scratch(self, name: str) -> Path:
        """A fresh folder."""
        folder = self.folder / f"{name}-{time.monotonic_ns()}"
        folder.mkdir()
        return folder

    def able(self) -> list[System]:
        """The systems that can run here."""
        return [system for system in self.systems if not system.missing]

    def in_turn(
        self, load: str, repetitions: int, one: Callable[[System], Sample | None]
    ) -> Iterator[Sample]:
        """What each system gives in turn, the first one changing from round to round; `None` is left out.

        Behind each one, whatever happened, broker and district are as they were at first: a broker that
        ran on would keep for this gateway's session what is published while the others are at work.
        """
        able = self.able()
        for number in range(repetitions):
            shift = number % max(1, len(able))
            for system in able[shift:] + able[:shift]:
                self.say(f"{load}: {system.title}, run {number + 1} of {repetitions}")
                try:
                    sample = one(system)
                except NotReady as error:
                    sample = Sample(load, system.name, failed=str(error))
                finally:
                    self.broker.stop()
                    self.broker.start()
                    self.until_answered()
                    self.district.ask("switch", down=False)
                    self.district.ask("clear")
                if sample is not None:
                    yield sample

    def until_answered(self) -> None:
        """Waits until the server side of the peers is back at its broker."""
        until = time.monotonic() + PLATFORM_S
        while not self.platform.ask("listening"):
            if time.monotonic() > until:
                raise NotReady("the platform did not come back to its broker")
            time.sleep(0.1)


@contextmanager
def running(launch: Launch) -> Iterator[Running]:
    """The system while the context lasts; then it is killed: nobody waits for how it would end."""
    process = Running(launch)
    try:
        yield process
    finally:
        process.kill()


def settle(stage: Stage, system: System, since: float) -> None:
    """Waits until the system, which works since then (monotonic s), works as it will go on."""
    time.sleep(max(0.0, since + settled_after(stage.pace, system) - time.monotonic()))


def settled_after(pace: Pace, system: System) -> float:
    """Seconds from the first readings of all devices until a window may begin."""
    return max(pace.settle_s, system.warm_s)


def wait_for(
    process: Running,
    what: str,
    condition: Callable[[], bool],
    patience_s: float = PATIENCE_S,
    every_s: float = 0.05,
) -> None:
    """Until the condition holds; NotReady when the system ends or takes too long."""
    until = time.monotonic() + patience_s
    while not condition():
        if not process.alive:
            raise NotReady(f"ended before {what}: {process.tail()}")
        if time.monotonic() > until:
            raise NotReady(f"not {what} within {patience_s:.0f} s: {process.tail()}")
        time.sleep(every_s)
