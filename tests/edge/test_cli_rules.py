"""`campus-edge rules` over real files and a real store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from drivers.reading import Reading
from edge.cli import app
from edge.config.load import load
from edge.hindsight import Hindsight
from edge.store.database import Database
from edge.store.moments import MIGRATIONS, Shape, Source
from edge.store.readings import ReadingStore
from edge.web.services.rules import NoHindsight
from tests.edge.web.school import write_configuration
from tests.rules.school import T0, H, M

RULE: dict[str, Any] = {
    "id": "co2-low",
    "scope": {"each": "room"},
    "when": {"p": "co2", "op": "gt", "val": 1000, "clear": 900},
    "for": "5m",
    "alarm": {
        "prio": 3, "owner": "teacher", "title": "CO2", "consequence": "tired", "guide": "window",
        "respond_within": "15m",
    },
    "tests": [{"given": {"co2": "0..20m @1m 1200"}, "expect": {"active_at": "6m"}}],
}  # fmt: skip


def call(*args: str, code: int = 0) -> str:
    """One command; its output."""
    result = CliRunner().invoke(app, ["rules", *args])
    assert result.exit_code == code, result.output
    return result.output


def written(folder: Path, name: str, data: dict[str, Any]) -> str:
    """A YAML file."""
    path = folder / name
    YAML().dump(data, path)
    return str(path)


@pytest.fixture
def config(tmp_path: Path) -> str:
    """The small school of the web tests."""
    return str(write_configuration(tmp_path).path)


def room_device(config: str) -> tuple[str, str]:
    """A device of the school with CO2, and its room."""
    found = load(Path(config))
    name = next(name for name, model in found.devices.items() if "co2" in model.points)
    return name, found.devices[name].space


def test_check_tells_where_a_rule_watches_and_a_fault_with_its_place(config: str, tmp_path: Path) -> None:
    good = written(tmp_path, "good.yaml", RULE)
    assert "co2-low" in call("check", good, "-c", config)
    bad = written(tmp_path, "bad.yaml", {**RULE, "when": {"p": "c02", "op": "gt", "val": 1}})
    assert "bad.yaml:" in (said := call("check", bad, "-c", config, code=2)) and "no point" in said


def test_test_plays_what_rules_carry_and_a_failure_is_exit_1(tmp_path: Path) -> None:
    assert "ok" in call("test", written(tmp_path, "good.yaml", RULE))
    bad = {**RULE, "when": {"p": "co2", "op": "gt", "val": 1300}}
    report = json.loads(call("test", written(tmp_path, "bad.yaml", bad), "--json", code=1))
    assert "not active at 360 s" in report["rules"][0]["failures"][0]


def test_backtest_over_csv_tells_occurrences_minutes_and_the_difference(config: str, tmp_path: Path) -> None:
    device, room = room_device(config)
    rows = [f"{device},co2,{T0 + n * M},{1200 if 10 <= n < 40 else 600}" for n in range(90)]
    csv = tmp_path / "past.csv"
    csv.write_text("device,point,at,value\n" + "\n".join(rows), encoding="utf-8")
    new = written(tmp_path, "new.yaml", RULE)
    old = written(tmp_path, "old.yaml", {**RULE, "when": {"p": "co2", "op": "gt", "val": 1300}})
    span = ("-c", config, "--since", "2026-03-02", "--until", "2026-03-03", "--csv", str(csv))
    report = json.loads(call("backtest", "--rules", new, "--against", old, *span, "--json"))
    (one,) = report["occurrences"]
    assert (one["scope"], one["raised_at"]) == (room, "2026-03-02T00:15:00.000Z")
    assert report["alarm_minutes"] == {"co2-low": 25.0} and report["notices"] == 2
    assert len(report["difference"]["only_after"]) == 1 and report["difference"]["both"] == 0
    assert report == json.loads(call("backtest", "--rules", new, "--against", old, *span, "--json"))
    assert "1 new" in call("backtest", "--rules", new, "--against", old, *span)


async def stored(data: Path, device: str, values: Sequence[float] = (1200.0,) * 60) -> None:
    """An hour of stuffy air in a real store."""
    data.mkdir()
    database = Database(data / "telemetry.db", MIGRATIONS)
    await database.open()
    source = Source(device, "classroom_env", "r1", "", (Shape("co2", "[ppm]", "number"),))
    store = ReadingStore(database, [source])
    await store.load()
    readings = [
        Reading(device, "co2", value, "[ppm]", T0 + n * M, T0 + n * M) for n, value in enumerate(values)
    ]
    await store.append(readings, T0 + H)
    await database.close()


async def test_backtest_and_explain_over_the_store(config: str, tmp_path: Path) -> None:
    device, room = room_device(config)
    await stored(tmp_path / "data", device)
    new = written(tmp_path, "new.yaml", RULE)
    span = ("--since", "2026-03-02", "--until", "2026-03-03", "--data", str(tmp_path / "data"))
    report = json.loads(call("backtest", "--rules", new, "-c", config, *span, "--json"))
    assert [one["raised_at"] for one in report["occurrences"]] == ["2026-03-02T00:05:00.000Z"]
    said = call("explain", "co2-high", room, "-c", config, "--data", str(tmp_path / "data"))
    assert "co2 = 1200.0 gt 1500.0 [ppm]" in said and "false" in said


async def test_a_rule_is_explained_as_it_stood_at_a_past_instant(config: str, tmp_path: Path) -> None:
    device, room = room_device(config)
    data = tmp_path / "data"
    await stored(data, device, [1600.0] * 20 + [1200.0] * 40)
    asked = ("-c", config, "--data", str(data), "--at")
    before = call("explain", "co2-high", room, *asked, "2026-03-02T00:03:30Z")
    assert "pending, raises in 90 s" in before and "co2 = 1600.0 gt 1500.0 [ppm]" in before
    standing = call("explain", "co2-high", room, *asked, "2026-03-02T00:10:00Z")
    assert "active, would clear at co2 <= 1350 [ppm]" in standing
    after = json.loads(call("explain", "co2-high", room, *asked, "2026-03-02T00:40:00Z", "--json"))
    assert (after["at"], after["condition"]) == ("2026-03-02T00:40:00.000Z", "normal")
    assert after["sentence"] == "would raise at co2 > 1500 [ppm] in 5 min"
    assert "does not watch" in call("explain", "co2-high", "nowhere", *asked, "2026-03-02", code=2)


async def test_the_gateway_asks_the_same_of_a_process_of_its_own(config: str, tmp_path: Path) -> None:
    device, room = room_device(config)
    await stored(tmp_path / "data", device, [1600.0] * 20 + [1200.0] * 40)
    past = Hindsight(Path(config), tmp_path / "data")
    told = json.loads(await past.explain("co2-high", room, T0 + 10 * M))
    assert told["condition"] == "active" and told["tree"]["value"] == 1600.0
    with pytest.raises(KeyError):
        await past.explain("co2-high", "nowhere", T0)
    with pytest.raises(NoHindsight, match="no readings"):
        await Hindsight(Path(config), tmp_path / "none").explain("co2-high", room, T0)


async def test_behind_the_last_reading_nothing_is_played_unless_asked_for(
    config: str, tmp_path: Path
) -> None:
    device, _ = room_device(config)
    await stored(tmp_path / "data", device)
    silent = written(
        tmp_path,
        "silent.yaml",
        {**RULE, "tests": [], "for": "0s", "when": {"p": "co2", "agg": "absent", "over": "5m"}},
    )
    span = ("-c", config, "--since", "2026-03-02", "--until", "2026-03-09", "--data", str(tmp_path / "data"))
    found = json.loads(call("backtest", "--rules", silent, *span, "--json"))
    assert (found["until"], found["occurrences"]) == ("2026-03-02T00:59:00.001Z", [])
    assert "until 2026-03-02T00:59:00.001Z, where the readings end" in call(
        "backtest", "--rules", silent, *span
    )
    found = json.loads(call("backtest", "--rules", silent, *span, "--json", "--to-the-end"))
    assert [one["raised_at"] for one in found["occurrences"]] == ["2026-03-02T01:04:00.000Z"]


def test_what_is_not_there_is_told_in_a_sentence(config: str, tmp_path: Path) -> None:
    span = ("--since", "2026-03-02", "--until", "2026-03-03")
    empty = call("backtest", "-c", config, *span, "--data", str(tmp_path / "none"), code=1)
    assert "no readings" in empty
    odd = tmp_path / "odd.csv"
    odd.write_text("device,when\na,b\n", encoding="utf-8")
    assert "needs device" in call("backtest", "-c", config, *span, "--csv", str(odd), code=1)
    assert "must lie behind" in call(
        "backtest", "-c", config, "--since", "2026-03-03", "--until", "2026-03-02", "--csv", str(odd), code=2
    )
