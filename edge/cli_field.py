"""Work on the field from the command line: writing, scanning, capturing and replaying."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.cli_options import ConfigOption, DataOption, JsonOption, fail, loaded
from edge.service import DEFAULT_DATA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drivers.line.settings import FieldLine
    from drivers.reading import Value
    from edge.config.configuration import Configuration
    from edge.field_work import Result, Show
    from edge.reading_once import Result as ReadResult
    from edge.running_agent import RunningAgent

_SWITCH = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}


def write(
    device: Annotated[str, typer.Argument(help="the device's id")],
    point: Annotated[str, typer.Argument(help="the point to set")],
    value: Annotated[str, typer.Argument(help="true/false, on/off, a number or a text, as the point is")],
    config: ConfigOption,
    reason: Annotated[str, typer.Option("--reason", help="why; it stands in the audit log")],
    data: DataOption = DEFAULT_DATA,
    direct: Annotated[
        bool, typer.Option("--direct", help="without a running gateway, when the line is free")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Sets one point through the running gateway: limits, read-back, audit. Exit 0 only when confirmed."""
    from edge.running_agent import NoAgent, Turned

    configuration = loaded(config)
    wanted = _typed(configuration, device, point, value)
    try:
        record = _write(configuration, data, (device, point, wanted, reason), direct)
    except (NoAgent, sqlite3.DatabaseError, OSError) as error:
        raise fail(str(error)) from error
    except Turned as error:
        raise fail(f"refused ({error.code}): {error}") from error
    shown = {True: "true", False: "false"}.get(record["found"], record["found"])
    if as_json:
        typer.echo(json.dumps(record, ensure_ascii=False, indent=2))
    else:
        ending = f", reads back {shown}" if record["found"] is not None else ""
        typer.echo(f"{device} {point}: {record['state']}{ending} {record['detail']}".rstrip())
    raise typer.Exit(0 if record["state"] == "confirmed" else 1)


def _typed(configuration: Configuration, device: str, point: str, text: str) -> Value:
    """The value as its point's type wants it."""
    model = configuration.devices.get(device)
    if model is None:
        raise fail(f"unknown device {device}; known: {', '.join(sorted(configuration.devices))}", 2)
    if point not in model.points:
        raise fail(f"unknown point {point}; known: {', '.join(model.points)}", 2)
    spec = model.points[point]
    if spec.type == "text":
        return text
    if spec.type == "switch":
        if text.lower() not in _SWITCH:
            raise fail(f"{point} is a switch: true or false", 2)
        return _SWITCH[text.lower()]
    try:
        return float(text)
    except ValueError as error:
        raise fail(f"{point} is a number in {spec.unit}, not {text!r}", 2) from error


def _write(
    configuration: Configuration, data: Path, wish: tuple[str, str, Value, str], direct: bool
) -> dict[str, Any]:
    """The command's record as the API shows it; raises NoAgent, Turned."""
    from edge.running_agent import NoAgent, running_agent

    device, point, value, reason = wish
    try:
        with running_agent(configuration, data) as agent:
            body = {"device": device, "point": point, "value": value, "reason": reason}
            prepared = agent.post("/commands", body)
            seen = {name: prepared[name] for name in ("token", "device", "point", "value")}
            record: dict[str, Any] = agent.post("/commands/confirm", seen)
            return record
    except NoAgent as error:
        if not direct:
            message = f"{error}\nstart the gateway, or use --direct while nobody else uses the line"
            raise NoAgent(message) from error
    return _write_directly(configuration, data, wish)


def _write_directly(
    configuration: Configuration, data: Path, wish: tuple[str, str, Value, str]
) -> dict[str, Any]:
    from drivers.errors import LineDown
    from edge.reading_once import NotPolled
    from edge.running_agent import NoAgent, Turned
    from edge.store.commands import CommandRefused
    from edge.writing_once import write_directly

    try:
        record = asyncio.run(write_directly(configuration, data, *wish))
    except CommandRefused as refused:
        raise Turned(refused.code, str(refused)) from refused
    except (NotPolled, LineDown) as error:
        raise NoAgent(str(error)) from error
    device, point, value, _ = wish
    return {
        "id": record.id, "device": device, "point": point, "value": value, "state": record.state,
        "detail": record.detail, "found": record.found,
    }  # fmt: skip


