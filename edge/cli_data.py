"""Backup and restore on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from edge.cli_options import DataOption, fail
from edge.service import DEFAULT_DATA


def backup(
    to: Annotated[Path, typer.Option("--to", help="a folder; a new folder is made in it")],
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Copies the gateway's data with its sealed history while it runs; prints the folder of the copy.
    Sealed files that an earlier copy beside has are linked to it."""
    from edge.agent import CORE, TELEMETRY
    from edge.clock import now
    from edge.store.backup import BackupError, back_up

    try:
        with _shown("copying") as progress:
            folder = back_up(data, to, (CORE.name, TELEMETRY.name), now(), progress)
        typer.echo(folder)
    except BackupError as error:
        raise fail(str(error)) from error


def restore(
    source: Annotated[Path, typer.Option("--from", help="the folder that a backup printed")],
    data: DataOption = DEFAULT_DATA,
    verify_only: Annotated[bool, typer.Option("--verify", help="only verify the backup")] = False,
) -> None:
    """Verifies a backup and brings it back; the gateway must not run. What was there is kept."""
    from edge.clock import now
    from edge.store.backup import BackupError, verify
    from edge.store.backup import restore as bring_back

    try:
        if verify_only:
            with _shown("verifying") as progress:
                files = verify(source, progress)
            typer.echo(f"{len(files)} files are whole")
            return
        with _shown("restoring") as progress:
            names = bring_back(source, data, now(), progress)
    except BackupError as error:
        raise fail(str(error)) from error
    typer.echo(f"restored {', '.join(names[:4])}{f' and {len(names) - 4} more' if len(names) > 4 else ''}")


@contextmanager
def _shown(what: str) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on the terminal, in bytes."""
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress

    with Progress(*Progress.get_default_columns(), DownloadColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None)
        yield lambda _name, done, total: bar.update(task, completed=done, total=total)
