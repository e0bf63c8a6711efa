"""Administration on the command line, beside a running gateway too: users, tokens, the audit log."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable
from getpass import getpass, getuser
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from edge.cli_options import DataOption, fail
from edge.service import DEFAULT_DATA

T = TypeVar("T")

token_app = typer.Typer(no_args_is_help=True, help="API tokens for machines.")
user_app = typer.Typer(no_args_is_help=True, help="People who may sign in.")
audit_app = typer.Typer(no_args_is_help=True, help="The audit log.")

RoleOption = Annotated[str, typer.Option(help="viewer, operator, engineer, admin or auditor")]
WEAK = {
    "too_short": "the password needs at least 10 characters",
    "too_long": "the password may have at most 200 characters",
    "too_few_classes": "the password needs three of: lower case, upper case, digits, other characters",
    "contains_user": "the password must not contain the user's name",
    "common": "this password is on lists of leaked ones",
}


def _core(data: Path) -> sqlite3.Connection:
    """The core file of a data folder."""
    from edge.agent import CORE_MIGRATIONS
    from edge.store.database import connect

    if not data.is_dir():
        raise fail(f"{data} is no folder; name the gateway's with --data", 2)
    try:
        return connect(data / "core.db", CORE_MIGRATIONS)
    except sqlite3.DatabaseError as error:
        raise fail(f"{data / 'core.db'}: {error}", 1) from error


def _change(data: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    """Runs `work` in one transaction; what the accounts refuse ends with exit 2."""
    from edge.store.accounts import AccountError
    from edge.store.database import transact

    try:
        return transact(_core(data), work)
    except AccountError as error:
        raise fail(str(error), 2) from error


def _role(name: str) -> str:
    from edge.store.accounts import Role

    if name not in set(Role):
        raise fail(f"unknown role {name}; known: {', '.join(Role)}", 2)
    return name


def _hashed_password(user: str) -> str:
    """A new password from the terminal (twice) or the first line of standard input, hashed."""
    from edge.store.passwords import hash_password, weakness

    if sys.stdin.isatty():
        password = getpass("New password: ")
        if getpass("Again: ") != password:
            raise fail("the two passwords differ", 2)
    else:
        password = sys.stdin.readline().rstrip("\n")
    weak = weakness(password, user)
    if weak is not None:
        raise fail(WEAK[weak], 2)
    return hash_password(password)


def _actor() -> str:
    return f"console:{os.environ.get('SUDO_USER') or getuser()}"


@token_app.command("create")
def token_create(
    name: Annotated[str, typer.Option(help="what the token is for")],
    role: RoleOption = "viewer",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Makes an API token and prints it, alone, once; only its hash is kept."""
    from edge.clock import now
    from edge.store.accounts import Accounts, Role

    kind = Role(_role(role))
    typer.echo(_change(data, lambda c: Accounts(now).create_token(c, name, kind, actor=_actor())))


@token_app.command("revoke")
def token_revoke(name: str, data: DataOption = DEFAULT_DATA) -> None:
    """Ends a token."""
    from edge.clock import now
    from edge.store.accounts import Accounts

    _change(data, lambda c: Accounts(now).revoke_token(c, name, actor=_actor()))


@token_app.command("list")
def token_list(data: DataOption = DEFAULT_DATA) -> None:
    """The tokens that are in force, without their secrets."""
    from edge.clock import now, rfc3339
    from edge.store.accounts import Accounts

    for token in Accounts(now).tokens(_core(data)):
        typer.echo(f"{token.name:24} {token.role:10} since {rfc3339(token.created_at)}")


@user_app.command("add")
def user_add(name: str, role: RoleOption = "viewer", data: DataOption = DEFAULT_DATA) -> None:
    """Adds a person; asks for the password, or reads it from standard input."""
    from edge.clock import now
    from edge.store.accounts import Accounts, Role

    kind, hashed = Role(_role(role)), _hashed_password(name)
    _change(data, lambda c: Accounts(now).add_user(c, name, kind, hashed, actor=_actor(), source="console"))


@user_app.command("password")
def user_password(name: str, data: DataOption = DEFAULT_DATA) -> None:
    """Sets a new password and ends the person's sessions."""
    from edge.clock import now
    from edge.store.accounts import Accounts

    hashed = _hashed_password(name)
    _change(data, lambda c: Accounts(now).set_password(c, name, hashed, actor=_actor(), source="console"))


@user_app.command("unlock")
def user_unlock(name: str, data: DataOption = DEFAULT_DATA) -> None:
    """Lets a person try again who typed a wrong password too often."""
    from edge.clock import now
    from edge.store.accounts import Accounts

    _change(data, lambda c: Accounts(now).unlock(c, name, actor=_actor(), source="console"))


@user_app.command("list")
def user_list(data: DataOption = DEFAULT_DATA) -> None:
    """Everybody who may sign in."""
    from edge.clock import now, rfc3339
    from edge.store.accounts import Accounts

    for user in Accounts(now).users(_core(data)):
        typer.echo(f"{user.name:24} {user.role:10} password of {rfc3339(user.password_at)}")


@audit_app.command("verify")
def audit_verify(data: DataOption = DEFAULT_DATA) -> None:
    """Checks the hash chain of the audit log; exit 1 and the first bad row when it is broken."""
    from edge.store.audit import verify

    broken = verify(_core(data))
    if broken is not None:
        raise fail(f"the audit log was tampered with: row {broken} does not fit the one before", 1)
    typer.echo("the audit log is whole")
