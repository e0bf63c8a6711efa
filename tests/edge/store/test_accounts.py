"""Accounts on a real database: what is stored, what locks, and what cannot be tampered with."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.store.accounts import (
    LOCK,
    MINUTE,
    SCHEMA,
    Accounts,
    BadSetupToken,
    NameTaken,
    Role,
    UnknownName,
    digest,
)
from edge.store.passwords import DUMMY_HASH, hash_password, matches, weakness

START = 1_790_000_000_000
HASH = "$argon2id$stand-in"


class Clock:
    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> int:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(clock: Clock) -> Accounts:
    return Accounts(clock)


@pytest.fixture
def c(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "core.db", isolation_level=None)
    connection.execute("PRAGMA foreign_keys=ON")
    for statement in SCHEMA:
        connection.execute(statement)
    yield connection
    connection.close()


def add(accounts: Accounts, c: sqlite3.Connection, name: str = "anna", role: Role = Role.VIEWER) -> None:
    accounts.add_user(c, name, role, HASH, actor="console", source="console")


@pytest.mark.parametrize(
    ("password", "user", "fault"),
    [
        ("Short-1", "anna", "too_short"),
        ("x" * 201, "anna", "too_long"),
        ("alllowercase", "anna", "too_few_classes"),
        ("lower12345678", "anna", "too_few_classes"),
        ("Anna-Anna-99", "anna", "contains_user"),
        ("Admin@123456", "anna", "common"),
        ("P@ssw0rd123", "anna", "common"),
        ("Campus-Gate-7", "anna", None),
        ("教学楼三层-Lab7x", "anna", None),
        ("Ab-longer-word", "ab", None),
    ],
)
def test_a_password_is_refused_for_a_stated_reason(password: str, user: str, fault: str | None) -> None:
    assert weakness(password, user) == fault


def test_hashes_are_argon2id_and_match_their_password_only() -> None:
    hashed = hash_password("Campus-Gate-7")
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert matches(hashed, "Campus-Gate-7")
    assert not matches(hashed, "campus-gate-7")
    assert not matches("damaged", "Campus-Gate-7")


def test_the_hash_for_unknown_users_costs_as_much_as_a_real_one() -> None:
    costs = "$argon2id$v=19$m=19456,t=2,p=1$"
    assert DUMMY_HASH.startswith(costs)
    assert not matches(DUMMY_HASH, "")


def test_the_setup_token_works_once_and_only_while_there_are_no_users(
    accounts: Accounts, c: sqlite3.Connection
) -> None:
    former = accounts.ensure_setup_token(c)
    token = accounts.ensure_setup_token(c)
    assert token is not None
    assert former is not None
    assert not accounts.accepts_setup(c, former)
    secret = accounts.set_up(c, f" {token.upper()} ", "anna", HASH, "192.0.2.7")
    session = accounts.session(c, digest(secret))
    assert session is not None
    assert (session.user, session.role) == ("anna", Role.ADMIN)
    with pytest.raises(BadSetupToken):
        accounts.set_up(c, token, "eve", HASH, "192.0.2.7")
    assert accounts.ensure_setup_token(c) is None


def test_secrets_are_not_in_the_file(accounts: Accounts, c: sqlite3.Connection, tmp_path: Path) -> None:
    token = accounts.ensure_setup_token(c)
    add(accounts, c)
    secrets = [token, accounts.open_session(c, "anna"), accounts.create_token(c, "grafana", Role.VIEWER)]
    stored = (tmp_path / "core.db").read_bytes()
    for secret in secrets:
        assert secret is not None
        assert secret.encode() not in stored
        assert digest(secret).encode() in stored


def test_names_are_taken_once(accounts: Accounts, c: sqlite3.Connection) -> None:
    add(accounts, c)
    with pytest.raises(NameTaken):
        add(accounts, c)
    accounts.create_token(c, "grafana", Role.VIEWER)
    with pytest.raises(NameTaken):
        accounts.create_token(c, "grafana", Role.ADMIN)
    assert [user.name for user in accounts.users(c)] == ["anna"]
    assert [(token.name, token.role) for token in accounts.tokens(c)] == [("grafana", Role.VIEWER)]


def test_unknown_names_are_told(accounts: Accounts, c: sqlite3.Connection) -> None:
    with pytest.raises(UnknownName):
        accounts.set_password(c, "nobody", HASH, actor="console", source="console")
    with pytest.raises(UnknownName):
        accounts.revoke_token(c, "nothing")


def test_a_new_password_ends_all_sessions(accounts: Accounts, c: sqlite3.Connection) -> None:
    add(accounts, c)
    secrets = [accounts.open_session(c, "anna") for _ in range(2)]
    accounts.set_password(c, "anna", "other", actor="anna", source="192.0.2.7")
    assert [accounts.session(c, digest(secret)) for secret in secrets] == [None, None]


def test_five_failures_lock_the_account_for_a_quarter_of_an_hour_from_any_address(
    accounts: Accounts, c: sqlite3.Connection, clock: Clock
) -> None:
    add(accounts, c)
    for number in range(5):
        attempt = accounts.begin_login(c, "anna", f"192.0.2.{number}")
        assert (attempt.hashed, attempt.wait_ms) == (HASH, 0)
        assert accounts.finish_login(c, "anna", f"192.0.2.{number}", proven=False) is None
    assert accounts.begin_login(c, "anna", "192.0.2.99").wait_ms == LOCK
    clock.at += LOCK - 1
    assert accounts.begin_login(c, "anna", "192.0.2.99").wait_ms == 1
    clock.at += 1
    assert accounts.begin_login(c, "anna", "192.0.2.99").wait_ms == 0
    assert accounts.finish_login(c, "anna", "192.0.2.99", proven=True)
    assert accounts.begin_login(c, "anna", "192.0.2.99").wait_ms == 0


def test_attempts_that_never_finished_count_as_failed(accounts: Accounts, c: sqlite3.Connection) -> None:
    add(accounts, c)
    for _ in range(5):
        accounts.begin_login(c, "anna", "192.0.2.7")
    assert accounts.begin_login(c, "anna", "192.0.2.7").wait_ms > 0


def test_an_unknown_name_is_locked_like_a_known_one(accounts: Accounts, c: sqlite3.Connection) -> None:
    for number in range(5):
        assert accounts.begin_login(c, "nobody", f"192.0.2.{number}").hashed == DUMMY_HASH
        assert accounts.finish_login(c, "nobody", f"192.0.2.{number}", proven=True) is None
    assert accounts.begin_login(c, "nobody", "192.0.2.99").wait_ms == LOCK


def test_an_address_that_fails_on_many_accounts_waits_longer_each_time(
    accounts: Accounts, c: sqlite3.Connection, clock: Clock
) -> None:
    waits = []
    for number in range(9):
        attempt = accounts.begin_login(c, f"user-{number}", "192.0.2.7")
        if attempt.wait_ms:
            waits.append(attempt.wait_ms)
            clock.at += attempt.wait_ms
            accounts.begin_login(c, f"user-{number}", "192.0.2.7")
    assert waits == [1000, 2000, 4000, 8000]


def test_the_console_lifts_a_lock(accounts: Accounts, c: sqlite3.Connection) -> None:
    add(accounts, c)
    for _ in range(5):
        accounts.begin_login(c, "anna", "192.0.2.7")
    accounts.unlock(c, "anna", actor="console", source="console")
    assert accounts.begin_login(c, "anna", "192.0.2.7").wait_ms == 0


def test_a_clock_set_back_locks_nobody_for_good(
    accounts: Accounts, c: sqlite3.Connection, clock: Clock
) -> None:
    add(accounts, c)
    for _ in range(5):
        accounts.begin_login(c, "anna", "192.0.2.7")
    clock.at -= 365 * 24 * 60 * MINUTE
    assert accounts.begin_login(c, "anna", "192.0.2.7").wait_ms == 0


def test_what_was_typed_into_the_name_field_is_not_written_down(
    accounts: Accounts, c: sqlite3.Connection
) -> None:
    accounts.begin_login(c, "My-Password-7", "192.0.2.7")
    accounts.finish_login(c, "My-Password-7", "192.0.2.7", proven=False)
    stored = " ".join(c.iterdump())
    assert "My-Password-7" not in stored
    assert "unknown" in stored


def fill(accounts: Accounts, c: sqlite3.Connection) -> None:
    for number in range(6):
        accounts.audit(c, "anna", "192.0.2.7", "alarm.ack", f"alarm:{number}", "", "窗已开", "ok")


def test_the_audit_log_verifies_and_counts_from_one(accounts: Accounts, c: sqlite3.Connection) -> None:
    assert accounts.verify(c) is None
    fill(accounts, c)
    assert [row[0] for row in c.execute("SELECT seq FROM audit ORDER BY seq")] == [1, 2, 3, 4, 5, 6]
    assert accounts.verify(c) is None


@pytest.mark.parametrize("statement", ["DELETE FROM audit", "UPDATE audit SET result = 'ok'"])
def test_the_audit_log_refuses_changes(accounts: Accounts, c: sqlite3.Connection, statement: str) -> None:
    fill(accounts, c)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        c.execute(statement)


def _edit(c: sqlite3.Connection) -> None:
    c.execute("UPDATE audit SET actor = 'eve' WHERE seq = 3")


def _flip(c: sqlite3.Connection) -> None:
    c.execute("UPDATE audit SET hash = zeroblob(32) WHERE seq = 3")


def _remove(c: sqlite3.Connection) -> None:
    c.execute("DELETE FROM audit WHERE seq = 3")


def _close_the_gap(c: sqlite3.Connection) -> None:
    _remove(c)
    for seq in (4, 5, 6):
        c.execute("UPDATE audit SET seq = seq - 1 WHERE seq = ?", (seq,))


def _swap(c: sqlite3.Connection) -> None:
    c.execute("UPDATE audit SET seq = seq + 100 WHERE seq IN (3, 4)")
    c.execute("UPDATE audit SET seq = CASE seq WHEN 103 THEN 4 ELSE 3 END WHERE seq > 100")


@pytest.mark.parametrize("tamper", [_edit, _flip, _remove, _close_the_gap, _swap])
def test_a_tampered_audit_log_names_its_first_bad_row(
    accounts: Accounts, c: sqlite3.Connection, tamper: Callable[[sqlite3.Connection], None]
) -> None:
    fill(accounts, c)
    c.execute("DROP TRIGGER audit_keeps_rows")
    c.execute("DROP TRIGGER audit_keeps_words")
    tamper(c)
    assert accounts.verify(c) == 3
