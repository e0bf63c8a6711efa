"""`campus-edge district reconcile`: what was sent, compared with what the district holds."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from edge.cli_options import ConfigOption, fail, loaded
from edge.service import DEFAULT_DATA

if TYPE_CHECKING:
    from cloud_sync.outbox import Entry
    from cloud_sync.reader import Reader
    from cloud_sync.reconcile import DayResult, Evidence, Reconciliation
    from cloud_sync.settings import InfluxDestination
    from cloud_sync.writer import Writer
    from drivers.reading import Millis
    from drivers.settings import SecretRef
    from edge.config.configuration import Configuration
    from edge.store.helper import Helper

T = TypeVar("T")


def reconcile(
    config: ConfigOption,
    data: Annotated[Path, typer.Option("--data", help="the gateway's data folder")] = DEFAULT_DATA,
    days: Annotated[int, typer.Option(min=1, max=400, help="so many complete days (UTC), newest first")] = 7,
    destination: Annotated[str | None, typer.Option(help="only this one; default: all")] = None,
    mend: Annotated[bool, typer.Option("--mend/--look", help="send what differs again, or only look")] = True,
    spots: Annotated[int, typer.Option(min=0, max=1000, help="single points to read back")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable output")] = False,
) -> None:
    """Compares counts and sums of alarms, readings and hourly figures by series and day, and sends again
    what differs; beside a running gateway too. Exit 0 when everything is there, 1 when not, 2 when
    nothing may be read."""
    from cloud_sync.settings import InfluxDestination
    from edge.config.secrets import SecretError
    from edge.reconciliation import NO_TOKEN

    configuration = loaded(config)
    wanted = [
        one
        for one in configuration.settings.sync
        if isinstance(one, InfluxDestination) and destination in (None, one.id)
    ]
    if not wanted:
        raise fail("no InfluxDB destination of this name is configured", 2)
    if not (data / "telemetry.db").is_file():
        raise fail(f"{data}: no data of a gateway", 2)
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
            raise fail(str(error), 2) from error
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
    from edge.reconciliation import days_before, streams
    from edge.store.helper import Helper

    def secret(reference: SecretRef) -> str:
        return resolve_secret(reference, configuration.path.parent)

    async with contextlib.AsyncExitStack() as stack:

        def ends(one: InfluxDestination) -> tuple[Reader, Writer]:
            assert one.read_token is not None  # noqa: S101  # asked before
            asking, connection = reader(one, secret(one.read_token)), way(one, secret).connection
            stack.push_async_callback(asking.aclose)
            stack.push_async_callback(connection.aclose)
            return asking, connection

        helper = Helper(data)
        stack.push_async_callback(helper.close)
        site = configuration.settings.site
        sent = _Files(data, helper, {"district": site.district, "school": site.id})
        reconciler = Reconciler(site.id, streams(destination, sent, ends), clock.now)
        return await reconciler.run(days_before(clock.now(), days), mend=mend, spots=spots, told=told)


class _Files:
    """What the files of a gateway, which may be running, say: `edge.reconciliation.Sent`."""

    def __init__(self, data: Path, helper: Helper, site_tags: Mapping[str, str]) -> None:
        from edge.store import clock_segments

        self._core = data / "core.db"
        self._telemetry = data / "telemetry.db"
        self._helper = helper
        self._site_tags = site_tags
        known = _read(self._core, clock_segments.segments)
        self._moment_doubts = clock_segments.doubts(known, [one.moment for one in known])
        self._transition_doubts = clock_segments.doubts(known, [one.transition for one in known])

    def alarms(self, destination: str) -> Evidence:
        """See the protocol."""
        from edge.pipeline.clock_watch import marked
        from edge.store import alarm_outbox
        from edge.store.evidence import AlarmEvidence

        async def sent(since: Millis, until: Millis) -> Sequence[Entry]:
            found = _read(
                self._core, lambda c: alarm_outbox.sent_between(c, destination, self._site_tags, since, until)
            )
            return [marked(entry, self._transition_doubts) for entry in found]

        return AlarmEvidence(sent)

    def readings(self, destination: str) -> Evidence:
        """See the protocol."""
        from edge.pipeline.clock_watch import marked
        from edge.store import cursors
        from edge.store.cursors import Held
        from edge.store.evidence import StoreEvidence

        async def held() -> Held:
            return _read(self._telemetry, lambda c: cursors.held(c, destination))

        return StoreEvidence(
            self._helper, self._site_tags, held, self._parked("readings", destination),
            lambda entry: marked(entry, self._moment_doubts),
        )  # fmt: skip

    def hours(self, destination: str) -> Evidence:
        """See the protocol."""
        from edge.store import hourly
        from edge.store.evidence import HourlyEvidence

        async def position() -> int:
            return _read(self._telemetry, lambda c: hourly.position(c, destination))

        return HourlyEvidence(self._helper, self._site_tags, position, self._parked("hourly", destination))

    def _parked(self, stream: str, destination: str) -> Callable[[], Awaitable[Sequence[int]]]:
        query = "SELECT entry FROM quarantine WHERE stream=? AND destination=?"

        async def parked() -> Sequence[int]:
            return _read(self._core, lambda c: [row[0] for row in c.execute(query, (stream, destination))])

        return parked


def _read(path: Path, look: Callable[[sqlite3.Connection], T]) -> T:
    with contextlib.closing(sqlite3.connect(path, timeout=5.0, isolation_level=None)) as connection:
        return look(connection)


def _silent(_: DayResult) -> None:
    return


def _shown(day: DayResult) -> None:
    """One line for each day as it is done."""
    date = datetime.fromtimestamp(day.since / 1000, UTC).date()
    if day.skipped:
        typer.echo(f"  {date}  {day.stream}: not compared: {day.skipped}")
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
    typer.echo(f"  {date}  {day.stream}: {'; '.join(parts) if len(parts) > 1 else parts[0] + '; the same'}")


def _summary(found: Reconciliation) -> str:
    spot = f"{found.spot.asked} single points read back, {found.spot.wrong} not as sent"
    if found.reason:
        return f"  ended early: {found.reason}; {spot}"
    return f"  {'everything is there' if found.same else 'not everything is there'}; {spot}"
