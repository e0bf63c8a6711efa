"""Kleene's laws, and trees of leaves that cannot be told."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from rules.truth import Judge, Truth, all_of, any_of, n_of, not_of

TRUTHS = st.sampled_from([True, False, None])
SEVERAL = st.lists(TRUTHS, min_size=1, max_size=6)


def judges(truths: Sequence[Truth]) -> list[Judge]:
    """Parts that answer with the given truths."""

    def judge(truth: Truth) -> Judge:
        return lambda: truth

    return [judge(truth) for truth in truths]


def rank(truth: Truth) -> int:
    """False < unknown < true."""
    return {False: 0, None: 1, True: 2}[truth]


@given(SEVERAL)
def test_all_is_the_least_and_any_the_greatest(truths: list[Truth]) -> None:
    assert rank(all_of(judges(truths))()) == min(map(rank, truths))
    assert rank(any_of(judges(truths))()) == max(map(rank, truths))


@given(SEVERAL)
def test_de_morgan_holds_with_the_unknown(truths: list[Truth]) -> None:
    parts = judges(truths)
    assert not_of(all_of(parts))() is any_of([not_of(part) for part in parts])()


@given(SEVERAL, st.integers(1, 6))
def test_n_of_is_what_every_completion_of_the_unknown_agrees_on(truths: list[Truth], n: int) -> None:
    verdict = n_of(n, judges(truths))()
    least = [bool(truth) for truth in truths]
    most = [truth is not False for truth in truths]
    certain = (sum(least) >= n, sum(most) >= n)
    assert verdict is (certain[0] if certain[0] == certain[1] else None)


@given(SEVERAL, st.integers(0, 5), st.booleans())
def test_learning_an_unknown_never_overturns_a_verdict(truths: list[Truth], at: int, truth: bool) -> None:
    known = [truth if i == at and t is None else t for i, t in enumerate(truths)]
    for join in (all_of, any_of):
        before = join(judges(truths))()
        assert before is None or join(judges(known))() is before
