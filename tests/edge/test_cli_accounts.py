"""Administration commands as an administrator types them."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path


def campus(*arguments: str, data: Path, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge", *arguments, "--data", str(data)],
        input=typed, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_token_is_printed_alone_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    made = campus("token", "create", "--role", "viewer", "--name", "grafana", data=tmp_path)
    assert made.returncode == 0
    token = made.stdout.strip()
    assert len(token) >= 40
    assert made.stdout == token + "\n"
    assert token.encode() not in (tmp_path / "core.db").read_bytes()
    assert "grafana" in campus("token", "list", data=tmp_path).stdout
    assert campus("token", "revoke", "grafana", data=tmp_path).returncode == 0
    assert campus("token", "list", data=tmp_path).stdout == ""


def test_a_person_is_added_with_a_strong_password_only(tmp_path: Path) -> None:
    weak = campus("user", "add", "anna", "--role", "operator", data=tmp_path, typed="short\n")
    assert (weak.returncode, weak.stdout) == (2, "")
    assert "at least 10 characters" in weak.stderr
    assert (
        campus("user", "add", "anna", "--role", "operator", data=tmp_path, typed="Osmanthus-77\n").returncode
        == 0
    )
    again = campus("user", "add", "anna", data=tmp_path, typed="Osmanthus-77\n")
    assert again.returncode == 2
    assert "already" in again.stderr
    assert "operator" in campus("user", "list", data=tmp_path).stdout
    changed = campus("user", "password", "anna", data=tmp_path, typed="Chrysanthemum-88\n")
    assert changed.returncode == 0


def test_an_unknown_role_or_folder_is_told_with_what_is_allowed(tmp_path: Path) -> None:
    role = campus("token", "create", "--role", "king", "--name", "x", data=tmp_path)
    assert role.returncode == 2
    assert "operator" in role.stderr
    folder = campus("user", "list", data=tmp_path / "nowhere")
    assert folder.returncode == 2
    assert "--data" in folder.stderr


def test_a_changed_audit_row_is_found(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        campus("token", "create", "--name", name, data=tmp_path)
    assert campus("audit", "verify", data=tmp_path).returncode == 0
    with sqlite3.connect(tmp_path / "core.db") as connection:
        connection.execute("DROP TRIGGER audit_keeps_words")
        connection.execute("UPDATE audit SET object='token:z' WHERE object='token:b'")
    broken = campus("audit", "verify", data=tmp_path)
    assert broken.returncode == 1
    assert "row 2" in broken.stderr
