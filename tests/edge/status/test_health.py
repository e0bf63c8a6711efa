"""How the checks make one word."""

from __future__ import annotations

import pytest

from edge.status.health import worst
from edge.web.services.health import Check, HealthWord


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("ok", "ok"), "ok"),
        (("ok", "degraded"), "degraded"),
        (("degraded", "failed", "ok"), "failed"),
        ((), "ok"),
    ],
)
def test_the_worst_check_decides(words: tuple[HealthWord, ...], expected: HealthWord) -> None:
    assert worst(tuple(Check(f"part-{n}", word) for n, word in enumerate(words))) == expected
