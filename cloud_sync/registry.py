"""The kinds of destinations: settings -> how entries are put, and a connection that sends them.

A new kind is a settings class (`cloud_sync.settings`), a module with its writer, and one line here.
Modules are imported when a school uses them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from cloud_sync.line_protocol import format_entry
from cloud_sync.settings import Destination, InfluxDestination, JsonLinesDestination
from cloud_sync.writer import LineOf, Writer
from drivers.settings import SecretRef

Secret = Callable[[SecretRef], str]
"""What a reference to a secret stands for."""


class Connection(Writer, Protocol):
    """A writer that is closed when it is not needed any more."""

    async def aclose(self) -> None:
        """Closes it."""
        ...


class Way(NamedTuple):
    """How entries leave for one destination."""

    line_of: LineOf
    connection: Connection


def _influx(destination: Destination, secret: Secret) -> Way:
    from cloud_sync.influx import InfluxWriter

    assert isinstance(destination, InfluxDestination)  # noqa: S101  # the table says so
    return Way(format_entry, InfluxWriter(destination, secret(destination.token)))


def _json_lines(destination: Destination, secret: Secret) -> Way:
    from cloud_sync.json_lines import JsonLinesWriter, Naming

    assert isinstance(destination, JsonLinesDestination)  # noqa: S101  # the table says so
    token = secret(destination.token) if destination.token else None
    return Way(Naming(destination).line_of, JsonLinesWriter(destination, token))


KINDS: Mapping[type[Destination], Callable[[Destination, Secret], Way]] = {
    InfluxDestination: _influx,
    JsonLinesDestination: _json_lines,
}


def way(destination: Destination, secret: Secret) -> Way:
    """The way to a destination; ValueError for a secret that cannot be one."""
    return KINDS[type(destination)](destination, secret)
