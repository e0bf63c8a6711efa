"""`campus-edge rules`: what rules say, whether their tests hold, and what they would have done."""

from __future__ import annotations

import typer

from edge.cli_findings import rules_findings
from edge.cli_rules_backtest import rules_backtest
from edge.cli_rules_check import rules_check, rules_test
from edge.cli_rules_explain import rules_explain

rules_app = typer.Typer(no_args_is_help=True, help="Rules: check, test, explain, backtest.")
rules_app.command("findings")(rules_findings)
rules_app.command("check")(rules_check)
rules_app.command("test")(rules_test)
rules_app.command("explain")(rules_explain)
rules_app.command("backtest")(rules_backtest)
