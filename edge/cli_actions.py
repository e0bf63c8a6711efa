"""`campus-edge rules actions`, `confirm`, `reject`, `arm`, `disarm`: what rules do in the running gateway."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.cli_options import ConfigOption, DataOption, JsonOption, fail, loaded
from edge.service import DEFAULT_DATA

if TYPE_CHECKING:
    from edge.running_agent import RunningAgent

RuleArgument = Annotated[str, typer.Argument(help="the rule's id")]
NumberArgument = Annotated[int, typer.Argument(help="the proposal's number")]
ReasonOption = Annotated[str, typer.Option("--reason", help="why; it stands in the audit log")]


@contextmanager
def _agent(config: Path, data: Path) -> Iterator[RunningAgent]:
    """The running gateway; ends with exit 1 and a sentence where it does not answer, or says no."""
    from edge.running_agent import NoAgent, Turned, running_agent

    try:
        with running_agent(loaded(config), data) as agent:
            yield agent
    except (NoAgent, sqlite3.DatabaseError, OSError) as error:
        raise fail(str(error)) from error
    except Turned as error:
        raise fail(f"refused ({error.code}): {error}") from error


def rules_actions(
    config: ConfigOption,
    data: DataOption = DEFAULT_DATA,
    waiting: Annotated[bool, typer.Option("--waiting", help="only what has not ended")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="how many decisions")] = 50,
    as_json: JsonOption = False,
) -> None:
    """What rules did, propose, advise or would do; the points they hold; which may act by themselves."""
    with _agent(config, data) as agent:
        query = {"limit": limit, "waiting": "true" if waiting else "false"}
        found = {
            "actions": agent.get("/actions", **query)["items"],
            "levers": agent.get("/actions/levers")["items"],
            "arming": agent.get("/arming")["items"],
        }
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for one in found["actions"]:
        typer.echo(_action(one))
    for one in found["levers"]:
        typer.echo(_lever(one))
    for one in found["arming"]:
        typer.echo(_arming(one))


def rules_confirm(number: NumberArgument, config: ConfigOption, data: DataOption = DEFAULT_DATA) -> None:
    """Lets a proposal out: it is sent at once."""
    with _agent(config, data) as agent:
        typer.echo(_action(agent.post(f"/actions/{number}/confirm", {})))


def rules_reject(
    number: NumberArgument,
    config: ConfigOption,
    data: DataOption = DEFAULT_DATA,
    note: Annotated[str, typer.Option("--note", help="why not")] = "",
) -> None:
    """Says no to a proposal."""
    with _agent(config, data) as agent:
        typer.echo(_action(agent.post(f"/actions/{number}/reject", {"note": note})))


def rules_arm(
    rule: RuleArgument, config: ConfigOption, reason: ReasonOption, data: DataOption = DEFAULT_DATA
) -> None:
    """Asks for a rule to act by itself after its time in shadow, or agrees where another person asked."""
    with _agent(config, data) as agent:
        typer.echo(_arming(agent.post(f"/rules/{rule}/arm", {"reason": reason})))


def rules_disarm(
    rule: RuleArgument, config: ConfigOption, reason: ReasonOption, data: DataOption = DEFAULT_DATA
) -> None:
    """Takes a rule the right to act, at once, and takes back what it did."""
    with _agent(config, data) as agent:
        typer.echo(_arming(agent.post(f"/rules/{rule}/disarm", {"reason": reason})))


def _action(one: dict[str, Any]) -> str:
    back = " back" if one["restores"] else ""
    value = {True: "true", False: "false"}.get(one["value"], one["value"])
    told = f"{one['device']}.{one['point']}={value}"
    rest = f"  {one['detail']}" if one["detail"] else ""
    return (
        f"{one['id']:>5}  {one['at']}  {one['state']:14} {one['rule']:20} {one['scope']:10} "
        f"{one['cmd']}{back}  {told}  prio {one['prio']}{rest}"
    )


def _lever(one: dict[str, Any]) -> str:
    name = f"{one['device']}.{one['point']}"
    if one["lease_until"] is not None:
        return f"{name:28} held by {one['lease_by']} until {one['lease_until']}"
    shadow = "would be" if one["shadow"] else "is"
    return f"{name:28} {shadow} {one['wanted']} for {', '.join(one['rules'])}; before: {one['found']}"


def _arming(one: dict[str, Any]) -> str:
    if one["armed"]:
        how = f"armed by {one['armed_by']}" if one["armed_by"] else "acts at once"
    elif one["asked_by"]:
        how = f"asked for by {one['asked_by']}: another person agrees with rules arm"
    else:
        how = f"in shadow since {one['shadow_since']}, may be armed from {one['ripe_at']}"
    return f"{one['rule']:28} {how}"
