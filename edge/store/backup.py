"""Copies of the files while they are in use, and bringing them back.

A backup is a folder: the databases as single files, the sealed history, and `manifest.json` with
the size and SHA-256 of each. One that is not whole is never restored. A sealed file that has not
changed since the newest backup beside is not copied again but linked: each backup is whole, and takes the
room of what is new.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from drivers.reading import Millis
from edge.store.catalogue import FOLDER
from edge.store.damage import quick_check
from edge.store.database import free_bytes
from edge.store.identity import sync_folder

MANIFEST = "manifest.json"
LOCK = "lock"
BACKUPS = "backups"
_COMING = "restoring"
KEEP = 7
"""Nightly copies of the core file that are kept."""
PAGES = 512
"""Pages that are copied at a time: between two steps the gateway writes."""

Progress = Callable[[str, int, int], None]
"""Told of each file that is done: its name, bytes done so far, bytes in all."""


class Kept(NamedTuple):
    """A file of a backup: its size and SHA-256, and size and change time (ns) of what it is a copy of."""

    bytes: int
    sha256: str
    source: tuple[int, int] = (0, 0)


def _silent(_name: str, _done: int, _all: int) -> None:
    """Nobody wants to know."""


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


def back_up(data: Path, to: Path, names: Sequence[str], now: Millis, progress: Progress = _silent) -> Path:
    """Copies the named files of a data folder and its sealed history, beside a running gateway too, into
    a new folder in `to` (or as `to`, when its parent exists and it does not). Returns that folder.
    Raises BackupError."""
    present = [name for name in names if (data / name).is_file()]
    if not present:
        raise BackupError(f"{data} holds no data of a gateway")
    stamp = _stamp(now)
    folder = to / f"campus-edge-{stamp}" if to.is_dir() else to
    before = _newest(folder.parent)
    try:
        folder.mkdir(parents=True, mode=0o700)
        # Sealed files behind those that name them: one that nobody names is found again by itself.
        present += [f"{FOLDER}/{path.name}" for path in sorted((data / FOLDER).glob("*.db"))]
        total, done = sum((data / name).stat().st_size for name in present), 0
        files: dict[str, Kept] = {}
        for name in present:
            (folder / name).parent.mkdir(mode=0o700, exist_ok=True)
            if (kept := _keep(data / name, folder / name, name, before)) is None:
                continue  # retention was faster
            files[name] = kept
            done += kept.bytes
            progress(name, done, max(done, total))
        _write_manifest(folder, stamp, files)
    except (OSError, sqlite3.DatabaseError) as error:
        raise BackupError(f"the backup failed: {error}") from error
    return folder


def _keep(source: Path, target: Path, name: str, before: tuple[Path, Mapping[str, Kept]]) -> Kept | None:
    """Links a sealed file to its copy in an earlier backup, where that is still what it was, or copies
    it; `None` when it is gone."""
    try:
        facts = source.stat()
    except FileNotFoundError:
        return None
    state = (facts.st_size, facts.st_mtime_ns)
    folder, known = before
    old = known.get(name)
    if name.startswith(FOLDER) and old is not None and old.source == state:
        with contextlib.suppress(OSError):  # another volume, or one without links
            if sha256(folder / name) == old.sha256:
                os.link(folder / name, target)
                return old
    copy(source, target)
    return Kept(target.stat().st_size, sha256(target), state)


def _newest(folder: Path) -> tuple[Path, Mapping[str, Kept]]:
    """The newest whole backup in a folder, and its files; nothing where there is none."""
    for manifest in sorted(folder.glob(f"*/{MANIFEST}"), key=lambda path: path.stat().st_mtime, reverse=True):
        with contextlib.suppress(BackupError):
            return manifest.parent, _manifest(manifest.parent)
    return folder, {}


def _write_manifest(folder: Path, stamp: str, files: Mapping[str, Kept]) -> None:
    content = {"format": 1, "made_at": stamp, "files": {name: kept._asdict() for name, kept in files.items()}}
    part = folder / f"{MANIFEST}.part"
    part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(folder / MANIFEST)
    if (folder / FOLDER).is_dir():
        sync_folder(folder / FOLDER)
    sync_folder(folder)


def _manifest(folder: Path) -> dict[str, Kept]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return {
            str(name): Kept(int(facts["bytes"]), str(facts["sha256"]), _pair(facts.get("source", (0, 0))))
            for name, facts in manifest["files"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackupError(f"{folder} is no whole backup: {error}") from error


def _pair(pair: Sequence[int]) -> tuple[int, int]:
    size, changed = pair
    return int(size), int(changed)


def verify(folder: Path, progress: Progress = _silent) -> dict[str, Kept]:
    """The files of a whole backup; BackupError says what is wrong with it."""
    files = _manifest(folder)
    total, done = sum(kept.bytes for kept in files.values()), 0
    for name, kept in files.items():
        path = folder / name
        if ".." in Path(name).parts or Path(name).is_absolute() or not path.is_file():
            raise BackupError(f"{folder} lacks {name}")
        if sha256(path) != kept.sha256:
            raise BackupError(f"{path} is not what was backed up: its SHA-256 differs")
        done += kept.bytes
        progress(name, done, total)
    return files


def restore(folder: Path, data: Path, now: Millis, progress: Progress = _silent) -> list[str]:
    """Brings a verified backup back; what was in the data folder is set aside beside it. Raises
    BackupError, InUse when a gateway runs. The names of the files that were brought back."""
    files = verify(folder)
    with exclusive(data):
        try:
            _bring(folder, data, files, progress)
            _exchange(data, list(files), _stamp(now))
        except (OSError, sqlite3.DatabaseError) as error:
            raise BackupError(f"the backup was not brought back: {error}") from error
    return list(files)


def _bring(folder: Path, data: Path, files: Mapping[str, Kept], progress: Progress) -> None:
    """Copies all files to where they can be put in place by renaming; nothing that is there changes."""
    total, done = sum(kept.bytes for kept in files.values()), 0
    if total > free_bytes(data):
        raise BackupError(f"{data} has room for {free_bytes(data):,} bytes, the backup takes {total:,}")
    shutil.rmtree(data / _COMING, ignore_errors=True)
    for name, kept in files.items():
        part = data / _COMING / name
        part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(folder / name, part)
        part.chmod(0o600)
        if reason := quick_check(part):
            shutil.rmtree(data / _COMING)
            raise BackupError(f"{folder / name} is damaged: {reason}")
        with part.open("rb") as file:
            os.fsync(file.fileno())
        done += kept.bytes
        progress(name, done, total)


def _exchange(data: Path, names: Sequence[str], stamp: str) -> None:
    """Sets aside what is there and puts in place what was brought. A kill in between leaves both."""
    if (data / FOLDER).is_dir():
        (data / FOLDER).rename(data / f"{FOLDER}.before-{stamp}")
    for name in names:
        for ending in ("-wal", "-shm", ""):
            old = data / f"{name}{ending}"
            if old.exists():
                old.rename(data / f"{name}.before-{stamp}{ending}")
        if not name.startswith(FOLDER):
            (data / _COMING / name).rename(data / name)
    if (data / _COMING / FOLDER).is_dir():
        (data / _COMING / FOLDER).rename(data / FOLDER)
    (data / _COMING).rmdir()
    sync_folder(data)


def nightly(core: Path, now: Millis) -> Path:
    """A copy of the core file in `backups`; the newest `KEEP` stay. sqlite3.DatabaseError, OSError."""
    folder = core.parent / BACKUPS
    folder.mkdir(mode=0o700, exist_ok=True)
    stamp = _stamp(now)[:8]
    target = folder / f"core-{stamp}.db"
    copy(core, target)
    for old in nightlies(core)[KEEP:]:
        old.unlink(missing_ok=True)
    return target


def nightlies(core: Path) -> list[Path]:
    """The nightly copies, the newest first."""
    return sorted((core.parent / BACKUPS).glob("core-*.db"), reverse=True)


def _stamp(now: Millis) -> str:
    return datetime.fromtimestamp(now / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")


def sha256(path: Path) -> str:
    """A file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
