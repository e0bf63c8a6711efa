"""The configuration that ran last, kept so that a restart with a faulty one still watches the school.

`<data>/last-good/` holds the files of one start that succeeded, where they stood beside the main file.
No secret is among them: `secrets` in it is a link to the folder beside the original.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edge.config.configuration import Configuration
from edge.config.fault import ConfigError, Fault
from edge.config.files import is_file, is_folder
from edge.config.load import load
from edge.config.resources import builtin_configs
from edge.store.identity import sync_folder

FOLDER = "last-good"
_COMING = "last-good.new"
_GOING = "last-good.old"
_SECRETS = "secrets"

_LOG = logging.getLogger(__name__)


class NotKept(Exception):
    """There is no copy of what runs; the text says why."""


def keep(configuration: Configuration, data: Path) -> None:
    """Keeps the files of a configuration that has just started, when they are not those of the copy.
    What hinders it is logged: the gateway runs all the same."""
    if configuration.stands_in_for:
        return
    try:
        files = _as_read(configuration)
        folders = [_inside(folder, configuration) for folder in configuration.sources.folders]
        _settle(data)
        if _kept(data / FOLDER) != (files, _secrets(configuration.path)):
            _build(data / _COMING, files, folders, _secrets(configuration.path))
            _exchange(data)
            _LOG.info("a copy of this configuration is kept in %s", data / FOLDER)
    except (NotKept, OSError) as error:
        _LOG.warning("no copy of this configuration is kept for a restart with a faulty one: %s", error)


def fall_back(path: Path, data: Path, faults: Sequence[Fault]) -> Configuration | None:
    """The copy of the configuration at `path`, whose faults these are; `None` where there is none, or
    it is of another file, or cannot be used any more (which is logged)."""
    folder = next((data / name for name in (FOLDER, _GOING) if is_folder(data / name)), None)
    if folder is None or not is_file(folder / path.name) or _link(folder) != _secrets(path):
        return None
    try:
        return replace(load(folder / path.name), stands_in_for=tuple(faults))
    except ConfigError as error:
        _LOG.error("the copy of the last good configuration cannot be used either:\n%s", error)
        return None


def _as_read(configuration: Configuration) -> dict[str, bytes]:
    """Name beside the main file -> content, of all the school's own files. NotKept where one lies
    elsewhere, or is no longer what was read."""
    home = configuration.path.parent
    files: dict[str, bytes] = {}
    for path, digest in configuration.sources.files.items():
        if not path.is_relative_to(home) and path.is_relative_to(builtin_configs()):
            continue
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise NotKept(f"{path} has changed since it was read")
        files[_inside(path, configuration)] = content
    return files


def _inside(path: Path, configuration: Configuration) -> str:
    home = configuration.path.parent
    if not path.is_relative_to(home) or ".." in path.relative_to(home).parts:
        raise NotKept(f"{path} lies outside of {home}")
    return str(path.relative_to(home))


def _secrets(path: Path) -> str:
    """Where the secrets of a configuration file are, and by that which file it is."""
    return str(path.absolute().parent / _SECRETS)


def _link(folder: Path) -> str:
    try:
        return str((folder / _SECRETS).readlink())
    except OSError:
        return ""


def _kept(folder: Path) -> tuple[Mapping[str, bytes], str]:
    """What a copy holds: its files and whose it is."""
    found = {
        str((Path(base) / name).relative_to(folder)): (Path(base) / name).read_bytes()
        for base, _, names in os.walk(folder)
        for name in names
        if (Path(base) / name).is_file()
    }
    return found, _link(folder)


def _settle(data: Path) -> None:
    """Clears what an exchange that was cut short has left."""
    if (data / _GOING).is_dir() and not (data / FOLDER).is_dir():
        (data / _GOING).rename(data / FOLDER)
    for name in (_COMING, _GOING):
        if (data / name).is_dir():
            shutil.rmtree(data / name)


def _build(folder: Path, files: Mapping[str, bytes], folders: Sequence[str], secrets: str) -> None:
    """Writes a whole copy, durably, where nobody looks for one."""
    folder.mkdir(mode=0o700)
    for name in folders:
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    (folder / _SECRETS).symlink_to(secrets)
    for base, _, _ in os.walk(folder):
        sync_folder(Path(base))


def _exchange(data: Path) -> None:
    """Puts the new copy in place of the old one. Cut short between the two, the old one is still found."""
    if (data / FOLDER).is_dir():
        (data / FOLDER).rename(data / _GOING)
    (data / _COMING).rename(data / FOLDER)
    sync_folder(data)
    if (data / _GOING).is_dir():
        shutil.rmtree(data / _GOING)
