"""`campus-edge rules explain`: why a rule says what it says, now or at a past instant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edge.cli_options import ConfigOption, DataOption, JsonOption, fail, loaded
from edge.cli_rule_readings import CsvOption, instant, newest_of, source_of
from edge.service import DEFAULT_DATA

if TYPE_CHECKING:
    from rules.explanation import ExplainedBranch, ExplainedLeaf


def rules_explain(
    rule: Annotated[str, typer.Argument(help="the rule's id")],
    scope: Annotated[str, typer.Argument(help="the space, device, line or site")],
    config: ConfigOption,
    at: Annotated[
        str | None, typer.Option("--at", help="a past instant, RFC 3339; default: the newest")
    ] = None,
    data: DataOption = DEFAULT_DATA,
    csv: CsvOption = None,
    as_json: JsonOption = False,
) -> None:
    """The truth tree of one rule on one scope as of an instant, from what is stored."""
    from edge.config.configuration import site_info
    from edge.replay import Unreadable, shown
    from edge.teaching import teacher_of
    from edge.web.views.explanation import ExplanationView
    from rules.rehearsal import explain_past

    configuration = loaded(config)
    chosen = [one for one in configuration.rules if one.id == rule]
    if not chosen:
        raise fail(f"there is no rule {rule}; known: {', '.join(r.id for r in configuration.rules)}", 2)
    readings = source_of(configuration, data, csv)
    try:
        when = instant(at, "--at") if at else newest_of(readings)
        found = explain_past(
            chosen[0], site_info(configuration), configuration.calendar, readings, scope, when,
            teacher_of(configuration, data, readings),
        )  # fmt: skip
    except KeyError as error:
        raise fail(f"the rule {rule} does not watch {scope}", 2) from error
    except Unreadable as error:
        raise fail(str(error)) from error
    if as_json:
        typer.echo(ExplanationView.model_validate(found).model_dump_json(indent=2))
        return
    typer.echo(f"{rule} on {scope} as of {shown(found.at)}: {found.condition}, {found.sentence}")
    for line in _tree(found.tree, 1):
        typer.echo(line)
    for deed in found.deeds:
        until = "" if deed.due is None else f" until {shown(deed.due)}"
        where = f" {deed.device}.{deed.point}={str(deed.value).lower()}" if deed.device else ""
        typer.echo(f"  {deed.state} {deed.cmd}{where}{until} {deed.detail}".rstrip())


def _tree(node: ExplainedBranch | ExplainedLeaf, depth: int) -> list[str]:
    from rules.explanation import ExplainedLeaf

    word = {True: "true", False: "false", None: "unknown"}[node.truth]
    pad = "  " * depth
    if isinstance(node, ExplainedLeaf):
        name = node.role if node.agg == "last" else f"{node.agg}({node.role})"
        said = f"{node.op} {node.val} {node.unit}".strip()
        basis = f"; {node.reference}" if node.reference else ""
        points = ", ".join(node.points)
        return [f"{pad}{word:8}{name} = {node.value} {said} [{points}; {node.quality}{basis}]"]
    below = [line for part in node.parts for line in _tree(part, depth + 1)]
    return [f"{pad}{word:8}{node.kind}", *below]
