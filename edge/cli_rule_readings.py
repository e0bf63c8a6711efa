"""Readings of the past for the commands about rules: a gateway's store, or a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.cli_options import fail

if TYPE_CHECKING:
    from edge.config.configuration import Configuration
    from edge.replay import CsvReadings, StoredReadings

CsvOption = Annotated[Path | None, typer.Option("--csv", help="readings from a file instead of the store")]


def source_of(configuration: Configuration, data: Path, csv: Path | None) -> StoredReadings | CsvReadings:
    """Where they come from; ends with exit 1 where that cannot be read."""
    from edge.replay import CsvReadings, StoredReadings, Unreadable, late_by

    try:
        if csv is not None:
            return CsvReadings(csv, {n: s.unit for n, s in configuration.vocabulary.points.items()})
        return StoredReadings(data, late_by(configuration))
    except Unreadable as error:
        raise fail(str(error)) from error


def newest_of(readings: StoredReadings | CsvReadings) -> int:
    """When the last reading was measured; ends with exit 1 where there is none."""
    from edge.replay import Unreadable

    try:
        newest = readings.newest()
    except Unreadable as error:
        raise fail(str(error)) from error
    if newest is None:
        raise fail("there are no readings")
    return newest


def instant(text: str, option: str) -> int:
    """An instant as a person writes it; ends with exit 2 where it is none."""
    from edge.replay import parse_instant

    try:
        return parse_instant(text)
    except ValueError as error:
        raise fail(f"{option}: {error}", 2) from error
