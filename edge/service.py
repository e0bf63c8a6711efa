"""`campus-edge run`: the gateway as a process, from its arguments to its end.

It stands apart from the other commands so that a process that runs for years does not
carry what only a terminal needs.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import logging
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge.lean import lean

if TYPE_CHECKING:
    from edge.config.configuration import Configuration

DEFAULT_DATA = Path("/var/lib/campus-edge")


class Unusable(Exception):
    """The configuration or a secret is wrong; the text says where and what mends it."""


def main(arguments: Sequence[str]) -> int:
    """Runs until SIGTERM; the exit code: 0 fine, 1 failed at run time, 2 wrong usage or configuration."""
    parser = argparse.ArgumentParser(
        prog="campus-edge run",
        description="Runs the gateway until SIGTERM; SIGHUP reads the configuration again.",
    )
    parser.add_argument("-c", "--config", type=Path, required=True, help="the school's configuration file")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of the databases")
    parser.add_argument("-v", "--verbose", action="store_true", help="log every frame in hex")
    parser.add_argument("--demo", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    gc.set_threshold(*SELDOM)
    _few_arenas()
    lean()
    from edge.store.backup import InUse

    log_to_stderr(verbose=options.verbose)
    code = 0
    try:
        _serve(options.config, options.data, options.demo)
    except* Unusable as group:
        code = _say("; ".join(str(error) for error in _leaves(group)), 2)
    except* (OSError, sqlite3.DatabaseError, InUse) as group:
        code = _say("cannot run: " + "; ".join(str(error) for error in _leaves(group)), 1)
    return code


def _say(message: str, code: int) -> int:
    sys.stderr.write(message + "\n")
    return code


def log_to_stderr(*, verbose: bool = False) -> None:
    """Logs go to stderr, which is the journal under systemd."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    # httpx logs each URL, and a robot's URL holds its key.
    for chatty in ("httpx", "httpcore", "uvicorn", "pymodbus", "urllib3", "amqtt", "transitions"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


SELDOM = 20_000, 20, 50
"""How seldom the garbage collector looks: each tick makes thousands of readings and none of them is ever
in a cycle, nor is what is loaded at the start, a tenth of whose time it would take."""
SETTLED_S = 5.0
TIDY_S = 600.0
_LIBC = ctypes.CDLL(None)
M_ARENA_MAX = -8  # malloc.h


def _few_arenas() -> None:
    """One heap for all threads, not one each: they wait for disk and network, not for memory."""
    mallopt = getattr(_LIBC, "mallopt", None)  # glibc's
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)


def _settle_memory() -> None:
    """Takes what was built at the start out of the garbage collector's sight."""
    gc.collect()
    gc.freeze()
    _give_back()


def _tidy(loop: asyncio.AbstractEventLoop) -> None:
    """What little garbage lies in cycles goes now and then: the collector by itself would look
    for it once in some hours. Some 10 ms, for what was made since the start."""
    gc.collect()
    _give_back()
    loop.call_later(TIDY_S, _tidy, loop)


def _give_back() -> None:
    """What lies free in the heap goes back to the system."""
    trim = getattr(_LIBC, "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)


def _serve(config: Path, data: Path, demo: bool) -> None:
    with asyncio.Runner(loop_factory=_fast_loop()) as runner:
        runner.run(_run(config, data, demo))


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's loop where the `fast` extra is installed: a sixth less CPU; else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _configuration(path: Path, data: Path, log: logging.Logger) -> Configuration:
    """The configuration at `path`; the last good one where that is faulty. Unusable without either."""
    from edge.config.load import ConfigError, load
    from edge.last_good import fall_back

    try:
        return load(path)
    except ConfigError as error:
        copy = fall_back(path, data, error.faults)
        if copy is None:
            raise Unusable(str(error)) from error
        log.error("THE CONFIGURATION IS FAULTY, the last good one runs (%s):\n%s", copy.path, error)
        return copy


async def _run(path: Path, data: Path, demo: bool) -> None:
    from edge.agent import Agent
    from edge.config.load import ConfigError, load
    from edge.config.secrets import SecretError

    log = logging.getLogger("edge")
    loop = asyncio.get_running_loop()
    configuration = _configuration(path, data, log)
    agent = Agent(configuration, data, demo=demo)
    ended = False

    def end() -> None:
        nonlocal ended
        ended = True
        agent.stop()

    def reload() -> None:
        loop.run_in_executor(None, read_again).add_done_callback(lambda _: None)

    def read_again() -> None:  # in a thread: a large school takes a second to read
        nonlocal configuration
        try:
            configuration = load(path)
        except ConfigError as error:
            log.error("the configuration is not used, the old one runs on:\n%s", error)
            return
        log.info("the configuration has changed: starting anew with it")
        loop.call_soon_threadsafe(agent.stop)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, reload)
    loop.call_later(SETTLED_S, _settle_memory)
    loop.call_later(TIDY_S, _tidy, loop)
    for warning in configuration.warnings:
        log.warning("%s", warning)
    while True:
        try:
            await agent.run()
        except SecretError as error:
            raise Unusable(str(error)) from error
        if ended:
            return
        agent = Agent(configuration, data, demo=demo)
