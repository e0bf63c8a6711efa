"""MQTT on the command line: which devices announce themselves on a broker."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from edge.cli_options import ConfigOption, fail

mqtt_app = typer.Typer(no_args_is_help=True, help="Devices behind MQTT brokers.")


@mqtt_app.callback()
def _mqtt() -> None:
    """Keeps `discover` a command of its own."""


@mqtt_app.command("discover")
def discover(
    line: Annotated[str, typer.Argument(help="the broker's line in the configuration")],
    config: ConfigOption,
    seconds: Annotated[float, typer.Option(min=0.1, max=3600, help="how long to listen")] = 10.0,
    prefix: Annotated[str, typer.Option(help="the discovery prefix")] = "homeassistant",
    out: Annotated[Path | None, typer.Option(help="write the files into this folder")] = None,
) -> None:
    """Prints configuration for devices that announce themselves in Home Assistant's form."""
    from drivers.errors import LineDown
    from edge import discovery
    from edge.config.load import ConfigError, load
    from edge.config.secrets import SecretError

    try:
        configuration = load(config)
        found = asyncio.run(discovery.discover(configuration, line, seconds, prefix))
        files = discovery.documents(found, configuration)
        if out is not None:
            discovery.write(files, out)
    except (ConfigError, SecretError, discovery.NoBroker, FileExistsError) as error:
        raise fail(str(error), 2) from error
    except (LineDown, OSError) as error:
        raise fail(str(error)) from error
    if out is None:
        typer.echo("---\n".join(f"# {name}\n{text}" for name, text in files.items()), nl=False)
    else:
        typer.echo(
            f"{len(found.devices)} devices, {len(found.profiles)} profiles, "
            f"{len(found.left_out)} announcements left out; "
            f"next: include {out / discovery.DEVICES_FILE} and run campus-edge check"
        )
