"""An installer's scans and captures, as JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import PlainSerializer

from edge.web.views.base import Instant, View
from edge.web.views.values import ReadingView

Hex = Annotated[bytes, PlainSerializer(lambda data: data.hex(" "), return_type=str)]


class PassedView(View):
    """Bytes that passed over a line in one piece, in hex; `speed` is empty where the line has none."""

    number: int
    at: Instant
    way: Literal["sent", "received"]
    data: Hex
    speed: str


class SeenView(View):
    """A device that a scan has seen; `profiles` fit it, best first, `known` is the configured
    device with this address. `conflict`: several answer to this address."""

    protocol: str
    address: str
    speed: str
    frame: Hex
    conflict: bool
    profiles: tuple[str, ...]
    known: str


class ScanView(View):
    """A scan of a line; `yaml` is what it found that the configuration lacks, to paste."""

    line: str
    state: Literal["running", "done", "failed", "stopped"]
    asked: int
    total: int
    now: str
    seen: list[SeenView]
    yaml: str
    detail: str


class ReadOnceView(View):
    """One round of reading a device on demand; `trouble` says why there are no readings."""

    device: str
    readings: list[ReadingView]
    traffic: list[PassedView]
    trouble: str
