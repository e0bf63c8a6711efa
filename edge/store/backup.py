"""Copies of the files while they are in use, and bringing them back.

A backup is a folder: the databases as single files, and `manifest.json` with the size and
SHA-256 of each. One that is not whole is never restored.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drivers.reading import Millis
from edge.store.catalogue import FOLDER
from edge.store.damage import quick_check
from edge.store.identity import sync_folder

MANIFEST = "manifest.json"
LOCK = "lock"
BACKUPS = "backups"
KEEP = 7
"""Nightly copies of the core file that are kept."""
PAGES = 512
"""Pages that are copied at a time: between two steps the gateway writes."""


class BackupError(Exception):
    """A backup cannot be made, or is not one, or cannot be brought back now."""


class InUse(BackupError):
    """A gateway runs on the data folder."""


@contextlib.contextmanager
def exclusive(data: Path) -> Iterator[None]:
    """Holds a data folder for one process; InUse when another holds it. Released by the kernel at a kill."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(data / LOCK, os.O_CREAT | os.O_RDONLY, 0o600)
    except OSError:  # a disk that cannot be written holds no lock, and a second gateway neither
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InUse(f"a gateway runs on {data}") from error
        yield
    finally:
        os.close(descriptor)


def copy(source: Path, target: Path) -> None:
    """Copies one database in use into a single file, whole and durable; sqlite3.DatabaseError, OSError."""
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    reading = sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True)
    writing = sqlite3.connect(part)
    try:
        with contextlib.suppress(sqlite3.OperationalError):  # a snapshot: else each commit restarts the copy
            reading.execute("BEGIN")
            reading.execute("SELECT count(*) FROM sqlite_master").fetchone()
        reading.backup(writing, pages=PAGES)
        writing.execute("PRAGMA journal_mode=DELETE")
    finally:
        writing.close()
        reading.close()
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)
    sync_folder(target.parent)


def back_up(data: Path, to: Path, names: Sequence[str], now: Millis) -> Path:
    """Copies the named files of a data folder, beside a running gateway too, into a new folder in `to`
    (or as `to`, when its parent exists and it does not). Returns that folder. Raises BackupError."""
    present = [name for name in names if (data / name).is_file()]
    if not present:
        raise BackupError(f"{data} holds no data of a gateway")
    # Behind the files that name them: a sealed file that nobody names is found again by itself.
    present += [f"{FOLDER}/{path.name}" for path in sorted((data / FOLDER).glob("*.db"))]
    stamp = datetime.fromtimestamp(now / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = to / f"campus-edge-{stamp}" if to.is_dir() else to
    try:
        folder.mkdir(parents=True, mode=0o700)
        files: dict[str, Any] = {}
        for name in present:
            (folder / name).parent.mkdir(mode=0o700, exist_ok=True)
            copy(data / name, folder / name)
            files[name] = {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)}
        manifest = {"format": 1, "made_at": stamp, "files": files}
        part = folder / f"{MANIFEST}.part"
        part.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(folder / MANIFEST)
        sync_folder(folder)
    except (OSError, sqlite3.DatabaseError) as error:
        raise BackupError(f"the backup failed: {error}") from error
    return folder


def verify(folder: Path) -> list[str]:
    """The files of a whole backup; BackupError says what is wrong with it."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{folder} is no whole backup: {error}") from error
    for name, facts in files.items():
        path = folder / name
        if ".." in Path(name).parts or Path(name).is_absolute() or not path.is_file():
            raise BackupError(f"{folder} lacks {name}")
        if sha256(path) != facts.get("sha256"):
            raise BackupError(f"{path} is not what was backed up: its SHA-256 differs")
    return list(files)


def restore(folder: Path, data: Path, now: Millis) -> list[str]:
    """Brings a verified backup back; what was in the data folder is set aside beside it. Raises
    BackupError, InUse when a gateway runs. The names of the files that were brought back."""
    names = verify(folder)
    with exclusive(data):
        stamp = datetime.fromtimestamp(now / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
        try:
            if (data / FOLDER).is_dir():
                (data / FOLDER).rename(data / f"{FOLDER}.before-{stamp}")
            for name in names:
                part = data / f"{name}.restoring"
                part.parent.mkdir(mode=0o700, exist_ok=True)
                shutil.copyfile(folder / name, part)
                part.chmod(0o600)
                reason = quick_check(part)
                if reason:
                    part.unlink()
                    raise BackupError(f"{folder / name} is damaged: {reason}")
                with part.open("rb") as file:
                    os.fsync(file.fileno())
            for name in names:
                for ending in ("-wal", "-shm", ""):
                    old = data / f"{name}{ending}"
                    if old.exists():
                        old.rename(data / f"{name}.before-{stamp}{ending}")
                (data / f"{name}.restoring").rename(data / name)
            sync_folder(data)
        except (OSError, sqlite3.DatabaseError) as error:
            raise BackupError(f"the backup was not brought back: {error}") from error
    return names


def nightly(core: Path, now: Millis) -> Path:
    """A copy of the core file in `backups`; the newest `KEEP` stay. sqlite3.DatabaseError, OSError."""
    folder = core.parent / BACKUPS
    folder.mkdir(mode=0o700, exist_ok=True)
    stamp = datetime.fromtimestamp(now / 1000, UTC).strftime("%Y%m%d")
    target = folder / f"core-{stamp}.db"
    copy(core, target)
    for old in nightlies(core)[KEEP:]:
        old.unlink(missing_ok=True)
    return target


def nightlies(core: Path) -> list[Path]:
    """The nightly copies, the newest first."""
    return sorted((core.parent / BACKUPS).glob("core-*.db"), reverse=True)


def sha256(path: Path) -> str:
    """A file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
