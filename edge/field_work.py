"""An installer's commands: through the running gateway where it holds the line, else directly."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from drivers.line.arbiter import Attached
from drivers.line.counters import DeviceCounters
from drivers.line.schedule import Rank
from drivers.line.settings import FieldLine, SerialLine, TcpLine
from drivers.line.traffic import Passed
from drivers.reading import Millis, Quality, Reading
from drivers.registry import build_polled
from edge.commissioning.candidates import Wanted
from edge.commissioning.fingerprint import Fingerprints
from edge.commissioning.line import open_line
from edge.commissioning.paste import yaml_of
from edge.commissioning.recording import RingFile
from edge.commissioning.scan import Progress, Scan
from edge.commissioning.shelf import library_of
from edge.commissioning.sighting import Sighting
from edge.config.configuration import Configuration
from edge.reading_once import Result as ReadResult
from edge.running_agent import RunningAgent

ASK_S = 0.5
"""How often the running gateway is asked how far it has come."""
SAVE_S = 5.0
Show = Callable[[int, int, str, int], None]
"""Told of questions asked, questions in all, what is tried now, and devices found."""


class NoLine(Exception):
    """What was named is neither a line of the configuration nor the URL of one."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a scan brought: rows for people, and YAML."""

    seen: list[dict[str, Any]]
    yaml: str


def line_of(name: str, configuration: Configuration | None) -> FieldLine:
    """The line with this id, or the one that a URL means; raises NoLine."""
    for line in configuration.settings.lines if configuration else ():
        if name in (line.id, line.url):
            if isinstance(line, SerialLine | TcpLine):
                return line
            raise NoLine(f"{name} is a broker: nothing can be scanned there")
    try:
        if name.startswith("serial:"):
            return SerialLine(id="line-1", url=name)
        if name.startswith("tcp:"):
            return TcpLine(id="line-1", url=name)
        if name.startswith("/dev/"):
            return SerialLine(id="line-1", url=f"serial:{name}")
    except ValueError as error:
        raise NoLine(f"{name}: expected serial:/dev/... or tcp://host:port") from error
    raise NoLine(f"{name}: no line of the configuration (-c FILE), nor serial:/dev/... or tcp://host:port")


def state_file(line: FieldLine) -> Path:
    """Where an interrupted scan of a line leaves what it knows."""
    return Path(f"campus-scan-{re.sub(r'[^A-Za-z0-9]+', '-', line.url).strip('-')}.json")


async def scan_directly(
    line: FieldLine,
    configuration: Configuration | None,
    wanted: Wanted,
    patience: float,
    show: Show,
) -> Result:
    """Scans a free line; an interrupted scan goes on. Raises LineDown when it cannot be had."""
    library, state = library_of(configuration), state_file(line)
    progress = await asyncio.to_thread(_kept, state)
    fingerprints = Fingerprints(line, library)
    async with open_line(line) as arbiter:

        async def recognise(sighting: Sighting) -> Sighting:
            return sighting._replace(suggestions=await fingerprints.suggest(sighting, arbiter.lend))

        search = Scan(line, wanted, arbiter.lend, recognise, progress, patience)
        saved = time.monotonic()

        def moved() -> None:
            nonlocal saved
            now = search.progress
            show(now.asked, now.total, now.now, len(now.found))
            if time.monotonic() - saved > SAVE_S:
                saved = time.monotonic()
                state.write_text(now.dump(), encoding="utf-8")

        try:
            await search.run(moved)
        except BaseException:
            state.write_text(search.progress.dump(), encoding="utf-8")
            raise
        state.unlink(missing_ok=True)
        found = search.progress.found
        known = configuration is not None and line.id in {own.id for own in configuration.settings.lines}
        return Result([_row(one) for one in found], yaml_of(line, found, library, with_line=not known))


def scan_through(agent: RunningAgent, line: FieldLine, wish: dict[str, Any], show: Show) -> Result:
    """Scans a line that the running gateway holds, between its own exchanges; raises Turned, NoAgent."""
    status = agent.post(f"/lines/{line.id}/scan", wish)
    try:
        while status["state"] == "running":
            time.sleep(ASK_S)
            status = agent.get(f"/lines/{line.id}/scan")
            show(status["asked"], status["total"], status["now"], len(status["seen"]))
    except KeyboardInterrupt:
        agent.delete(f"/lines/{line.id}/scan")
        raise
    return Result(status["seen"], status["yaml"])


async def capture_directly(
    line: FieldLine, configuration: Configuration | None, ring: RingFile, seconds: float | None
) -> None:
    """Records a free line while its configured devices are polled as ever; raises LineDown."""
    devices = [
        Attached(
            name, build_polled(model.settings, model.profile, model.points, line),
            model.settings.every.total_seconds(), Rank.NORMAL,
        )
        for name, model in (configuration.devices if configuration else {}).items()
        if model.settings.line == line.id and not model.profile.speaks_first
    ]  # fmt: skip
    async with open_line(line, devices) as arbiter:
        last = 0
        try:
            async with asyncio.timeout(seconds):
                while True:
                    await asyncio.sleep(ASK_S)
                    last = _keep(ring, arbiter.traffic.after(last), last)
        except TimeoutError:
            _keep(ring, arbiter.traffic.after(last), last)


def capture_through(agent: RunningAgent, line: FieldLine, ring: RingFile, seconds: float | None) -> None:
    """Records a line that the running gateway holds; raises Turned, NoAgent."""
    until, last = None if seconds is None else time.monotonic() + seconds, 0
    while until is None or time.monotonic() < until:
        rows = agent.get(f"/lines/{line.id}/traffic", after=last)["items"]
        last = _keep(ring, [_piece(row) for row in rows], last)
        time.sleep(ASK_S)


def _keep(ring: RingFile, pieces: list[Passed], last: int) -> int:
    ring.write(pieces)
    return pieces[-1].number if pieces else last


def _piece(row: dict[str, Any]) -> Passed:
    return Passed(row["number"], _millis(row["at"]), row["way"], bytes.fromhex(row["data"]), row["speed"])


def _millis(text: str) -> Millis:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _kept(state: Path) -> Progress:
    """What an interrupted scan has left; nothing when the file is none of ours."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return Progress.load(state.read_text(encoding="utf-8"))
    return Progress()


def _row(one: Sighting) -> dict[str, Any]:
    """As the API shows it."""
    return {
        "protocol": one.protocol, "address": one.address, "speed": str(one.wire or ""),
        "frame": one.frame.hex(" "), "conflict": one.conflict,
        "profiles": [suggestion.profile for suggestion in one.suggestions], "known": one.known,
    }  # fmt: skip


def read_through(agent: RunningAgent, configuration: Configuration, device: str) -> ReadResult:
    """One round of a device on a line that the running gateway holds; raises Turned, NoAgent."""
    answer = agent.post(f"/devices/{device}/read", {})
    readings = [
        Reading(
            device, row["point"], row["value"], row["unit"], _millis(row["at"]), _millis(row["received_at"]),
            Quality(row["quality"]), row["reason"],
        )
        for row in answer["readings"]
    ]  # fmt: skip
    pieces = [_piece(row) for row in answer["traffic"]]
    counters = DeviceCounters()
    for asked, came in itertools.pairwise(pieces):
        if (asked.way, came.way) == ("sent", "received"):
            counters.latencies_ms.append(came.at - asked.at)
    frames = [(">" if piece.way == "sent" else "<", piece.data) for piece in pieces]
    model = configuration.devices[device]
    return ReadResult(device, model, readings, frames, counters, answer["trouble"])
