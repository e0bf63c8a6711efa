"""Late replies of protocols that do not name the question: no other question before they cannot come."""

from __future__ import annotations

from drivers.contract import Exchange, Found
from drivers.line.debts import PATIENCE, Debts


def exchange(request: bytes, ambiguous: bool = True) -> Exchange:
    return Exchange(request, lambda _: Found(None, 0), timeout_ms=500, ambiguous=ambiguous)


A, B = exchange(b"a"), exchange(b"b")
LAST = PATIENCE * 0.5


def test_another_question_waits_until_the_old_answer_cannot_come() -> None:
    debts = Debts()
    debts.unanswered("d", A, sent=10.0)
    assert debts.wait_s("d", B, 10.5) == LAST - 0.5
    assert debts.wait_s("d", B, 10.0 + LAST) == 0.0
    assert debts.wait_s("d", B, 10.5) == 0.0, "and it is forgotten"


def test_the_same_question_and_other_devices_do_not_wait() -> None:
    debts = Debts()
    debts.unanswered("d", A, sent=10.0)
    assert debts.wait_s("d", A, 10.5) == 0.0
    assert debts.wait_s("e", B, 10.5) == 0.0
    assert debts.wait_s("d", exchange(b"b", ambiguous=False), 10.5) == 0.0


def test_the_answer_to_a_repeated_question_may_have_been_the_old_one() -> None:
    debts = Debts()
    debts.unanswered("d", A, sent=10.0)
    debts.answered("d", A, sent=10.5)
    assert debts.wait_s("d", B, 10.6) == 10.5 + LAST - 10.6


def test_an_answer_to_the_first_question_owes_nothing() -> None:
    debts = Debts()
    debts.answered("d", A, sent=10.0)
    debts.unanswered("d", exchange(b"a", ambiguous=False), sent=10.0)
    assert debts.wait_s("d", B, 10.1) == 0.0