def read_device(configuration: Configuration, data: Path, device: str) -> ReadResult:
    """One round, through the running gateway where there is one; ends with a sentence when it cannot be."""
    from edge.field_work import read_through
    from edge.reading_once import NotPolled, read_once
    from edge.running_agent import NoAgent, Turned, running_agent

    try:
        none = contextlib.suppress(NoAgent, sqlite3.DatabaseError, OSError)
        with none, running_agent(configuration, data) as agent:
            return read_through(agent, configuration, device)
        return asyncio.run(read_once(configuration, device))
    except (NotPolled, Turned) as error:
        raise fail(str(error), 2) from error


LineArgument = Annotated[str, typer.Argument(help="a line's id, or serial:/dev/... or tcp://host:port")]
MaybeConfig = Annotated[Path | None, typer.Option("-c", "--config", help="the school's configuration file")]


@contextlib.contextmanager
def _lender(
    configuration: Configuration | None, data: Path, line: FieldLine
) -> Iterator[RunningAgent | None]:
    """The running gateway when it holds the line, `None` when the line is ours to open."""
    from edge.running_agent import NoAgent, running_agent

    held = configuration is not None and any(
        model.settings.line == line.id for model in configuration.devices.values()
    )
    with contextlib.ExitStack() as stack:
        agent: RunningAgent | None = None
        if held and configuration is not None:
            with contextlib.suppress(NoAgent):
                agent = stack.enter_context(running_agent(configuration, data))
        yield agent


def _line(name: str, configuration: Configuration | None) -> FieldLine:
    from edge.field_work import NoLine, line_of

    try:
        return line_of(name, configuration)
    except NoLine as error:
        raise fail(str(error), 2) from error


def _taken(line: FieldLine, error: Exception) -> typer.Exit:
    hint = "if a gateway holds it, name its configuration with -c and its data folder with --data"
    return fail(f"{line.url} cannot be had: {error}; {hint}")


def scan(
    line: LineArgument,
    config: MaybeConfig = None,
    protocols: Annotated[str, typer.Option(help="such as modbus-rtu,dlt645,cjt188 or modbus-tcp")] = "",
    addresses: Annotated[str, typer.Option(help="Modbus addresses, such as 1-20,37")] = "",
    baud: Annotated[str, typer.Option(help="speeds, such as 9600 or '2400 8E1,4800 8N1'")] = "",
    patience: Annotated[float, typer.Option(min=0.5, max=10, help="stretches all waits")] = 1.0,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Finds the devices of a line and prints configuration to paste; interrupted, it goes on next time."""
    from drivers.errors import LineDown
    from edge.commissioning.candidates import Wanted, parse_addresses, parse_protocols, parse_speeds
    from edge.field_work import scan_directly, scan_through, state_file
    from edge.running_agent import NoAgent, Turned

    configuration = loaded(config) if config is not None else None
    wire = _line(line, configuration)
    try:
        wanted = Wanted(
            parse_protocols(protocols),
            parse_addresses(addresses) if addresses else (),
            parse_speeds(baud),
        )
    except ValueError as error:
        raise fail(str(error), 2) from error
    wish = {
        "protocols": wanted.protocols, "addresses": wanted.addresses,
        "speeds": [str(speed) for speed in wanted.wires], "patience": patience,
    }  # fmt: skip
    try:
        with _progress() as show, _lender(configuration, data, wire) as agent:
            if agent is not None:
                result = scan_through(agent, wire, wish, show)
            else:
                result = asyncio.run(scan_directly(wire, configuration, wanted, patience, show))
    except KeyboardInterrupt as error:
        raise fail(f"interrupted; the same command goes on from {state_file(wire)}") from error
    except (NoAgent, Turned, sqlite3.DatabaseError) as error:
        raise fail(str(error)) from error
    except (LineDown, OSError) as error:
        raise _taken(wire, error) from error
    _show_scan(result, as_json)


def _show_scan(result: Result, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"seen": result.seen, "yaml": result.yaml}, ensure_ascii=False, indent=2))
        return
    for one in result.seen:
        note = "address_conflict" if one["conflict"] else one["known"] or ", ".join(one["profiles"]) or "?"
        typer.echo(f"# {one['protocol']:11} {one['address']:>14} {one['speed']:9} {note}")
    if not result.seen:
        typer.echo("# 没有设备应答: 查电源、A/B 接线 (nothing answers: check power and A/B wiring)")
    typer.echo(result.yaml, nl=False)


@contextlib.contextmanager
def _progress() -> Iterator[Show]:
    """A bar on stderr, where somebody looks at it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.percentage:>3.0f}%"), BarColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[found]} found  {task.description}"),
    )  # fmt: skip
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", found=0)

        def show(asked: int, total: int, now: str, found: int) -> None:
            bar.update(task, completed=asked, total=total, description=now[:40], found=found)

        yield show


