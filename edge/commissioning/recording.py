"""Bytes of a line on disk: one JSON object a line, in a file that does not grow without end."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from drivers.line.traffic import Passed

MOST_BYTES = 10_000_000


class RingFile:
    """Appends to `path`; when that is full it becomes `path.1`, which is then the older half."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        self._path = path
        self._most = most_bytes // 2
        self._file: IO[str] | None = None
        self.pieces = 0

    def __enter__(self) -> Self:
        self._file = self._path.open("a", encoding="ascii")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, pieces: Iterable[Passed]) -> None:
        """Adds pieces; what is written is with the operating system when it returns."""
        assert self._file is not None  # noqa: S101  # entered
        for piece in pieces:
            row = {"at": piece.at, "way": piece.way, "speed": piece.speed, "data": piece.data.hex(" ")}
            self._file.write(json.dumps(row) + "\n")
            self.pieces += 1
        self._file.flush()
        if self._file.tell() > self._most:
            self._file.close()
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            self._file = self._path.open("a", encoding="ascii")
