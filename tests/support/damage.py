"""Ways to spoil a database file, as broken cards, power cuts and people do."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path

PAGE = 4096


def zero_pages(path: Path, share: float = 0.002, seed: int = 1) -> None:
    """A few pages, never the first two, become zeros."""
    pages = path.stat().st_size // PAGE
    chance = random.Random(seed)
    count = max(1, min(3, round(pages * share)))
    with path.open("r+b") as file:
        for page in chance.sample(range(2, pages), count):
            file.seek(page * PAGE)
            file.write(bytes(PAGE))


def zero_header(path: Path) -> None:
    """The first 100 bytes become zeros."""
    with path.open("r+b") as file:
        file.write(bytes(100))


def zero_first_page(path: Path) -> None:
    """The whole first page, with the schema, becomes zeros."""
    with path.open("r+b") as file:
        file.write(bytes(PAGE))


def zero_all(path: Path) -> None:
    """The length is right, the content is gone."""
    path.write_bytes(bytes(path.stat().st_size))


def cut(path: Path) -> None:
    """The last tenth is missing, in the middle of a page."""
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 9 // 10 - 100)


def empty(path: Path) -> None:
    """Zero bytes."""
    path.write_bytes(b"")
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def foreign(path: Path) -> None:
    """Another program's file, no database at all."""
    path.write_bytes(b"%PDF-1.7\n" + b"x" * 10_000)


def foreign_database(path: Path) -> None:
    """Another program's database."""
    import sqlite3

    empty(path)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE songs(title TEXT)")
        connection.execute("INSERT INTO songs VALUES('one')")
    connection.close()


def newer(path: Path) -> None:
    """A file of a later version of the software."""
    import sqlite3

    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=1000")
    connection.commit()
    connection.close()


def junk_log(path: Path) -> None:
    """The log beside it is garbage."""
    path.with_name(path.name + "-wal").write_bytes(random.Random(2).randbytes(50_000))


WAYS: Mapping[str, Callable[[Path], None]] = {
    "zeroed pages": zero_pages,
    "zeroed header": zero_header,
    "zeroed first page": zero_first_page,
    "all zeros": zero_all,
    "cut off": cut,
    "empty": empty,
    "no database": foreign,
    "another database": foreign_database,
    "newer schema": newer,
    "junk log": junk_log,
}
SALVAGED: Mapping[str, float] = {
    "zeroed pages": 0.99, "zeroed header": 0.99, "zeroed first page": 0.99, "cut off": 0.85,
    "newer schema": 1.0, "junk log": 1.0,
}  # fmt: skip
"""The least share of rows that must come back where the damage allows any."""
