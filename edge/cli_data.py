"""Backup and restore on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge.cli_accounts import DataOption
from edge.service import DEFAULT_DATA


def backup(
    to: Annotated[Path, typer.Option("--to", help="a folder; a new folder is made in it")],
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Copies the gateway's data while it runs; prints the folder of the copy."""
    from edge.agent import CORE, TELEMETRY
    from edge.clock import now
    from edge.store.backup import BackupError, back_up

    try:
        typer.echo(back_up(data, to, (CORE.name, TELEMETRY.name), now()))
    except BackupError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def restore(
    source: Annotated[Path, typer.Option("--from", help="the folder that a backup printed")],
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Verifies a backup and brings it back; the gateway must not run. What was there is kept."""
    from edge.clock import now
    from edge.store.backup import BackupError
    from edge.store.backup import restore as bring_back

    try:
        names = bring_back(source, data, now())
    except BackupError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(f"restored {', '.join(names)}")
