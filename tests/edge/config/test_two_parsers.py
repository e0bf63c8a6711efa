"""libyaml and the parser in Python: what the quick one accepts, the careful one reads likewise."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import documents
from edge.config.fault import ConfigError
from edge.config.resources import builtin_configs

BROKEN = Path(__file__).parent / "broken"
OWN = sorted(builtin_configs().rglob("*.yaml"))
SIGNS = [*" \n:-,[]{}#'\"\\|>&*!%@`?~.0a中:", "\n  ", "\n- ", ": ", "|\n", "\n---\n"]


def _agree(text: str) -> bool:
    """Whether the quick parser accepted the text, and so did the other."""
    quick = documents._read_quickly(text, "x.yaml")
    if quick is None:
        return False
    careful = documents._read_carefully(text, "x.yaml")
    assert careful == quick
    return True


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
def test_what_is_shipped_is_read_by_the_quick_parser(path: Path) -> None:
    assert _agree(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", sorted(BROKEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_broken_file_is_not_read_otherwise(path: Path) -> None:
    try:
        _agree(documents._text(path, documents.MAX_BYTES))
    except ConfigError as error:
        assert error.faults


@given(
    st.sampled_from([path for path in OWN if path.stat().st_size < 3_000]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.sampled_from(SIGNS)), min_size=1, max_size=3),
)
def test_a_mistyped_file_is_not_read_otherwise(path: Path, slips: list[tuple[float, int, str]]) -> None:
    text = path.read_text(encoding="utf-8")
    for where, gone, put in slips:
        at = int(where * len(text))
        text = text[:at] + put + text[at + gone :]
    _agree(text)
