"""The frames of this folder as typed data, and the pump that plays a meter to a driver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from drivers.contract import Exchange, Poll, Reply
from drivers.errors import DriverError, NoReply
from drivers.reading import Millis, Reading

FOLDER = Path(__file__).parent / "frames"


@dataclass(frozen=True)
class Sample:
    """One captured exchange: what was asked, the bytes that came, and what they say."""

    name: str
    source: str
    address: str
    di: str
    request: bytes
    reply: bytes
    size: int
    decimals: int
    signed: bool
    values: tuple[float | None, ...]
    error_word: int
    fault: str


def _sample(path: Path) -> Sample:
    data: dict[str, Any] = YAML(typ="safe", pure=True).load(path)
    return Sample(
        name=path.stem,
        source=data["source"],
        address=data["address"],
        di=data["di"],
        request=bytes.fromhex(data.get("request", "")),
        reply=bytes.fromhex(data["reply"]),
        size=data["format"]["bytes"],
        decimals=data["format"]["decimals"],
        signed=data["format"]["signed"],
        values=tuple(data.get("values", ())),
        error_word=data.get("error_word", 0),
        fault=data.get("fault", ""),
    )


SAMPLES = tuple(_sample(path) for path in sorted(FOLDER.glob("*.yaml")))

Answering = Callable[[Exchange], bytes | DriverError]
"""A meter: the bytes it sends for an exchange, or the error that the line would report."""


def drive(poll: Poll, meter: Answering, at: Millis = 1_000) -> list[Reading]:
    """Runs one round against `meter`; bytes without a reply for us count as silence."""
    try:
        exchange = next(poll)
        while True:
            at += 100
            sent = meter(exchange)
            if isinstance(sent, DriverError):
                exchange = poll.throw(sent)
                continue
            found = exchange.deframe(sent)
            if found.frame is None:
                exchange = poll.throw(NoReply("silence"))
            else:
                exchange = poll.send(Reply(found.frame, at))
    except StopIteration as end:
        return list(end.value)
