"""What commands share: options with one meaning everywhere, the school they are about, and how they end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edge.config.configuration import Configuration

ConfigOption = Annotated[Path, typer.Option("-c", "--config", help="the school's configuration file")]
DataOption = Annotated[Path, typer.Option("--data", help="folder of the databases")]
JsonOption = Annotated[bool, typer.Option("--json", help="machine-readable output")]


def fail(message: str, code: int = 1) -> typer.Exit:
    """Says on stderr why a command ends so; to be raised. Code 2: what was asked for cannot be."""
    typer.echo(message, err=True)
    return typer.Exit(code)


def loaded(path: Path) -> Configuration:
    """A school; ends with exit 2 and all faults where it has some."""
    from edge.config.load import ConfigError, load

    try:
        return load(path)
    except ConfigError as error:
        raise fail(str(error), 2) from error
