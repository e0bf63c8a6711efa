"""What the API answers about the school, its values and the gateway."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from drivers.reading import Quality, Reading
from edge.web.services.history import Sample
from tests.edge.web.school import START, Clock, Pipeline, alarm

API = "/api/v1"


async def get(client: httpx.AsyncClient, path: str, **query: str) -> Any:
    response = await client.get(API + path, params=query)
    assert response.status_code == 200, response.text
    return response.json()


def reading(device: str = "env-301", point: str = "co2", at: int = START, value: float = 612.0) -> Reading:
    return Reading(device, point, value, "[ppm]", at, at + 40)


async def test_health_is_open_and_says_how_long_the_gateway_runs(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    clock.move(seconds=90)
    assert await get(client, "/health") == {
        "status": "ok",
        "version": "1.2.3",
        "uptime_s": 90,
        "checks": [{"name": "data", "status": "ok", "detail": ""}],
    }


async def test_the_site_tells_its_times_in_utc_with_milliseconds(viewer: httpx.AsyncClient) -> None:
    site = await get(viewer, "/site")
    assert site["started_at"] == site["now"] == "2026-09-21T14:13:20.123Z"
    assert (site["id"], site["name"], site["demo"]) == ("shangde", "尚德中学", True)


async def test_spaces_are_a_tree_with_kinds_in_two_languages(viewer: httpx.AsyncClient) -> None:
    items = (await get(viewer, "/spaces"))["items"]
    assert [space["in"] for space in items] == [None, "b1", None]
    assert items[1]["kind"] == "classroom"
    assert items[1]["kind_zh"] and items[1]["kind_en"]
    assert "parent" not in items[1]


async def test_a_device_is_shown_with_points_and_health(viewer: httpx.AsyncClient) -> None:
    device = await get(viewer, "/devices/env-301")
    assert device["every_s"] == 30.0
    assert device["protocol"] == "modbus-tcp"
    assert device["health"] == {
        "state": "ok",
        "last_good": "2026-09-21T14:13:20.123Z",
        "ok": 12,
        "errors": {"timeout": 1},
        "latency_p50_ms": 31.5,
        "latency_p95_ms": 44.0,
        "cause": None,
        "clock_offset_ms": None,
        "clock_replaced": 0,
    }
    points = device["points"]
    assert [(p["name"], p["type"], p["equivalent"]) for p in points] == [
        ("temperature", "number", True),
        ("co2", "number", False),
        ("open", "switch", False),
    ]


async def test_a_list_is_cut_into_pages_that_follow_each_other(viewer: httpx.AsyncClient) -> None:
    first = await get(viewer, "/devices", limit="1")
    second = await get(viewer, "/devices", limit="1", cursor=str(first["next"]))
    ids = [item["id"] for page in (first, second) for item in page["items"]]
    assert ids == ["env-301", "env-yard"]
    assert second["next"] is None


async def test_a_reading_is_shown_whole(viewer: httpx.AsyncClient, pipeline: Pipeline) -> None:
    pipeline.readings = [reading(), reading(point="temperature")._replace(value=None, quality=Quality.BAD,
                                                                         reason="timeout")]  # fmt: skip
    good, bad = (await get(viewer, "/readings"))["items"]
    assert good == {
        "device": "env-301",
        "point": "co2",
        "value": 612.0,
        "unit": "[ppm]",
        "at": "2026-09-21T14:13:20.123Z",
        "received_at": "2026-09-21T14:13:20.163Z",
        "quality": "good",
        "reason": "",
        "origin": "live",
    }
    assert (bad["value"], bad["quality"], bad["reason"]) == (None, "bad", "timeout")


@pytest.mark.parametrize(
    ("query", "devices"),
    [
        ({"space": "b1"}, ["env-301"]),
        ({"space": "yard"}, ["env-yard"]),
        ({"kind": "classroom_env"}, ["env-301", "env-yard"]),
        ({"device": "env-yard", "point": "co2"}, ["env-yard"]),
        ({"device": "env-yard", "space": "b1"}, []),
    ],
)
async def test_readings_are_filtered_and_a_space_stands_for_all_inside_it(
    viewer: httpx.AsyncClient, pipeline: Pipeline, query: dict[str, str], devices: list[str]
) -> None:
    pipeline.readings = [reading(), reading("env-yard")]
    items = (await get(viewer, "/readings", **query))["items"]
    assert [item["device"] for item in items] == devices


async def test_a_good_reading_that_was_not_renewed_in_time_is_shown_as_stale(
    viewer: httpx.AsyncClient, pipeline: Pipeline, clock: Clock
) -> None:
    pipeline.readings = [reading(), reading("env-yard")]
    clock.move(seconds=91)  # beyond three periods of the first, not of the second
    items = (await get(viewer, "/readings"))["items"]
    assert [(i["quality"], i["value"]) for i in items] == [("stale", 612.0), ("good", 612.0)]


async def test_ten_thousand_readings_come_whole_and_in_order(
    viewer: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    pipeline.readings = [reading(value=float(number)) for number in range(10_000)]
    items = (await get(viewer, "/readings"))["items"]
    assert [item["value"] for item in items] == [float(n) for n in range(10_000)]


async def test_a_number_that_json_does_not_know_is_null(
    viewer: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    pipeline.readings = [reading(value=float("nan"))]
    text = (await viewer.get(API + "/readings")).text
    assert json.loads(text, parse_constant=pytest.fail)["items"][0]["value"] is None


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("/devices/nope", "env-301"),
        ("/readings?device=nope", "env-301"),
        ("/readings?space=nope", "r301"),
        ("/readings?point=nope", "co2"),
        ("/readings?kind=nope", "classroom_env"),
        ("/history?device=nope&point=co2", "env-301"),
        ("/history?device=env-301&point=nope", "co2"),
        ("/alarms?space=nope", "r301"),
        ("/lines/nope", "plc"),
        ("/rules/nope/explain?scope=r301", "co2-high"),
    ],
)
async def test_an_unknown_name_is_answered_with_those_there_are(
    viewer: httpx.AsyncClient, path: str, known: str
) -> None:
    response = await viewer.get(API + path)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert known in response.json()["allowed"]


async def test_history_pages_through_raw_samples(viewer: httpx.AsyncClient, pipeline: Pipeline) -> None:
    pipeline.samples = [Sample(START - 1000 * n, float(n)) for n in range(5, 0, -1)]
    query = {"device": "env-301", "point": "co2", "limit": "2"}
    values: list[float] = []
    cursor: str | None = None
    for _ in range(3):
        page = await get(viewer, "/history", **query, **({"cursor": cursor} if cursor else {}))
        values += [item["value"] for item in page["items"]]
        cursor = page["next"]
    assert values == [5.0, 4.0, 3.0, 2.0, 1.0]
    assert cursor is None


async def test_history_asks_the_store_for_what_was_asked(
    viewer: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    query = {"device": "env-301", "since": "2026-09-21T08:00:00+08:00", "until": "2026-09-21T01:00:00Z"}
    await get(viewer, "/history", point="co2", step="15m", agg="max", **query)
    await get(viewer, "/history", point="open", step="15m", **query)
    since, until = 1_789_948_800_000, 1_789_952_400_000
    assert pipeline.asked == [
        ("env-301", "co2", since, until, 900_000, "max", 5001),
        ("env-301", "open", since, until, 900_000, "last", 5001),
    ]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("since=2026-09-21T08:00:00", "since"),
        ("since=2026-09-21T08:00:00+08:00", "since"),  # an unescaped + is a blank
        ("since=yesterday", "since"),
        ("since=2026-09-21T08:00:00Z&until=2026-09-21T08:00:00Z", "since"),
        ("step=15", "step"),
        ("step=100ms", "step"),
        ("step=15m&agg=median", "agg"),
        ("agg=max", "agg"),
        ("limit=0", "limit"),
        ("limit=100000", "limit"),
        ("cursor=-1", "cursor"),
        ("cursor=" + "9" * 20, "cursor"),
        ("cursor=%C2%B2", "cursor"),
    ],
)
async def test_a_faulty_history_query_is_told_where_it_is_wrong(
    viewer: httpx.AsyncClient, query: str, field: str
) -> None:
    response = await viewer.get(f"{API}/history?device=env-301&point=co2&{query}")
    assert response.status_code == 422
    assert response.json()["code"] == "invalid"
    assert field in response.json()["detail"]


async def test_switches_have_no_mean(viewer: httpx.AsyncClient) -> None:
    response = await viewer.get(f"{API}/history?device=env-301&point=open&step=1h&agg=mean")
    assert response.status_code == 422


async def test_alarms_are_filtered_and_carry_their_words(
    viewer: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    pipeline.records = {"o-1": alarm(), "o-2": alarm("o-2", "yard", acked=True, priority=1)}
    items = (await get(viewer, "/alarms", space="b1"))["items"]
    (found,) = items
    assert found["state"] == "unacknowledged"
    assert found["scope_name"] == "三〇一教室"
    assert found["title"] == {"zh": "二氧化碳过高", "en": "CO2 too high"}
    assert found["respond_within_s"] == 900
    urgent = (await get(viewer, "/alarms", state="acknowledged", priority="1"))["items"]
    assert [item["id"] for item in urgent] == ["o-2"]
    assert (await viewer.get(f"{API}/alarms?state=loud")).status_code == 422


async def test_rules_say_where_they_are_in_force_and_why_they_stand_so(viewer: httpx.AsyncClient) -> None:
    (rule,) = (await get(viewer, "/rules"))["items"]
    assert (rule["id"], rule["priority"], rule["bound"]) == ("co2-high", 3, ["r301"])
    explained = await get(viewer, "/rules/co2-high/explain", scope="r301")
    assert explained["condition"] == "normal"
    tree = explained["tree"]
    assert (tree["op"], tree["val"], tree["truth"]) == ("gt", 1500, None)
    missing = await viewer.get(f"{API}/rules/co2-high/explain?scope=yard")
    assert missing.json()["code"] == "unknown_scope"


async def test_lines_and_destinations_are_shown_without_credentials(viewer: httpx.AsyncClient) -> None:
    (line,) = (await get(viewer, "/lines"))["items"]
    assert line["devices"][1]["cause"] == "power_or_wiring"
    assert (await get(viewer, "/lines/plc")) == line
    (destination,) = (await get(viewer, "/sync"))["items"]
    assert destination["url"] == "https://influx.example/"
    assert destination["quarantine"] == [
        {"at": "2026-09-21T14:13:20.123Z", "line": "x y=1", "status": 400, "reason": "no"}
    ]


async def test_metrics_are_prometheus_text_with_escaped_labels(viewer: httpx.AsyncClient) -> None:
    response = await viewer.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'campus_readings_total{device="a\\"b\\\\"} 3.0\n' in response.text
    assert "# TYPE campus_web_streams gauge\ncampus_web_streams 0\n" in response.text


async def test_openapi_describes_every_resource_and_the_hot_lists_too(viewer: httpx.AsyncClient) -> None:
    document = await get(viewer, "/openapi.json")
    paths = document["paths"]
    assert {"/api/v1/health", "/api/v1/readings", "/api/v1/alarms/{occurrence}/ack"} <= set(paths)
    content = paths["/api/v1/readings"]["get"]["responses"]["200"]["content"]
    assert content["application/json"]["schema"]["$ref"].endswith("Page_ReadingView_")


async def test_the_alarm_report_says_how_the_alarms_served_the_desk(viewer: httpx.AsyncClient) -> None:
    found = await get(viewer, "/alarms/report", days="7")
    assert {"per_hour", "bins", "flood_share", "top", "chattering"} <= set(found)