def capture(
    line: LineArgument,
    out: Annotated[Path, typer.Option("--out", help="the file; when full it goes on in a new one")],
    config: MaybeConfig = None,
    duration: Annotated[str | None, typer.Option("--for", help="end after this time, e.g. 60s")] = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Records the raw bytes of a line with their times, beside a running gateway too."""
    from drivers.errors import LineDown
    from drivers.settings import parse_duration
    from edge.commissioning.recording import RingFile
    from edge.field_work import capture_directly, capture_through
    from edge.running_agent import NoAgent, Turned

    configuration = loaded(config) if config is not None else None
    wire = _line(line, configuration)
    try:
        seconds = parse_duration(duration).total_seconds() if duration else None
    except ValueError as error:
        raise fail(f"--for: {error}", 2) from error
    try:
        with RingFile(out) as ring, _lender(configuration, data, wire) as agent:
            with contextlib.suppress(KeyboardInterrupt):
                if agent is not None:
                    capture_through(agent, wire, ring, seconds)
                else:
                    asyncio.run(capture_directly(wire, configuration, ring, seconds))
            typer.echo(f"{ring.pieces} pieces in {out}", err=True)
    except (NoAgent, Turned, sqlite3.DatabaseError) as error:
        raise fail(str(error)) from error
    except (LineDown, OSError) as error:
        raise _taken(wire, error) from error


def replay(
    recording: Annotated[Path, typer.Argument(help="a file that `capture` has written")],
    port: Annotated[int, typer.Option(help="the TCP port on 127.0.0.1; 0 takes a free one")] = 0,
    pty: Annotated[Path | None, typer.Option(help="a pseudo-terminal at this path instead")] = None,
) -> None:
    """Plays a recorded line as a simulated one, until Ctrl-C: a fault of the field on a desk."""
    from drivers.simulated.replay import BadRecording, read_recording

    try:
        with recording.open(encoding="ascii") as lines:
            recorded = read_recording(lines)
    except (OSError, BadRecording, UnicodeDecodeError) as error:
        raise fail(f"{recording}: {error}", 2) from error
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_play(recorded, port, pty))


async def _play(recorded: Any, port: int, pty: Path | None) -> None:
    from drivers.simulated.modbus_tcp import SerialServer
    from drivers.simulated.replay import Replay
    from drivers.simulated.serial import PtyLine

    async with contextlib.AsyncExitStack() as stack:
        if pty is not None:
            await stack.enter_async_context(PtyLine(Replay(recorded), pty))
            typer.echo(f"serial:{pty}")
        else:
            server = await stack.enter_async_context(SerialServer(Replay(recorded), port))
            typer.echo(f"tcp://127.0.0.1:{server.port}")
        await asyncio.Event().wait()
