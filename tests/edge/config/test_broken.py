"""`campus-edge check` on broken configurations: a place, a sentence, exit 2, and little memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

BROKEN = Path(__file__).parent / "broken"
FILES = sorted(BROKEN.glob("*.yaml"))
ROOT = Path(__file__).parents[3]
MAX_RSS_MB = 200
HANG_S = 60
"""A check takes well under two seconds; only one that hangs is ended, for the machine may be busy."""

_MEASURED = """\
import atexit, os, sys
def peak():
    words = [line.split() for line in open("/proc/self/status") if line.startswith("VmHWM")]
    os.write(int(sys.argv.pop()), words[0][1].encode())
pipe = sys.argv[-1]
atexit.register(lambda: (sys.argv.append(pipe), peak()))
sys.argv = ["campus-edge", *sys.argv[1:-1]]
from edge.cli import main
main()
"""
"""Runs the command line and writes the process's peak resident kB to a pipe at its end."""


class Outcome(NamedTuple):
    """What one run printed, returned and needed."""

    code: int
    lines: list[str]
    errors: str
    rss_mb: float


def run_check(folder: Path, name: str, *options: str) -> Outcome:
    """`campus-edge check -c NAME` in a process of its own, started in the folder."""
    reader, writer = os.pipe()
    environment = {key: value for key, value in os.environ.items() if key != "CREDENTIALS_DIRECTORY"}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "PYTHONUTF8": "1"}
    started = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-c", _MEASURED, "check", "-c", name, *options, str(writer)],
            cwd=folder,
            env=environment,
            pass_fds=[writer],
            capture_output=True,
            timeout=HANG_S,
            check=False,
        )
    finally:
        os.close(writer)
        with os.fdopen(reader) as pipe:
            peak_kb = pipe.read()
    print(f"{name}: {time.monotonic() - started:.2f} s, {int(peak_kb or 0) / 1024:.0f} MB")
    return Outcome(
        done.returncode, done.stdout.decode().splitlines(), done.stderr.decode(), int(peak_kb or 0) / 1024
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the broken configurations with two secrets, for git keeps no file private."""
    copy = tmp_path_factory.mktemp("broken") / "configs"
    shutil.copytree(BROKEN, copy)
    (copy / "secrets").mkdir()
    for name, mode in (("good", 0o600), ("readable-by-all", 0o644)):
        (copy / "secrets" / name).write_text("canary-5e1f")
        (copy / "secrets" / name).chmod(mode)
    return copy


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> Iterator[Mapping[str, Future[Outcome]]]:
    """What the check of each broken configuration comes to; as many run at once as there are cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {path.name: pool.submit(run_check, folder, path.name) for path in FILES}
        pool.shutdown(cancel_futures=True)


def _expected(path: Path) -> tuple[list[str], bool]:
    marked = [
        line.removeprefix("# expect: ")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("# expect: ")
    ]
    here = [f"{path.name}:{line}" if line[0].isdigit() else line for line in marked if line != "more"]
    return here, "more" in marked


def _assert_refused(outcome: Outcome) -> None:
    assert outcome.code == 2, outcome
    assert outcome.errors == ""
    assert 0 < outcome.rss_mb < MAX_RSS_MB


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_broken_configuration_is_told_with_its_places(
    outcomes: Mapping[str, Future[Outcome]], path: Path
) -> None:
    expected, more = _expected(path)
    outcome = outcomes[path.name].result()
    _assert_refused(outcome)
    assert expected, f"{path.name} says nothing of what is expected"
    for line in expected:
        assert any(printed.startswith(line) for printed in outcome.lines), outcome.lines
    faults = [line for line in outcome.lines[:-1] if ": warning: " not in line]
    assert more or len(faults) == len(expected), outcome.lines
    assert not any("s3cr3t" in line or "canary" in line for line in outcome.lines)


def _hostile(name: str) -> bytes:
    bomb = b"version: 1\nx:\n"
    return {
        "empty": b"",
        "binary": bytes(range(256)) * 16,
        "chinese_text_of_windows": "version: 1\nsite: {id: a, name: 尚德中学}\n".encode("gbk"),
        "nul": b"version: 1\nsite: \x00\n",
        "huge": b"version: 1\n# " + b"x" * 3_000_000,
        "many_keys": b"".join(b"k%d: 1\n" % number for number in range(25_000)),
        "many_items": b"devices: [" + b"a," * 120_000 + b"]",
        "many_faults": bomb + b"".join(b"  - on\n" for _ in range(30_000)),
        "many_bad_devices": b"version: 1\ndevices:\n" + b"  - {id: 1}\n" * 4_000,
        "deep_flow": b"x: " + b"[" * 100_000,
        "deep_block": b"x:\n" + b"- " * 100_000,
        "one_long_line": b"x: " + b"a" * 250_000,
        "one_long_number": b"x: " + b"9" * 250_000,
        "long_quoted": b'x: "' + b"a b " * 60_000,
        "directives": b"%A b\n" * 50_000,
        "wide_aliases": b"a: &a [" + b"1," * 100 + b"]\nb: [" + b"*a," * 80_000 + b"]",
    }[name]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("empty", "1:1: the file is empty"),
        ("binary", "2:118: not UTF-8"),
        ("chinese_text_of_windows", "2:21: not UTF-8"),
        ("nul", "2:7: control character U+0000"),
        ("huge", "1:1: larger than 256 kB: split it with include"),
        ("many_keys", "10000:8: k9999: more than 20000 keys and values"),
        ("many_items", "1:40005: devices.19997: more than 20000 keys and values"),
        ("many_faults", "3:5: x.0: plain on means different things"),
        ("many_bad_devices", "3:5: devices.0"),
        ("deep_flow", "1:35: x."),
        ("deep_block", "2:63: x."),
        ("one_long_line", "1:1: x: unknown key x"),
        ("one_long_number", "1:4: x: a number of 250000 digits"),
        ("long_quoted", "1:4: a quote is opened here and never closed"),
        ("directives", "50001:1: "),
        ("wide_aliases", "1:4: a: anchor &a"),
    ],
)
def test_a_hostile_file_is_refused_at_its_place(tmp_path: Path, name: str, expected: str) -> None:
    (tmp_path / "school.yaml").write_bytes(_hostile(name))
    outcome = run_check(tmp_path, "school.yaml")
    _assert_refused(outcome)
    assert any(line.startswith(f"school.yaml:{expected}") for line in outcome.lines), outcome.lines[:5]
    assert len(outcome.lines) <= 202


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for name, expected in (("nowhere.yaml", "there is no such file"), (".", "this is a folder")):
        outcome = run_check(tmp_path, name)
        _assert_refused(outcome)
        assert outcome.lines[0] == f"{name}:1:1: {expected}{': name a YAML file' if name == '.' else ''}"


def test_the_report_for_machines_has_the_same_faults(folder: Path) -> None:
    outcome = run_check(folder, "unknown_space.yaml", "--json")
    _assert_refused(outcome)
    report = json.loads("\n".join(outcome.lines))
    assert report["ok"] is False
    assert [(fault["line"], fault["column"], fault["path"]) for fault in report["faults"]] == [
        (10, 26, "devices.0.space")
    ]
