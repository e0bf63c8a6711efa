"""Peers are installed once; the time it took is told apart."""

from __future__ import annotations

import time
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import pytest

from tests.bench import peers


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    return tmp_path


def slow(folder: Path, pins: Any) -> dict[str, str]:
    time.sleep(0.01)
    return {"peer": pins["version"]}


def test_what_was_installed_takes_no_time_again_until_its_pins_change() -> None:
    first = peers._installed("peer", {"version": "1"}, slow)
    again = peers._installed("peer", {"version": "1"}, slow)
    other = peers._installed("peer", {"version": "2"}, slow)
    assert first.took_s > 0
    assert again.took_s == 0
    assert first.versions == again.versions == {"peer": "1"}
    assert other.took_s > 0
    assert other.folder != first.folder


def test_a_failed_installation_says_why_and_is_tried_again() -> None:
    def fail(folder: Path, pins: Any) -> dict[str, str]:
        raise CalledProcessError(1, ["pip"], stderr="resolving\nno matching distribution\n")

    assert peers._installed("peer", {"version": "1"}, fail).missing.endswith("no matching distribution")
    assert peers._installed("peer", {"version": "1"}, slow).missing == ""
