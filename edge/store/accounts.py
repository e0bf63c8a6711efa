"""Users, sessions, API tokens and failed logins in SQLite.

Every method runs inside the caller's transaction on the connection it is given, and
never commits; a raised error is meant to roll it back. Secrets (session cookies, API
tokens, the setup token) are random, handed out once and stored as SHA-256; passwords
arrive here already hashed (`edge/store/passwords.py`).
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from drivers.reading import Millis
from edge.store import audit
from edge.store.passwords import DUMMY_HASH

MINUTE = 60_000
IDLE = 15 * MINUTE
"""A session ends after this long without a request."""
ABSOLUTE = 12 * 60 * MINUTE
"""A session ends this long after the login, whatever happens."""
TOUCH_EVERY = MINUTE
"""How often, at most, the use of a session is written down: an SD card wears."""
LOCK_AFTER = 5
LOCK = 15 * MINUTE
"""After `LOCK_AFTER` failures in a row an account is locked this long."""

SCHEMA: tuple[str, ...] = (
    """CREATE TABLE users (
        name TEXT PRIMARY KEY, role TEXT NOT NULL, password TEXT NOT NULL,
        created_at INTEGER NOT NULL, password_at INTEGER NOT NULL
    ) STRICT""",
    "CREATE TABLE setup_token (hash TEXT PRIMARY KEY) STRICT",
    """CREATE TABLE sessions (
        hash TEXT PRIMARY KEY, user TEXT NOT NULL REFERENCES users(name),
        created_at INTEGER NOT NULL, seen_at INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE api_tokens (
        hash TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, role TEXT NOT NULL, created_at INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE login_failures (
        kind TEXT NOT NULL CHECK (kind IN ('user', 'source')), key TEXT NOT NULL,
        failures INTEGER NOT NULL, last_at INTEGER NOT NULL, PRIMARY KEY (kind, key)
    ) STRICT""",
    *audit.SCHEMA,
)


class Role(StrEnum):
    """What a user or token may do; the first four include each other in this order.

    The auditor reads everything and changes nothing; nobody is auditor and admin at once.
    """

    VIEWER = "viewer"
    OPERATOR = "operator"
    ENGINEER = "engineer"
    ADMIN = "admin"
    AUDITOR = "auditor"


class AccountError(Exception):
    """What was asked for cannot be done with these accounts."""


class NameTaken(AccountError):
    """A user or token of that name exists."""


class UnknownName(AccountError):
    """No user or token has that name."""


class BadSetupToken(AccountError):
    """The setup token is wrong or used up."""


class User(NamedTuple):
    """A person's account, without its password."""

    name: str
    role: Role
    created_at: Millis
    password_at: Millis


class ApiToken(NamedTuple):
    """A machine's access, without its secret."""

    name: str
    role: Role
    created_at: Millis


class Session(NamedTuple):
    """A login that still counts; times in epoch milliseconds."""

    user: str
    role: Role
    created_at: Millis
    seen_at: Millis

    @property
    def expires_at(self) -> Millis:
        """When it ends if no further request comes."""
        return min(self.created_at + ABSOLUTE, self.seen_at + IDLE)


class Attempt(NamedTuple):
    """A login about to be tried: the hash to verify the password against, or how long to wait."""

    hashed: str
    wait_ms: int = 0


def digest(secret: str) -> str:
    """How a random secret is stored: SHA-256 in hex. Its 128 bits or more need no salt."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class Accounts:
    """All that is known of users and machines; holds the clock and no other state."""

    def __init__(self, clock: Callable[[], Millis]) -> None:
        self._clock = clock

    def has_users(self, c: sqlite3.Connection) -> bool:
        """Whether the first-run setup is done."""
        return c.execute("SELECT 1 FROM users LIMIT 1").fetchone() is not None

    def ensure_setup_token(self, c: sqlite3.Connection) -> str | None:
        """A new first-run token, which makes the former void; `None` once there are users."""
        c.execute("DELETE FROM setup_token")
        if self.has_users(c):
            return None
        secret = "-".join(secrets.token_hex(2) for _ in range(8))
        c.execute("INSERT INTO setup_token VALUES (?)", (digest(secret),))
        return secret

    def accepts_setup(self, c: sqlite3.Connection, token: str) -> bool:
        """Whether `token` would let the first user in; people may add blanks or capitals."""
        row = c.execute("SELECT 1 FROM setup_token WHERE hash = ?", (digest(token.strip().lower()),))
        return row.fetchone() is not None and not self.has_users(c)

    def set_up(self, c: sqlite3.Connection, token: str, name: str, hashed: str, source: str) -> str:
        """Spends the setup token on the first admin; returns the secret of their session.
        Raises BadSetupToken."""
        if not self.accepts_setup(c, token):
            raise BadSetupToken("the setup token is wrong or used up")
        c.execute("DELETE FROM setup_token")
        self.add_user(c, name, Role.ADMIN, hashed, actor=name, source=source)
        return self.open_session(c, name)

    def add_user(
        self, c: sqlite3.Connection, name: str, role: Role, hashed: str, *, actor: str, source: str
    ) -> None:
        """Creates a user with an already hashed password; raises NameTaken."""
        now = self._clock()
        try:
            c.execute("INSERT INTO users VALUES (?,?,?,?,?)", (name, role, hashed, now, now))
        except sqlite3.IntegrityError as error:
            raise NameTaken(f"there is a user {name!r} already") from error
        self.audit(c, actor, source, "user.add", f"user:{name}", "", role, "ok")

    def set_password(self, c: sqlite3.Connection, name: str, hashed: str, *, actor: str, source: str) -> None:
        """Replaces a password, ends all sessions of the user and lifts their lock; raises UnknownName."""
        changed = c.execute(
            "UPDATE users SET password = ?, password_at = ? WHERE name = ?", (hashed, self._clock(), name)
        )
        if changed.rowcount == 0:
            raise UnknownName(f"no user {name!r}")
        c.execute("DELETE FROM sessions WHERE user = ?", (name,))
        self._forget_failures(c, "user", name)
        self.audit(c, actor, source, "user.password", f"user:{name}", "", "", "ok")

    def unlock(self, c: sqlite3.Connection, name: str, *, actor: str, source: str) -> None:
        """Lifts the lock that failed logins laid on an account, and every address's backoff."""
        self._forget_failures(c, "user", name)
        c.execute("DELETE FROM login_failures WHERE kind = 'source'")
        self.audit(c, actor, source, "user.unlock", f"user:{name}", "", "", "ok")

    def users(self, c: sqlite3.Connection) -> list[User]:
        """All users by name."""
        rows = c.execute("SELECT name, role, created_at, password_at FROM users ORDER BY name")
        return [User(name, Role(role), created, changed) for name, role, created, changed in rows]

    def begin_login(self, c: sqlite3.Connection, name: str, source: str) -> Attempt:
        """Opens one attempt, which counts as failed until `finish_login` says otherwise.

        Counting first keeps parallel guesses and a kill from getting round the lock. Unknown
        names are answered, counted and locked exactly as known ones.
        """
        now = self._clock()
        c.execute("DELETE FROM login_failures WHERE last_at <= ? OR last_at > ?", (now - LOCK, now + LOCK))
        wait = max(self._user_wait(c, name, now), self._source_wait(c, source, now))
        if wait > 0:
            self._audit_login(c, name, source, "locked")
            return Attempt("", wait)
        for kind, key in (("user", name), ("source", source)):
            c.execute(
                """INSERT INTO login_failures VALUES (?, ?, 1, ?) ON CONFLICT (kind, key)
                   DO UPDATE SET failures = failures + 1, last_at = excluded.last_at""",
                (kind, digest(key), now),
            )
        row = c.execute("SELECT password FROM users WHERE name = ?", (name,)).fetchone()
        return Attempt(row[0] if row else DUMMY_HASH)

    def finish_login(self, c: sqlite3.Connection, name: str, source: str, *, proven: bool) -> str | None:
        """Ends an attempt: the secret of a new session if the password was right, else `None`."""
        proven = proven and c.execute("SELECT 1 FROM users WHERE name = ?", (name,)).fetchone() is not None
        self._audit_login(c, name, source, "ok" if proven else "refused")
        if not proven:
            return None
        self._forget_failures(c, "user", name)
        self._forget_failures(c, "source", source)
        return self.open_session(c, name)

    def open_session(self, c: sqlite3.Connection, name: str) -> str:
        """Opens a session for a user who has proven who they are; returns its secret."""
        now = self._clock()
        # `touch` comes at most once a minute, so a session that looks just idle may not be.
        c.execute(
            "DELETE FROM sessions WHERE created_at <= ? OR seen_at <= ?",
            (now - ABSOLUTE, now - IDLE - TOUCH_EVERY),
        )
        secret = secrets.token_urlsafe(32)
        c.execute("INSERT INTO sessions VALUES (?,?,?,?)", (digest(secret), name, now, now))
        return secret

    def session(self, c: sqlite3.Connection, hashed: str) -> Session | None:
        """The session with this hashed secret; whether it has expired is its `expires_at`."""
        row = c.execute(
            """SELECT user, role, sessions.created_at, seen_at FROM sessions
               JOIN users ON users.name = user WHERE hash = ?""",
            (hashed,),
        ).fetchone()
        return Session(row[0], Role(row[1]), row[2], row[3]) if row else None

    def touch(self, c: sqlite3.Connection, hashed: str, at: Millis) -> None:
        """Notes that the session was used at `at`."""
        c.execute("UPDATE sessions SET seen_at = max(seen_at, ?) WHERE hash = ?", (at, hashed))

    def close_session(self, c: sqlite3.Connection, hashed: str, source: str) -> None:
        """Ends a session for good."""
        row = c.execute("DELETE FROM sessions WHERE hash = ? RETURNING user", (hashed,)).fetchone()
        if row:
            self.audit(c, row[0], source, "logout", f"user:{row[0]}", "", "", "ok")

    def create_token(self, c: sqlite3.Connection, name: str, role: Role, *, actor: str = "console") -> str:
        """A new API token's secret, shown this once; raises NameTaken."""
        secret = "ce_" + secrets.token_urlsafe(32)
        try:
            c.execute("INSERT INTO api_tokens VALUES (?,?,?,?)", (digest(secret), name, role, self._clock()))
        except sqlite3.IntegrityError as error:
            raise NameTaken(f"there is a token {name!r} already") from error
        self.audit(c, actor, "console", "token.add", f"token:{name}", "", role, "ok")
        return secret

    def revoke_token(self, c: sqlite3.Connection, name: str, *, actor: str = "console") -> None:
        """Makes an API token void; raises UnknownName."""
        if c.execute("DELETE FROM api_tokens WHERE name = ?", (name,)).rowcount == 0:
            raise UnknownName(f"no token {name!r}")
        self.audit(c, actor, "console", "token.revoke", f"token:{name}", "", "", "ok")

    def token(self, c: sqlite3.Connection, hashed: str) -> ApiToken | None:
        """The API token with this hashed secret."""
        row = c.execute("SELECT name, role, created_at FROM api_tokens WHERE hash = ?", (hashed,)).fetchone()
        return ApiToken(row[0], Role(row[1]), row[2]) if row else None

    def tokens(self, c: sqlite3.Connection) -> list[ApiToken]:
        """All API tokens by name."""
        rows = c.execute("SELECT name, role, created_at FROM api_tokens ORDER BY name")
        return [ApiToken(name, Role(role), created) for name, role, created in rows]

    def audit(
        self,
        c: sqlite3.Connection,
        actor: str,
        source: str,
        action: str,
        object: str,
        before: str,
        after: str,
        result: str,
    ) -> int:
        """Appends one row to the audit log and returns its number."""
        row = audit.AuditRow(0, self._clock(), actor, source, action, object, before, after, result)
        return audit.append(c, row)

    def verify(self, c: sqlite3.Connection) -> int | None:
        """The first row of the audit log that was tampered with, `None` when none was."""
        return audit.verify(c)

    def _audit_login(self, c: sqlite3.Connection, name: str, source: str, result: str) -> None:
        # People type passwords into the name field: only names that exist are written down.
        known = c.execute("SELECT 1 FROM users WHERE name = ?", (name,)).fetchone() is not None
        who = name if known else "unknown"
        self.audit(c, who, source, "login", f"user:{who}", "", "", result)

    def _user_wait(self, c: sqlite3.Connection, name: str, now: Millis) -> int:
        failures, last = self._failures(c, "user", name)
        return last + LOCK - now if failures >= LOCK_AFTER else 0

    def _source_wait(self, c: sqlite3.Connection, source: str, now: Millis) -> int:
        """An address waits 1, 2, 4 ... seconds after its fifth, sixth, seventh ... failure."""
        failures, last = self._failures(c, "source", source)
        return last + min(LOCK, 1000 << min(failures - LOCK_AFTER, 10)) - now if failures >= LOCK_AFTER else 0

    def _failures(self, c: sqlite3.Connection, kind: str, key: str) -> tuple[int, Millis]:
        row = c.execute(
            "SELECT failures, last_at FROM login_failures WHERE kind = ? AND key = ?", (kind, digest(key))
        ).fetchone()
        return (row[0], row[1]) if row else (0, 0)

    def _forget_failures(self, c: sqlite3.Connection, kind: str, key: str) -> None:
        c.execute("DELETE FROM login_failures WHERE kind = ? AND key = ?", (kind, digest(key)))
