"""Resolves named secrets: systemd credentials, else a 0600 file beside the configuration."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

from drivers.settings import SecretRef
from edge.config.spots import KeyPath

_MAX_BYTES = 64 * 1024
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class SecretError(Exception):
    """A secret is missing, unreadable or open to others; the text says what mends it
    and never holds the secret."""


def resolve_secret(ref: SecretRef, directory: Path | None) -> str:
    """The text of a secret, without the line end behind it.

    Looks for `$CREDENTIALS_DIRECTORY/NAME` (systemd `LoadCredential=`), then for
    `directory/secrets/NAME` with mode 0600, where `directory` is that of the
    configuration. Raises `SecretError`.
    """
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if credentials:
        path = Path(credentials) / ref.secret
        if path.is_file():
            return _read(path, ref.secret)
    if directory is None:
        raise SecretError(f"the secret {ref.secret} is missing: there is no such systemd credential")
    path = directory / "secrets" / ref.secret
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise SecretError(
            f"the secret {ref.secret} is missing: write it to {path} with mode 0600, "
            "or pass it with systemd's LoadCredential="
        ) from error
    except OSError as error:
        raise SecretError(f"the secret {ref.secret} cannot be read: {path}: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise SecretError(f"the secret {ref.secret} must be a file: {path} is none")
    if mode & _OTHERS:
        raise SecretError(f"the secret {ref.secret} is open to other users: chmod 600 {path}")
    return _read(path, ref.secret)


def secrets_in(settings: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, SecretRef]]:
    """Every secret that settings name, with the key path of the reference."""
    if isinstance(settings, SecretRef):
        yield path, settings
    elif isinstance(settings, BaseModel):
        for name, field in type(settings).model_fields.items():
            yield from secrets_in(getattr(settings, name), (*path, field.alias or name))
    elif isinstance(settings, Mapping):
        for key, value in settings.items():
            yield from secrets_in(value, (*path, str(key)))
    elif isinstance(settings, list | tuple):
        for index, value in enumerate(settings):
            yield from secrets_in(value, (*path, index))


def _read(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
        text = raw.decode("utf-8").rstrip("\r\n")
    except OSError as error:
        raise SecretError(f"the secret {name} cannot be read: {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SecretError(f"the secret {name} is not UTF-8 text: {path}") from error
    if not text or len(raw) > _MAX_BYTES:
        raise SecretError(f"the secret {name} is {'empty' if not text else 'too long'}: {path}")
    return text
