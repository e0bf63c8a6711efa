"""`campus-edge district reconcile`: what was sent, compared with what the district holds."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from edge.service import DEFAULT_DATA

if TYPE_CHECKING:
    from cloud_sync.outbox import Entry
    from cloud_sync.reconcile import DayResult, Reconciliation
    from cloud_sync.settings import InfluxDestination
    from edge.config.configuration import Configuration
    from edge.store.evidence import StoreEvidence
    from edge.store.helper import Helper

T = TypeVar("T")


def reconcile(
    config: Annotated[Path, typer.Option("-c", "--config", help="the school's configuration file")],
    data: Annotated[Path, typer.Option("--data", help="the gateway's data folder")] = DEFAULT_DATA,
    days: Annotated[int, typer.Option(min=1, max=400, help="so many complete days (UTC), newest first")] = 7,
    destination: Annotated[str | None, typer.Option(help="only this one; default: all")] = None,
    mend: Annotated[bool, typer.Option("--mend/--look", help="send what differs again, or only look")] = True,
    spots: Annotated[int, typer.Option(min=0, max=1000, help="single points to read back")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable output")] = False,
) -> None:
    """Compares counts and sums by series and day, and sends again what differs; beside a running gateway
    too. Exit 0 when everything is there, 1 when not, 2 when nothing may be read."""
    from cloud_sync.settings import InfluxDestination
    from edge.config.load import ConfigError, load
    from edge.config.secrets import SecretError
    from edge.reconciliation import NO_TOKEN

    try:
        configuration = load(config)
    except ConfigError as error:
        raise _fail(str(error), 2) from error
    wanted = [
        one
        for one in configuration.settings.sync
        if isinstance(one, InfluxDestination) and destination in (None, one.id)
    ]
    if not wanted:
        raise _fail("no InfluxDB destination of this name is configured", 2)
    if not (data / "telemetry.db").is_file():
        raise _fail(f"{data}: no data of a gateway", 2)
    readable = [one for one in wanted if one.read_token is not None]
    for one in wanted:
        if one not in readable:
            typer.echo(f"{one.id}: {NO_TOKEN}", err=True)
    if not readable:
        raise typer.Exit(2)
    found: dict[str, Reconciliation] = {}
    for one in readable:
        if not as_json:
            typer.echo(f"{one.id}: {one.url}")
        try:
            found[one.id] = asyncio.run(
                _compare(configuration, one, data, days, mend, spots, _silent if as_json else _shown)
            )
        except SecretError as error:
            raise _fail(str(error), 2) from error
        if not as_json:
            typer.echo(_summary(found[one.id]))
    if as_json:
        rows = [{"destination": name, "same": one.same, **asdict(one)} for name, one in found.items()]
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    raise typer.Exit(0 if all(one.same for one in found.values()) else 1)


async def _compare(
    configuration: Configuration, destination: InfluxDestination, data: Path, days: int, mend: bool,
    spots: int, told: Callable[[DayResult], None],
) -> Reconciliation:  # fmt: skip
    from cloud_sync.reader import reader
    from cloud_sync.reconcile import Reconciler
    from cloud_sync.registry import way
    from edge import clock
    from edge.config.secrets import resolve_secret
    from edge.reconciliation import days_before
    from edge.store.helper import Helper

    folder = configuration.path.parent
    assert destination.read_token is not None  # noqa: S101  # asked before
    async with contextlib.AsyncExitStack() as stack:
        helper = Helper(data)
        stack.push_async_callback(helper.close)
        asking = reader(destination, resolve_secret(destination.read_token, folder))
        stack.push_async_callback(asking.aclose)
        connection = way(destination, lambda reference: resolve_secret(reference, folder)).connection
        stack.push_async_callback(connection.aclose)
        evidence = _evidence(configuration, destination.id, data, helper)
        school = configuration.settings.site.id
        reconciler = Reconciler(school, evidence, asking, connection, clock.now)
        return await reconciler.run(days_before(clock.now(), days), mend=mend, spots=spots, told=told)


def _evidence(configuration: Configuration, destination: str, data: Path, helper: Helper) -> StoreEvidence:
    """From the files of a gateway that may be running."""
    from edge.pipeline.clock_watch import marked
    from edge.store import clock_segments, cursors
    from edge.store.cursors import Held
    from edge.store.evidence import StoreEvidence

    known = _read(data / "core.db", clock_segments.segments)
    doubts = clock_segments.doubts(known, [one.moment for one in known])

    async def held() -> Held:
        return _read(data / "telemetry.db", lambda c: cursors.held(c, destination))

    async def parked() -> Sequence[int]:
        query = "SELECT entry FROM quarantine WHERE stream='readings' AND destination=?"
        return _read(data / "core.db", lambda c: [row[0] for row in c.execute(query, (destination,))])

    def as_sent(entry: Entry) -> Entry:
        return marked(entry, doubts)

    site = configuration.settings.site
    return StoreEvidence(helper, {"district": site.district, "school": site.id}, held, parked, as_sent)


def _read(path: Path, look: Callable[[sqlite3.Connection], T]) -> T:
    with contextlib.closing(sqlite3.connect(path, timeout=5.0, isolation_level=None)) as connection:
        return look(connection)


def _silent(_: DayResult) -> None:
    return


def _shown(day: DayResult) -> None:
    """One line for each day as it is done."""
    date = datetime.fromtimestamp(day.since / 1000, UTC).date()
    if day.skipped:
        typer.echo(f"  {date}  not compared: {day.skipped}")
        return
    parts = [f"{day.fields} series, {day.values} values"]
    if day.differing:
        parts.append(
            f"{day.differing} series differed, {day.missing} values missing, {day.resent} points sent again"
        )
    if day.still:
        parts.append(f"{day.still} series differ")
    if day.surplus:
        parts.append(f"{day.surplus} series hold more at the district")
    typer.echo(f"  {date}  {'; '.join(parts) if len(parts) > 1 else parts[0] + '; the same'}")


def _summary(found: Reconciliation) -> str:
    spot = f"{found.spot.asked} single points read back, {found.spot.wrong} not as sent"
    if found.reason:
        return f"  ended early: {found.reason}; {spot}"
    return f"  {'everything is there' if found.same else 'not everything is there'}; {spot}"


def _fail(message: str, code: int) -> typer.Exit:
    typer.echo(message, err=True)
    return typer.Exit(code)
