"""`district init` against a stand-in of the management calls; no InfluxDB 2.x runs here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cloud_sync.district import BucketPlan, DistrictError, prepare
from cloud_sync.loopback import Answer, LoopbackServer, Request
from edge.cli_district import district_app
from edge.config.resources import builtin_configs
from tests.cloud_sync.management_api import ManagementApi

PLANS = [BucketPlan("schools", timedelta(days=30)), BucketPlan("schools_hourly", None)]
SCHOOLS = ["shangde", "yucai"]


@pytest.fixture(params=[True, False], ids=["lists_absent", "404_for_absent"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[ManagementApi]:
    async with ManagementApi(lists_absent=request.param) as one:
        yield one


@pytest.fixture
async def plain() -> AsyncIterator[ManagementApi]:
    async with ManagementApi() as one:
        yield one


async def made(
    url: str, token: str = "operator-token", org: str = "linwei", plans: Any = PLANS, renew: bool = False
) -> list[Any]:
    return await asyncio.to_thread(lambda: list(prepare(url, org, token, plans, SCHOOLS, renew=renew)))


async def test_buckets_and_write_only_tokens_are_made(server: ManagementApi) -> None:
    raw, hourly, shangde, yucai = await made(server.url)
    assert (raw.change, raw.retention_s) == ("created", 30 * 86_400)
    assert (hourly.change, hourly.retention_s) == ("created", 0)
    for step in (shangde, yucai):
        assert step.change == "created"
        assert server.may(step.token) == {("write", "schools"), ("write", "schools_hourly")}
    assert shangde.token != yucai.token


async def test_running_it_twice_changes_nothing(server: ManagementApi) -> None:
    await made(server.url)
    server.calls.clear()
    server.shows_tokens = False
    again = await made(server.url)
    assert [step.change for step in again] == ["kept"] * 4
    assert all(step.token is None for step in again[2:])
    assert server.calls == []


async def test_a_retention_is_extended_but_never_shortened(plain: ManagementApi) -> None:
    await made(plain.url)
    longer = [BucketPlan("schools", timedelta(days=60)), PLANS[1]]
    assert (await made(plain.url, plans=longer))[0].change == "extended"
    assert plain.buckets["schools"]["retentionRules"][0]["everySeconds"] == 60 * 86_400
    with pytest.raises(DistrictError, match="keeps 60 days; keeping 30 days would delete data"):
        await made(plain.url)
    with pytest.raises(DistrictError, match="keeps for ever"):
        await made(plain.url, plans=[longer[0], BucketPlan("schools_hourly", timedelta(days=9))])


async def test_renewing_ends_the_old_token(plain: ManagementApi) -> None:
    old = (await made(plain.url))[2].token
    new = (await made(plain.url, renew=True))[2]
    assert new.change == "renewed"
    assert plain.may(new.token) and not plain.may(old)
    assert len(plain.authorizations) == 2


async def test_a_token_for_other_buckets_or_an_inactive_one_is_told(plain: ManagementApi) -> None:
    await made(plain.url, plans=PLANS[:1])
    with pytest.raises(DistrictError, match=r"shangde was made for other buckets.*--renew"):
        await made(plain.url)
    for one in plain.authorizations.values():
        one["status"] = "inactive"
    with pytest.raises(DistrictError, match="inactive"):
        await made(plain.url, plans=PLANS[:1])


async def test_wrong_token_and_unknown_organisation_are_told_in_words(plain: ManagementApi) -> None:
    with pytest.raises(DistrictError, match="does not know this token") as caught:
        await made(plain.url, token="guessed-secret")
    assert "guessed-secret" not in str(caught.value)
    with pytest.raises(DistrictError, match="no organisation elsewhere"):
        await made(plain.url, org="elsewhere")
    plain.sees_org = False  # what the server answers to a token without rights over organisations
    with pytest.raises(DistrictError, match="may not see organisation linwei"):
        await made(plain.url)
    assert plain.calls == []


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>please sign in</html>", {"Content-Type": "text/html"}),
        Answer.json(200, {}),
        Answer(404, b"404 page not found\n"),
        Answer(302, b"", {"Location": "http://portal.example/"}),
    ],
    ids=["portal", "empty", "influxdb_1", "redirect"],
)
async def test_what_is_no_influxdb_2_is_told_so(answer: Answer) -> None:
    async def answers(_: Request) -> Answer:
        return answer

    async with LoopbackServer(answers) as other:
        with pytest.raises(DistrictError, match=r"not as InfluxDB 2\.x does"):
            await made(other.url)


async def test_an_unreachable_server_is_told(plain: ManagementApi) -> None:
    url = plain.url
    await plain.__aexit__()
    with pytest.raises(DistrictError, match="cannot be reached"):
        await made(url)


async def run(folder: Path, url: str, *words: str) -> Result:
    token = folder / "operator"
    if not token.exists():
        token.write_text("operator-token\n")
        token.chmod(0o600)
    command = ["init", "--url", url, "--org", "linwei", "--token-file", str(token), *words]
    return await asyncio.to_thread(CliRunner().invoke, district_app, command)


async def test_tokens_lie_in_private_files_and_are_not_printed(plain: ManagementApi, tmp_path: Path) -> None:
    words = ("--schools", "shangde, yucai,shangde", "--out", str(tmp_path / "tokens"))
    first = await run(tmp_path, plain.url, *words)
    assert first.exit_code == 0, first.output
    files = {file.name: file.read_text().strip() for file in (tmp_path / "tokens").iterdir()}
    assert set(files) == {"shangde.token", "yucai.token"}
    for name, token in files.items():
        assert plain.may(token) and token not in first.output
        assert (tmp_path / "tokens" / name).stat().st_mode & 0o777 == 0o600
    again = await run(tmp_path, plain.url, *words, "--json")
    assert [step["change"] for step in json.loads(again.stdout)["steps"]] == ["kept"] * 4
    assert {f.name: f.read_text().strip() for f in (tmp_path / "tokens").iterdir()} == files


async def test_a_token_is_printed_once(plain: ManagementApi, tmp_path: Path) -> None:
    first = await run(tmp_path, plain.url, "--schools", "shangde", "--json")
    (token,) = [step["token"] for step in json.loads(first.stdout)["steps"] if "school" in step]
    assert plain.may(token)
    again = await run(tmp_path, plain.url, "--schools", "shangde")
    assert again.exit_code == 0 and token not in again.output and "--renew" in again.output


async def test_tokens_made_before_a_failure_are_not_lost(plain: ManagementApi, tmp_path: Path) -> None:
    plain.fail_from_school = "yucai"
    result = await run(tmp_path, plain.url, "--schools", "shangde,yucai", "--json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert "disk is full" in answer["error"]
    assert plain.may(answer["steps"][2]["token"])


async def test_wrong_words_are_refused_before_anything_is_done(plain: ManagementApi, tmp_path: Path) -> None:
    for words, said in (
        (("--schools", "Shangde"), "cannot be a site id"),
        (("--schools", ","), "at least one"),
        (("--schools", "a", "--retention", "10m"), "shortest retention is 1h"),
        (("--schools", "a", "--retention", "soon"), "duration"),
        (("--schools", "a", "--bucket", "_system"), "cannot be a bucket"),
        (("--schools", "a", "--bucket", "b", "--hourly-bucket", "b"), "different names"),
    ):
        result = await run(tmp_path, plain.url, *words)
        assert result.exit_code == 2 and said in result.output, result.output
    assert plain.calls == []


def test_places_of_schools_are_a_table_for_the_map() -> None:
    command = ["places", "-c", str(builtin_configs() / "demo.yaml")]
    result = CliRunner().invoke(district_app, command)
    assert result.exit_code == 0, result.output
    (place,) = json.loads(result.stdout)
    assert place == {"key": "shangde", "name": "尚德中学", "latitude": 34.5, "longitude": 109.51}


def test_the_dashboards_are_copied_out(tmp_path: Path) -> None:
    result = CliRunner().invoke(district_app, ["dashboards", str(tmp_path / "grafana")])
    assert result.exit_code == 0, result.output
    copied = {path.name: path.read_bytes() for path in (tmp_path / "grafana").iterdir()}
    assert copied == {path.name: path.read_bytes() for path in (builtin_configs() / "district").iterdir()}
