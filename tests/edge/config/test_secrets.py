"""Secrets live outside the configuration and are nobody else's to read."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.settings import SecretRef
from edge.config.secrets import SecretError, resolve_secret

REF = SecretRef(secret="influx")
VALUE = "canary-7f3a"


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    folder = tmp_path / "secrets"
    folder.mkdir()
    return folder


def _write(path: Path, text: str | bytes, mode: int = 0o600) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


def test_a_private_file_beside_the_configuration_is_read_without_its_line_end(secrets: Path) -> None:
    _write(secrets / "influx", f"{VALUE}\r\n")
    assert resolve_secret(REF, secrets.parent) == VALUE


def test_a_systemd_credential_comes_first(
    secrets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    _write(secrets / "influx", "from-file")
    assert resolve_secret(REF, secrets.parent) == "from-file"
    _write(credentials / "influx", VALUE, mode=0o440)
    assert resolve_secret(REF, secrets.parent) == VALUE
    assert resolve_secret(REF, None) == VALUE


def test_a_missing_secret_says_where_to_write_it(secrets: Path) -> None:
    with pytest.raises(SecretError, match=r"is missing: write it to .*secrets/influx with mode 0600"):
        resolve_secret(REF, secrets.parent)
    with pytest.raises(SecretError, match="no such systemd credential"):
        resolve_secret(REF, None)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_secret_that_others_may_read_is_refused(secrets: Path, mode: int) -> None:
    path = _write(secrets / "influx", VALUE, mode)
    with pytest.raises(SecretError, match=f"open to other users: chmod 600 {path}"):
        resolve_secret(REF, secrets.parent)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [(b"", "is empty"), (b"\n", "is empty"), (b"\xff\xfe", "not UTF-8"), (b"x" * 70_000, "too long")],
)
def test_a_secret_that_is_no_text_is_refused_without_being_told(
    secrets: Path, raw: bytes, reason: str
) -> None:
    _write(secrets / "influx", raw)
    with pytest.raises(SecretError, match=reason) as caught:
        resolve_secret(REF, secrets.parent)
    assert "xxxx" not in str(caught.value)


def test_a_folder_in_place_of_a_secret_is_refused(secrets: Path) -> None:
    (secrets / "influx").mkdir(mode=0o700)
    with pytest.raises(SecretError, match="must be a file"):
        resolve_secret(REF, secrets.parent)
