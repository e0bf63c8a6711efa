"""The command line: `campus-edge ...`.

Exit codes: 0 fine, 1 failed at run time, 2 wrong usage or configuration.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from edge.cli_accounts import audit_app, token_app, user_app
from edge.cli_actions import rules_actions, rules_arm, rules_confirm, rules_disarm, rules_reject
from edge.cli_data import backup, restore
from edge.cli_district import district_app
from edge.cli_field import capture, read_device, replay, scan, write
from edge.cli_history import history_app
from edge.cli_mqtt import mqtt_app
from edge.cli_options import ConfigOption, DataOption, JsonOption, fail, loaded
from edge.cli_rules import rules_app
from edge.service import DEFAULT_DATA

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The edge gateway of a school.",
    pretty_exceptions_enable=False,
)
profiles_app = typer.Typer(no_args_is_help=True, help="Device profiles.")
app.add_typer(token_app, name="token")
app.add_typer(user_app, name="user")
app.add_typer(audit_app, name="audit")
app.add_typer(profiles_app, name="profiles")
app.command()(backup)
app.command()(restore)
app.add_typer(rules_app, name="rules")
rules_app.command("actions")(rules_actions)
rules_app.command("confirm")(rules_confirm)
rules_app.command("reject")(rules_reject)
rules_app.command("arm")(rules_arm)
rules_app.command("disarm")(rules_disarm)
app.add_typer(mqtt_app, name="mqtt")
app.add_typer(district_app, name="district")
app.add_typer(history_app, name="history")


def main() -> None:
    """The entry point of the console script."""
    app()


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False
)
def run(context: typer.Context) -> None:
    """Runs the gateway until SIGTERM; SIGHUP reads the configuration again."""
    from edge.service import main as serve

    raise typer.Exit(serve(context.args))


@app.command()
def demo(
    config: Annotated[
        Path | None, typer.Option("-c", "--config", help="another school; default: the built-in one")
    ] = None,
    port: Annotated[int, typer.Option(help="the dashboard's port on 127.0.0.1")] = 8080,
    data: Annotated[Path | None, typer.Option("--data", help="where to keep the data")] = None,
    duration: Annotated[str | None, typer.Option("--for", help="end after this time, e.g. 60s")] = None,
    seed: Annotated[int, typer.Option(help="the same seed gives the same school day")] = 1,
    scenario: Annotated[
        str | None, typer.Option(help="bus-cut gas-leak night-leak uplink-down power-cut")
    ] = None,
    schools: Annotated[
        int | None, typer.Option(min=2, max=20, help="so many small schools against one district instead")
    ] = None,
) -> None:
    """A virtual school on real protocols, with the unchanged gateway on top."""
    from drivers.settings import parse_duration
    from edge.demo import run_demo
    from edge.demo_district import run_schools
    from edge.service import log_to_stderr

    log_to_stderr()
    try:
        seconds = parse_duration(duration).total_seconds() if duration else None
    except ValueError as error:
        raise fail(f"--for: {error}", 2) from error
    if schools is not None:
        if config is not None or scenario is not None:
            raise fail("--schools plays its own schools: leave -c and --scenario", 2)
        raise typer.Exit(run_schools(schools, port, data, seconds, seed))
    raise typer.Exit(run_demo(port, data, seconds, seed, scenario, config))


@app.command()
def check(config: ConfigOption, as_json: JsonOption = False) -> None:
    """Validates configuration, profiles, rules and calendar; exit 0 or 2."""
    from edge.config.check import check as check_configuration

    report = check_configuration(config)
    if as_json:
        typer.echo(json.dumps(report.as_json(), ensure_ascii=False, indent=2))
    else:
        for line in report.lines():
            typer.echo(line)
    raise typer.Exit(report.exit_code)


@app.command()
def schema(
    kind: Annotated[str, typer.Argument(help="config, profile, rules, calendar, vocabulary; or influx")],
) -> None:
    """Prints the JSON Schema of a file kind, for editors; `influx`: the district's fields, for people."""
    from edge.config.influx_schema import as_markdown, measurements
    from edge.config.schema import KINDS
    from edge.config.schema import schema as schema_of

    if kind == "influx":
        typer.echo(as_markdown(measurements()), nl=False)
        return
    if kind not in KINDS:
        raise fail(f"unknown kind {kind}; known: {', '.join((*KINDS, 'influx'))}", 2)
    typer.echo(json.dumps(schema_of(kind), ensure_ascii=False, indent=2))


@app.command()
def read(
    device: Annotated[str, typer.Argument(help="the device's id")],
    config: ConfigOption,
    points: Annotated[list[str] | None, typer.Argument(help="only these points")] = None,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Reads one device once: decoded values beside the raw frames. A running gateway lends its line."""
    from edge.reading_once import report

    configuration = loaded(config)
    if device not in configuration.devices:
        raise fail(f"unknown device {device}; known: {', '.join(sorted(configuration.devices))}", 2)
    result = read_device(configuration, data, device)
    typer.echo(report(result, points, as_json=as_json))
    raise typer.Exit(0 if result.readings and result.good else 1)


@profiles_app.command("list")
def profiles_list(as_json: JsonOption = False) -> None:
    """The device models that are known."""
    from edge.config.library import Library, read_vocabulary
    from edge.config.resources import builtin_configs

    vocabulary, faults = read_vocabulary(builtin_configs() / "vocabulary.yaml")
    if vocabulary is None:
        raise fail("\n".join(str(fault) for fault in faults))
    library = Library([builtin_configs() / "profiles"], vocabulary)
    found = [profile for name in library.names() if (profile := library.profile(name)) is not None]
    if as_json:
        rows = [
            {"id": p.id, "maker": p.maker, "model": p.model, "kind": p.kind, "points": p.point_names()}
            for p in found
        ]
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for profile in found:
        typer.echo(f"{profile.id:32} {profile.kind:20} {profile.maker} {profile.model}")


@profiles_app.command("show")
def profiles_show(profile: str) -> None:
    """One profile's file, as it stands."""
    from edge.config.resources import builtin_configs

    path = builtin_configs() / "profiles" / f"{profile}.yaml"
    if "/" in profile or not path.is_file():
        raise fail(f"unknown profile {profile}; see: campus-edge profiles list", 2)
    typer.echo(path.read_text(encoding="utf-8"))


for command in (write, scan, capture, replay):
    app.command()(command)
