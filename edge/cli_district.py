"""The district's side on the command line: its InfluxDB made ready for schools."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError

from drivers.settings import Id, parse_duration
from edge.cli_options import fail
from edge.cli_reconcile import reconcile

if TYPE_CHECKING:
    from cloud_sync.district import BucketStep, TokenStep

district_app = typer.Typer(no_args_is_help=True, help="The district's own server.")
FOREVER = "forever"


@district_app.command("init")
def init(
    url: Annotated[str, typer.Option(help="the InfluxDB 2.x server")],
    org: Annotated[str, typer.Option(help="the organisation; it must exist")],
    token_file: Annotated[Path, typer.Option(help="file with an operator's or all-access token, alone")],
    schools: Annotated[str, typer.Option(help="site ids, with commas between: shangde,yucai")],
    bucket: Annotated[str, typer.Option(help="bucket of the raw series")] = "schools",
    retention: Annotated[str, typer.Option(help="how long it keeps: 30d, or forever")] = "30d",
    hourly_bucket: Annotated[
        str, typer.Option(help="long-lived bucket of hourly figures")
    ] = "schools_hourly",
    hourly_retention: Annotated[str, typer.Option(help="how long that keeps")] = FOREVER,
    out: Annotated[Path | None, typer.Option(help="write tokens here as SCHOOL.token, mode 0600")] = None,
    renew: Annotated[bool, typer.Option(help="replace the tokens of these schools; old ones end")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable output")] = False,
) -> None:
    """Makes buckets and one write-only token per school; running it again changes nothing.

    A new token is shown once, here or in its file, and never again.
    """
    from cloud_sync.district import BucketPlan, DistrictError, prepare

    try:
        plans = [
            BucketPlan(bucket, _retention(retention)),
            BucketPlan(hourly_bucket, _retention(hourly_retention)),
        ]
        names = _schools(schools)
        token = _token(token_file)
        _ready(out, names)
        if bucket == hourly_bucket:
            raise ValueError("the two buckets must have different names")
    except (OSError, ValueError) as error:
        raise fail(str(error), 2) from error
    done: list[dict[str, Any]] = []
    failure = ""
    try:
        for step in prepare(url, org, token, plans, names, renew=renew):
            # each at once: a token made before a failure is not lost
            done.append(_keep(step, out))
            if not as_json:
                typer.echo(_line(done[-1]))
    except DistrictError as error:
        failure = str(error)
    except OSError as error:
        failure = f"{error}; the token that could not be written is lost: run again with --renew"
    if as_json:
        answer = {"steps": done, "error": failure or None}
        typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))
    if failure:
        raise fail(failure, 1)


district_app.command("reconcile")(reconcile)


@district_app.command("places")
def places(
    config: Annotated[list[Path], typer.Option("-c", "--config", help="a school's configuration; repeat it")],
) -> None:
    """Prints where the schools are, as a table of places for the map of the district's dashboard."""
    from edge.config.load import ConfigError, load

    rows = []
    try:
        for path in config:
            site = load(path).settings.site
            place = {
                "key": site.id,
                "name": site.name,
                "latitude": site.latitude,
                "longitude": site.longitude,
            }
            rows.append(place)
    except ConfigError as error:
        raise fail(str(error), 2) from error
    typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))


@district_app.command("dashboards")
def dashboards(folder: Annotated[Path, typer.Argument(help="where to")]) -> None:
    """Copies the Grafana dashboards into a folder, over older ones."""
    from edge.config.resources import builtin_configs

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted((builtin_configs() / "district").glob("*.json")):
            typer.echo(shutil.copyfile(path, folder / path.name))
    except OSError as error:
        raise fail(str(error), 1) from error


def _retention(text: str) -> timedelta | None:
    return None if text == FOREVER else parse_duration(text)


def _schools(text: str) -> list[str]:
    """The site ids, each once; ValueError for what cannot be one."""
    names = list(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))
    if not names:
        raise ValueError("--schools: name at least one site id")
    check = TypeAdapter(Id)
    for name in names:
        try:
            check.validate_python(name)
        except ValidationError as error:
            raise ValueError(f"--schools: {name} cannot be a site id (a-z, 0-9, - and _)") from error
    return names


def _token(path: Path) -> str:
    text = path.read_text(encoding="utf-8").strip()
    if not text:
        raise ValueError(f"{path} is empty")
    if path.stat().st_mode & 0o077:
        typer.echo(f"{path} can be read by others: chmod 600 {path}", err=True)
    return text


def _ready(out: Path | None, schools: list[str]) -> None:
    """Makes sure that tokens can be written before any is made."""
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    for school in schools:
        path = _file(out, school)
        if path.exists() and not path.is_file():
            raise ValueError(f"{path} is no file")
    if not os.access(out, os.W_OK | os.X_OK):
        raise ValueError(f"{out} cannot be written")


def _file(out: Path, school: str) -> Path:
    return out / f"{school}.token"


def _keep(step: BucketStep | TokenStep, out: Path | None) -> dict[str, Any]:
    """One step for the terminal; a new token goes into its file instead, when there is a folder."""
    row = asdict(step)
    if "school" not in row or out is None:
        return row
    path = _file(out, row["school"])
    token = row.pop("token")
    if token is not None:
        _write_private(path, token)
    row["file"] = str(path) if path.exists() else None
    return row


def _write_private(path: Path, text: str) -> None:
    """Whole or not at all, mode 0600 from its first byte on."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(
        os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _line(row: dict[str, Any]) -> str:
    if "bucket" in row:
        kept = f"keeps {row['retention_s'] / 86_400:g} days" if row["retention_s"] else "keeps for ever"
        return f"bucket {row['bucket']:20} {row['change']:9} {kept}"
    head = f"school {row['school']:20} {row['change']:9}"
    if row.get("token"):
        return f"{head} {row['token']}"
    if row.get("file"):
        return f"{head} {row['file']}"
    return f"{head} its token was shown when it was made; --renew makes a new one"
