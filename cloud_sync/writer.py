"""What the uploader needs of a destination: how an entry is put, and a way to send what was put."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from cloud_sync.outbox import Entry

LineOf = Callable[[Entry], bytes]
"""An entry as the destination takes it, the same bytes each time, without a newline; empty when it wants
nothing of it. Raises NotALine."""


class Writer(Protocol):
    """A connection."""

    async def write(self, lines: bytes) -> None:
        """Returns when the destination confirmed exactly these lines, which newlines part; raises
        UploadError. Writing the same lines again must do no harm."""
        ...
