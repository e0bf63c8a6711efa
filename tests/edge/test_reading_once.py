"""One reading for an installer of a device that speaks by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.line.settings import TcpLine
from drivers.simulated.field import Field
from edge.config.load import load
from edge.reading_once import read_once, report
from tests.drivers.simulated.test_listening import TRUTH, mast
from tests.support.ports import free_port

SCHOOL = """\
version: 1
site: {{id: s, name: 学校, district: d, latitude: 34.5, longitude: 109.5}}
spaces: [{{id: top, name: 屋顶, kind: roof}}]
lines: [{{id: roof, url: "{url}"}}]
devices: [{{id: mast, space: top, line: roof, protocol: nmea, profile: nmea-weather, every: 300ms}}]
"""


@pytest.fixture(autouse=True)
def loud() -> Iterator[None]:
    """The command silences the drivers' log for its process; here others come after."""
    yield
    logging.getLogger("drivers").setLevel(logging.NOTSET)


def school(folder: Path, url: str) -> Path:
    path = folder / "school.yaml"
    path.write_text(SCHOOL.format(url=url), encoding="utf-8")
    return path


async def test_it_is_heard_until_it_has_said_everything(tmp_path: Path) -> None:
    line = TcpLine(id="roof", url=f"tcp://127.0.0.1:{free_port()}")
    async with Field([line], [mast("roof")], seed=1) as field:
        speaking = asyncio.create_task(field.run())
        result = await read_once(load(school(tmp_path, line.url)), "mast")
        speaking.cancel()
    assert result.good
    assert {r.point: r.value for r in result.readings} == {r.point: TRUTH[r.point] for r in result.readings}
    text = report(result, None, as_json=False)
    assert "21.5" in text
    assert b"$WIMDA".hex(" ") in text


async def test_its_silence_ends_after_three_periods(tmp_path: Path) -> None:
    line = TcpLine(id="roof", url=f"tcp://127.0.0.1:{free_port()}")
    async with Field([line], [], seed=1):
        result = await read_once(load(school(tmp_path, line.url)), "mast")
    assert {r.reason for r in result.readings} == {"timeout"}
    assert "没有应答" in report(result, None, as_json=False)


async def test_a_port_that_is_not_there_is_told(tmp_path: Path) -> None:
    result = await read_once(load(school(tmp_path, f"tcp://127.0.0.1:{free_port()}")), "mast")
    assert {r.reason for r in result.readings} == {"line_down"}
    assert result.trouble
