"""What every demo stands on: a free port, a data folder, a world with its devices, and how it ends."""

from __future__ import annotations

import asyncio
import signal
import socket
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from drivers.simulated.broker import Login
from drivers.simulated.device import VirtualDevice
from drivers.simulated.field import Field
from drivers.simulated.physics import School
from drivers.simulated.scenario import Scenario, prepare, start_of
from drivers.simulated.signals import handles
from drivers.simulated.signals import signal as signal_of
from drivers.simulated.spaces import Space
from edge.config.configuration import Configuration
from edge.demo_agent import DemoFailed


def must_be_free(port: int) -> None:
    """Raises DemoFailed when somebody listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise DemoFailed(f"port {port} is taken: choose another one with --port") from error


@contextmanager
def data_folder(data: Path | None) -> Iterator[Path]:
    """The folder to keep data in, or one that is gone afterwards."""
    if data is not None:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        yield data.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="campus-edge-demo-") as folder:
        yield Path(folder).resolve()


def play(
    configuration: Configuration, login: Login | None, seed: int, scenario: Scenario
) -> tuple[School, Field]:
    """The world of a school and its devices, from the profiles of the configuration."""
    settings = configuration.settings
    start = start_of(scenario)
    spaces = [Space(s.id, s.kind, s.parent or "", s.area_m2 or 0.0, s.seats or 0) for s in settings.spaces]
    school = School(spaces, seed, start)
    devices = [
        VirtualDevice(
            model.settings,
            model.profile,
            model.points,
            {
                point: signal_of(school, name, model.kind, model.space, point, spec)
                for point, spec in model.points.items()
            },
            handles(school, model.kind, model.space),
        )
        for name, model in configuration.devices.items()
    ]
    prepare(school, scenario, start)
    school.warm_up()
    return school, Field(settings.lines, devices, seed, login)


async def interruptible(run: Callable[[], Awaitable[int]]) -> int:
    """Runs a demo; a signal before it plays cancels it, so that nothing is left running."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - this is a task
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await run()
    except asyncio.CancelledError:  # the end of the program: nobody above waits for it
        return 0


def told(console: Console, group: BaseExceptionGroup[Any], code: int) -> int:
    """Says each error of a group in a line and gives the exit code."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            told(console, error, code)
        else:
            console.print(str(error) or repr(error), style="red", markup=False)
    return code
