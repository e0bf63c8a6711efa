"""One command from the console while no gateway runs: the same door, over a line opened for it."""

from __future__ import annotations

import asyncio
import getpass
from pathlib import Path

from drivers.line.arbiter import Attached
from drivers.line.schedule import Rank
from drivers.line.settings import SerialLine, TcpLine
from drivers.reading import Value
from drivers.registry import build_polled
from edge.agent import CORE_MIGRATIONS
from edge.clock import now
from edge.commissioning.line import open_line
from edge.config.configuration import Configuration
from edge.pipeline.dispatcher import Dispatcher
from edge.pipeline.outlets import LineOutlet
from edge.pipeline.tickets import VALID_MS
from edge.reading_once import NotPolled
from edge.store.accounts import Accounts, Role
from edge.store.commands import CommandRecord, CommandRefused, Requester
from edge.store.database import Database
from rules.command import Command


async def write_directly(
    configuration: Configuration, data: Path, device: str, point: str, value: Value, reason: str
) -> CommandRecord:
    """Sends one value and tells how it ended; limits, read-back and audit as ever.

    Raises CommandRefused, LineDown when the line is not free, NotPolled for a device that
    only a running gateway reaches, KeyError for an unknown device.
    """
    model = configuration.devices[device]
    line = next(line for line in configuration.settings.lines if line.id == model.settings.line)
    if not isinstance(line, SerialLine | TcpLine) or model.profile.speaks_first:
        raise NotPolled(f"{device} is reached through {line.url}: start the gateway and write through it")
    await asyncio.to_thread(data.mkdir, parents=True, exist_ok=True, mode=0o700)
    core = Database(data / "core.db", CORE_MIGRATIONS)
    await core.open()
    try:
        driver = build_polled(model.settings, model.profile, model.points, line)
        attached = Attached(device, driver, 3600.0, Rank.NORMAL)
        async with open_line(line, [attached]) as arbiter, asyncio.TaskGroup() as group:
            ways = {device: LineOutlet(arbiter, device)}
            dispatcher = Dispatcher(configuration, ways, core, Accounts(now), now, lambda _d, _p: None)
            carrying = group.create_task(dispatcher.run(), name="commands")
            try:
                who = Requester(getpass.getuser(), Role.ENGINEER, "console", "console")
                command = Command(device, point, value, reason, who.name, now(), now() + VALID_MS)
                outcome: CommandRecord | CommandRefused = await dispatcher.submit(command, who)
            except CommandRefused as refused:
                outcome = refused
            carrying.cancel()
    finally:
        await core.close()
    if isinstance(outcome, CommandRefused):
        raise outcome
    return outcome
