"""A run that is promised its facilities does not pass by skipping."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
TESTS = """
import pytest
from tests.support.facilities import REASONS

@pytest.mark.skipif(True, reason=REASONS["loop"])
def test_of_a_known_facility(): ...

def test_of_nothing(): ...

{more}
"""
UNKNOWN = """
def test_with_an_excuse_of_its_own():
    pytest.skip("no time today")
"""


@pytest.mark.parametrize(
    ("must_have", "may_lack", "more", "code", "said"),
    [
        ("", "", UNKNOWN, 0, "test_of_a_known_facility"),
        ("sh", "loop", "", 0, "1 passed, 1 skipped"),
        ("sh", "loop", UNKNOWN, 1, "test_with_an_excuse_of_its_own"),
        ("sh,a-program-that-is-nowhere", "loop", "", 4, "a-program-that-is-nowhere"),
    ],
)
def test_a_skip_that_is_not_listed_fails_where_the_run_is_strict(
    tmp_path: Path, must_have: str, may_lack: str, more: str, code: int, said: str
) -> None:
    (tmp_path / "test_made.py").write_text(TESTS.format(more=more))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-c", os.devnull,
         "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
        env={**os.environ, "CAMPUS_EDGE_MUST_HAVE": must_have, "CAMPUS_EDGE_MAY_LACK": may_lack,
             "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stdout + done.stderr
