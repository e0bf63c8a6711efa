"""The process that does what needs numpy, so that the gateway's own stays small.

    request    length (4 bytes, big endian) | msgpack [name, arguments]
    answer     length | msgpack [result, error]     one of them nil

`python -m edge.store.helper_process DATA` serves requests from its standard input until that ends.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from drivers.reading import Millis
from edge.store import figures, hourly_figures, sealing
from edge.store.answers import DeviceKey, Hours, Outgoing, Part, Samples, Slice, Sums
from edge.store.catalogue import Batch, Policy
from edge.store.history import Snapshot
from edge.store.sealing import Orphaned
from edge.store.series import BatchRows, Series

_NICE = 10
_SERIES = 2_000
"""Series whose sums are told at once: 1 MB on the gateway's side, and as much of the district's answer."""


class Server:
    """Answers for one data folder."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._parent = os.getppid()
        self._batch: tuple[int, BatchRows] = (0, BatchRows(()))
        self._made: hourly_figures.Made | None = None
        self._sums: tuple[object, Sums] | None = None
        self.calls: Mapping[str, Callable[..., object]] = {
            "seal": self.seal,
            "roll_up": self.roll_up,
            "keep_minutes": self.keep_minutes,
            "series": self.series,
            "buckets": self.buckets,
            "outgoing": self.outgoing,
            "known": self.known,
            "sums": self.sums,
            "again": self.again,
            "hours": self.hours,
            "hour_sums": self.hour_sums,
            "hours_again": self.hours_again,
        }

    def seal(self, now: Millis, keep: Millis, span: Millis) -> list[Batch]:
        """See `sealing.seal`: one batch, or none."""
        os.nice(max(0, _NICE - os.nice(0)))
        batch = sealing.seal(self._data, now, Policy(keep, span), self._parent)
        return [] if batch is None else [batch]

    def roll_up(self, key: int) -> int:
        """See `sealing.roll_up`."""
        return sealing.roll_up(self._data, key, self._parent)

    def keep_minutes(self, key: int) -> int:
        """See `sealing.keep_minutes`."""
        return sealing.keep_minutes(self._data, key, self._parent)

    def series(self, device: str, point: str, since: Millis, until: Millis, limit: int) -> Samples:
        """Raw samples of a point."""
        with Snapshot(self._data) as snapshot:
            return _samples(snapshot.first(device, point, since, until, limit))

    def buckets(
        self, device: str, point: str, since: Millis, until: Millis, step: Millis, aggregate: str, limit: int
    ) -> Samples:
        """One sample for each step."""
        with Snapshot(self._data) as snapshot:
            found, last = snapshot.buckets(device, point, since, until, step)
        at = found.at[:limit].tobytes()
        if last is not None and (aggregate == "last" or (last.dtype == object and aggregate != "count")):
            return Samples(at, last[:limit].tolist(), [])
        return Samples(at, found.aggregate(aggregate)[:limit].tobytes(), [])

    def outgoing(self, cursor: int, limit: int) -> Slice:
        """Sealed moments behind a cursor, at most `limit`."""
        with Snapshot(self._data) as snapshot:
            place = snapshot.batch_behind(cursor)
            if place is None:
                return Slice([], [], max(cursor, snapshot.sealed), 0)
            damaged = 0
            if self._batch[0] != place[0]:
                self._batch = (place[0], snapshot.batch(*place))
                damaged = snapshot.damaged
        rows = self._batch[1]
        start = rows.place(cursor)
        taken = rows.rows(start, start + limit)
        sources = list({row.source: None for row in taken})
        index = {source: number for number, source in enumerate(sources)}
        entries = [
            Outgoing(
                row.id,
                index[row.source],
                row.at,
                {
                    shape.name: value
                    for number, (shape, value) in enumerate(zip(row.source.points, row.values, strict=True))
                    if value is not None and number not in row.marks
                },
            )
            for row in taken
        ]
        cursor = place[0] if start + limit >= len(rows) else taken[-1].id
        return Slice(sources, entries, cursor, damaged)

    def known(self, device: str, instants: list[Millis]) -> dict[Millis, list[str]]:
        """Which points of a device are sealed at these instants."""
        found: dict[Millis, list[str]] = {}
        with Snapshot(self._data) as snapshot:
            for at in set(instants):
                for source, block in snapshot.sealed_blocks(device, at, at + 1):
                    for place in (block.at == at).nonzero()[0].tolist():
                        found.setdefault(at, []).extend(
                            source.points[index].name
                            for index, column in block.columns.items()
                            if column.held(len(block))[place]
                        )
        return found

    def sums(
        self, since: Millis, until: Millis, runs: figures.Runs, without: list[int], after: list[str] | None
    ) -> Sums:
        """See `figures.sums`; part by part."""
        question = "sums", since, until, runs, without
        return self._part(question, after, lambda one: figures.sums(one, since, until, runs, without))

    def again(
        self, device: str, since: Millis, until: Millis, runs: figures.Runs, without: list[int]
    ) -> Slice:
        """See `figures.again`."""
        with Snapshot(self._data) as snapshot:
            return figures.again(snapshot, device, since, until, runs, without)

    def hours(
        self, behind: int, before: Millis, first_held: int | None, limit: int,
        part: tuple[int, list[str]] | None,
    ) -> Hours:  # fmt: skip
        """See `hourly_figures.Made`; what was made is kept until the last of it is asked for."""
        os.nice(max(0, _NICE - os.nice(0)))
        begun = hourly_figures.Begun(behind, before, first_held)
        told = None if part is None else msgspec.convert(part, Part)
        if self._made is None or told is None or not self._made.holds(begun, told):
            with Snapshot(self._data) as snapshot:
                self._made = hourly_figures.make(snapshot, begun, told)
        return self._made.portion(told, limit)

    def hour_sums(
        self, since: Millis, until: Millis, upto: int, without: list[int], after: list[str] | None
    ) -> Sums:
        """See `hourly_figures.hour_sums`; part by part."""
        question = "hour_sums", since, until, upto, without
        return self._part(
            question, after, lambda one: hourly_figures.hour_sums(one, since, until, upto, without)
        )

    def _part(self, question: object, after: list[str] | None, make: Callable[[Snapshot], Sums]) -> Sums:
        """A part of an answer that is made with the first one and kept until the last is asked for."""
        os.nice(max(0, _NICE - os.nice(0)))
        if after is None or self._sums is None or self._sums[0] != question:
            with Snapshot(self._data) as snapshot:
                self._sums = (question, make(snapshot))
        told = None if after is None else msgspec.convert(after, DeviceKey)
        part = self._sums[1].part(told, _SERIES)
        if part.after is None:
            self._sums = None
        return part

    def hours_again(self, device: str, since: Millis, until: Millis, upto: int, without: list[int]) -> Hours:
        """See `hourly_figures.hours_again`."""
        os.nice(max(0, _NICE - os.nice(0)))
        with Snapshot(self._data) as snapshot:
            return hourly_figures.hours_again(snapshot, device, since, until, upto, without)


def _samples(series: Series) -> Samples:
    values = series.values
    odd = (~series.present | (series.quality != 0)).nonzero()[0]
    return Samples(
        series.at.tobytes(),
        values.tobytes() if values.dtype == float else values.tolist(),
        [(int(i), int(series.quality[i]), bool(series.present[i])) for i in odd],
    )


def serve(data: Path, requests: BinaryIO, answers: BinaryIO) -> None:
    """Answers until the requests end."""
    server = Server(data)
    while len(head := requests.read(4)) == 4:
        name, arguments = msgspec.msgpack.decode(requests.read(int.from_bytes(head, "big")))
        answer: tuple[Any, str | None]
        try:
            answer = (server.calls[name](*arguments), None)
        except (sqlite3.Error, OSError) as error:
            answer = (None, str(error))
        body = msgspec.msgpack.encode(answer)
        answers.write(len(body).to_bytes(4, "big") + body)
        answers.flush()


def main() -> None:
    """Serves the data folder named on the command line."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the gateway decides when this ends
        signal.signal(number, signal.SIG_IGN)
    try:
        serve(Path(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer)
    except (Orphaned, BrokenPipeError):
        sys.exit(1)


if __name__ == "__main__":
    main()
