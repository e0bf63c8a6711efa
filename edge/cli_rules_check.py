"""`campus-edge rules check` and `rules test`: whether rules fit a school, and whether their tests hold."""

from __future__ import annotations

import json
from typing import Any

import typer

from edge.cli_options import ConfigOption, JsonOption, loaded
from edge.cli_rule_files import FilesArgument, shelf_of, words


def rules_check(files: FilesArgument, config: ConfigOption, as_json: JsonOption = False) -> None:
    """Checks rule files against a school: faults with their place, and where each rule would watch."""
    from edge.config.configuration import site_info
    from rules.binding import bind
    from rules.check import check_rule
    from rules.targets import lacks

    configuration, shelf = loaded(config), shelf_of(files)
    site, (units, _, _) = site_info(configuration), words()
    faults = [p.fault(f.path, f.message) for p in shelf.rules for f in check_rule(p.rule, units, site)]
    book = [placed.rule for placed in shelf.rules]
    rows: list[dict[str, Any]] = []
    for rule in book:
        found = bind(rule, site, [*book, *configuration.rules])
        rows.append(
            {
                "id": rule.id,
                "bound": [instance.scope for instance in found.instances],
                "unbound": [{"scope": u.scope, "missing": list(u.missing)} for u in found.unbound],
                "cannot_act": [
                    {"scope": one.scope, "missing": list(missing)}
                    for one in found.instances
                    for placed in rule.actions
                    if (missing := lacks(placed.action, rule, one, site))
                ],
            }
        )
    if as_json:
        typer.echo(
            json.dumps({"ok": not faults, "faults": [str(f) for f in faults], "rules": rows}, indent=2)
        )
    else:
        for fault in faults:
            typer.echo(str(fault))
        for row in rows:
            typer.echo(
                f"{row['id']:28} {len(row['bound']):4} bound  {len(row['unbound']):4} unbound"
                + (f"  {len(row['cannot_act'])} cannot act" if row["cannot_act"] else "")
            )
            for lack in row["cannot_act"]:
                typer.echo(f"  {lack['scope']} cannot act: {', '.join(lack['missing'])}")
    raise typer.Exit(2 if faults else 0)


def rules_test(files: FilesArgument, as_json: JsonOption = False) -> None:
    """Plays the tests that rules carry; exit 1 when one fails."""
    from rules.proving import prove

    units, kinds, verbs = words()
    rows: list[dict[str, Any]] = []
    for placed in shelf_of(files).rules:
        wrong = [str(placed.fault(f.path, f.message)) for f in prove(placed.rule, units, kinds, verbs)]
        rows.append({"id": placed.rule.id, "tests": len(placed.rule.tests), "failures": wrong})
    failed = any(row["failures"] for row in rows)
    if as_json:
        typer.echo(json.dumps({"ok": not failed, "rules": rows}, ensure_ascii=False, indent=2))
    else:
        for row in rows:
            word = "failed" if row["failures"] else "ok" if row["tests"] else "no tests"
            typer.echo(f"{row['id']:28} {row['tests']:3} tests  {word}")
            for failure in row["failures"]:
                typer.echo(f"  {failure}")
    raise typer.Exit(1 if failed else 0)
