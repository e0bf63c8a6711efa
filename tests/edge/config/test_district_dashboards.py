"""The district's dashboards ask for what the schema has, and a real server answers every query."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cloud_sync.line_protocol import format_entry
from cloud_sync.outbox import Entry
from drivers.reading import Value
from edge.config.influx_schema import ALARM_FIELDS, ALARM_TAGS, TAGS, field_type, measurements
from edge.config.resources import builtin_configs
from tests.support.influx import InfluxServer

FILES = sorted((builtin_configs() / "district").glob("*.json"))
FIELDS: Mapping[str, Mapping[str, str]] = {
    "alarm": {name: kind for name, (kind, _) in ALARM_FIELDS.items()},
    **{one.name: {name: field_type(spec) for name, spec in one.fields.items()} for one in measurements()},
}
NUMBERS_ONLY = re.compile(r'\b(?:mean|sum|spread|min|max)\("(\w+)"\)')
NOW = time.time_ns() // 1_000_000
HOUR = 3_600_000
PANELS_WITHOUT_DATA = ("row", "text")


class Query(NamedTuple):
    """One InfluxQL query and where it stands."""

    place: str
    text: str

    @property
    def sources(self) -> list[str]:
        return re.findall(r'"(\w+)"', " ".join(re.findall(r'FROM ((?:"\w+"(?:, )?)+)', self.text)))

    @property
    def aliases(self) -> set[str]:
        return set(re.findall(r'AS "([^"]+)"', self.text)) | {"mean"}

    @property
    def names(self) -> set[str]:
        """What is quoted and no measurement: fields and tags."""
        return set(re.findall(r'"([^"]+)"', self.text)) - set(self.sources) - self.aliases


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def queries(dashboard: Mapping[str, Any]) -> Iterator[Query]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield Query(f"{dashboard['title']}: {panel['title']} {target['refId']}", target["query"])
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield Query(f"{dashboard['title']}: ${variable['name']}", variable["query"])


def rendered(text: str) -> str:
    """A query as Grafana sends it, for three days and everything chosen."""
    for macro, value in (
        ("$timeFilter", "time >= now() - 3d and time <= now()"),
        ("$__interval", "1m"),
        ("/^$school$/", "/^.*$/"),
        ("'$school'", "'shangde'"),
        ("/^$building$/", "/^.*$/"),
        ("/^$meter$/", "/^.*$/"),
        ("$every", "60"),
    ):
        text = text.replace(macro, value)
    assert "$" not in text.replace("$/", ""), text
    return text


ALL = [query for path in FILES for query in queries(read(path))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_dashboard_is_whole(path: Path) -> None:
    dashboard = read(path)
    text = path.read_text(encoding="utf-8")
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(numbers) == len(set(numbers))
    assert re.search(r"[一-鿿]", dashboard["title"])
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "influxdb"
    for panel in dashboard["panels"]:
        assert re.search(r"[一-鿿]", panel["title"]), panel["title"]
        if panel["type"] not in PANELS_WITHOUT_DATA:
            assert panel["targets"], panel["title"]
            for one in (panel, *panel["targets"]):
                assert one["datasource"] == {"type": "influxdb", "uid": "${datasource}"}
        place = panel["gridPos"]
        assert place["x"] >= 0 and place["x"] + place["w"] <= 24
    used = set(re.findall(r"\$(\w+)", " ".join(query.text for query in queries(dashboard))))
    assert used - {"timeFilter", "__interval"} <= set(variables)
    assert not re.search(r"https?://|\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}|localhost|\.(com|cn|net|org)\b", text)


def test_panels_do_not_lie_over_each_other() -> None:
    for path in FILES:
        taken: set[tuple[int, int]] = set()
        for panel in read(path)["panels"]:
            box = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(box["x"], box["x"] + box["w"])
                for y in range(box["y"], box["y"] + box["h"])
            }
            assert not cells & taken, (path.name, panel["title"])
            taken |= cells


def test_the_five_dashboards_are_there_under_names_of_their_own() -> None:
    assert {path.stem for path in FILES} == {"fleet", "school", "energy", "completeness", "gateways"}
    for key in ("uid", "title"):
        assert len({read(path)[key] for path in FILES}) == len(FILES)


@pytest.mark.parametrize("query", ALL, ids=lambda query: query.place)
def test_a_query_names_what_the_schema_has(query: Query) -> None:
    assert query.sources
    for source in query.sources:
        assert source in FIELDS, query.text
    tags = set(ALARM_TAGS if query.sources == ["alarm"] else TAGS)
    known = tags.union(*(FIELDS[source] for source in query.sources))
    assert query.names <= known, query.names - known
    for name in set(NUMBERS_ONLY.findall(query.text)) - query.aliases:
        assert {FIELDS[source][name] for source in query.sources} == {"float"}, name


def sample() -> Iterator[bytes]:
    """Every measurement and field of the schema, from two schools, up to this minute."""
    samples: Mapping[str, tuple[Value, Value, Value]] = {
        "float": (1.5, 2.5, 3.5), "boolean": (False, True, False), "string": ("x", "y", "z"),
    }  # fmt: skip
    for school in ("shangde", "yucai"):
        for kind, fields in FIELDS.items():
            tags = {"district": "linwei", "school": school, "space": "r1", "device": f"{kind}-1"}
            if kind == "alarm":
                tags |= {"rule": "device-silent", "priority": "3", "state": "raised"}
            else:
                tags["building"] = "b1"
            for step, ago in enumerate((30 * HOUR, 2 * HOUR, 60_000)):
                values = {name: samples[value][step] for name, value in fields.items()}
                yield format_entry(Entry(1, kind, tags, values, NOW - ago))


async def test_a_real_server_answers_every_query(tmp_path: Path) -> None:
    async with InfluxServer(tmp_path) as server:
        await server.write(b"\n".join(sample()))
        for query in ALL:
            series = await server.query(rendered(query.text))
            assert series and series[0]["values"], query


async def test_the_ranking_adds_up_what_each_meter_has_grown_by(tmp_path: Path) -> None:
    (energy,) = [read(path) for path in FILES if path.stem == "energy"]
    (query,) = [one for one in queries(energy) if ": 各校用电 " in one.place]
    grown = {"em-1": 12.5, "em-2": 30.0}
    lines = [
        format_entry(Entry(1, "electricity_meter", {"school": "shangde", "device": device}, values, at))
        for device, growth in grown.items()
        for values, at in (
            ({"energy_import": 1000.0}, NOW - 7_200_000), ({"energy_import": 1000.0 + growth}, NOW),
        )
    ]  # fmt: skip
    async with InfluxServer(tmp_path) as server:
        await server.write(b"\n".join(lines))
        (series,) = await server.query(rendered(query.text))
    assert series["values"][0][1] == 42.5
