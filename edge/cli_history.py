"""Stored readings on the command line, beside a running gateway too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, TextIO

import typer

from drivers.reading import Millis
from edge.cli_options import DataOption, fail
from edge.service import DEFAULT_DATA

history_app = typer.Typer(no_args_is_help=True, help="Stored readings.")


@history_app.command("export")
def history_export(
    since: Annotated[str, typer.Option(help="RFC 3339; without a zone the machine's own, e.g. 2026-09-01")],
    until: Annotated[str | None, typer.Option(help="default: now")] = None,
    form: Annotated[str, typer.Option("--format", help="csv or lp (line protocol)")] = "csv",
    out: Annotated[Path | None, typer.Option("--out", help="a file; default: standard output")] = None,
    device: Annotated[str | None, typer.Option(help="only this device")] = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Writes readings with since <= time < until, raw, day by day and device by device."""
    from rich.console import Console
    from rich.progress import Progress

    from edge.clock import now
    from edge.history_export import count_moments, export

    if form not in ("csv", "lp"):
        raise fail(f"unknown format {form}; known: csv, lp", 2)
    if not (data / "telemetry.db").is_file():
        raise fail(f"{data} holds no telemetry.db; name the gateway's data folder with --data", 2)
    first, last = _instant(since), now() if until is None else _instant(until)
    if first >= last:
        raise fail("--since must lie before --until", 2)
    console = Console(stderr=True)
    with (
        _output(out) as file,
        Progress(console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        task = progress.add_task("exporting", total=count_moments(data, first, last, device))
        for piece in export(data, first, last, "csv" if form == "csv" else "lp", device,
                            lambda count: progress.advance(task, count)):  # fmt: skip
            file.write(piece)


@contextmanager
def _output(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    partial = out.with_name(f"{out.name}.part")  # a file of that name is always whole
    with partial.open("w", encoding="utf-8") as file:
        yield file
    partial.replace(out)


def _instant(text: str) -> Millis:
    try:
        return round(datetime.fromisoformat(text).astimezone().timestamp() * 1000)
    except ValueError as error:
        raise fail(f"{text} is no time such as 2026-09-01T08:00:00+08:00", 2) from error
