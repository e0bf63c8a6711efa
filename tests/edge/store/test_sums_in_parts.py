"""What the store holds of a day is told part by part, made once: a large school takes little memory."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from edge.store import figures, helper_process
from edge.store.answers import DeviceKey, SeriesSum, Sums
from edge.store.moments import Shape, Source
from tests.edge.store.test_hourly import BEGIN
from tests.edge.store.test_hourly_bounds import filled

DAY = 86_400_000


def source(kind: str, device: str, points: int, space: str = "r1") -> Source:
    return Source(device, kind, space, "b1", tuple(Shape(f"p{n}", "1", "number") for n in range(points)))


def test_parts_are_whole_devices_in_order_and_all_of_them() -> None:
    sources = [
        source("meter", "d2", 3), source("env", "d9", 1), source("meter", "d1", 2),
        source("meter", "d2", 3, space="r2"),
    ]  # fmt: skip
    series = [
        SeriesSum(number, index, number + 1, float(index))
        for number, one in enumerate(sources)
        for index in range(len(one.points))
    ]
    told: list[tuple[str, str, str, int, float | None]] = []
    sizes, after = [], None
    while True:
        part = Sums(sources, series, complete=True).part(after, 4)
        sizes.append(len(part.series))
        told += [
            (part.sources[one.source].kind, part.sources[one.source].device, part.sources[one.source].space,
             one.point, one.total)
            for one in part.series
        ]  # fmt: skip
        after = part.after
        if after is None:
            break
    assert sizes == [3, 6]
    assert [one[:2] for one in told] == [("env", "d9"), *[("meter", "d1")] * 2, *[("meter", "d2")] * 6]
    expected = [
        (
            sources[one.source].kind,
            sources[one.source].device,
            sources[one.source].space,
            one.point,
            one.total,
        )
        for one in series
    ]
    assert sorted(told) == sorted(expected)
    assert Sums([], [], complete=False).part(None, 4) == Sums([], [], complete=False)


async def test_the_helper_makes_them_once_for_all_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = await filled(tmp_path / "data", 5, seal=False)
    made = []

    def counted(*arguments: object) -> Sums:
        made.append(arguments)
        return whole(*arguments)  # type: ignore[arg-type]

    whole = figures.sums
    monkeypatch.setattr(figures, "sums", counted)
    monkeypatch.setattr(helper_process, "_SERIES", 8)  # two devices of four points
    server = helper_process.Server(data)
    devices, after = [], None
    while True:
        part = server.sums(BEGIN, BEGIN + DAY, [(0, 10**9)], [], after)
        devices.append([one.device for one in part.sources])
        assert [one.number for one in part.series] == [360] * len(part.series)
        if part.after is None:
            break
        after = msgspec.msgpack.decode(msgspec.msgpack.encode(part.after))
    assert devices == [["d00", "d01"], ["d02", "d03"], ["d04"]]
    assert len(made) == 1
    server.sums(BEGIN, BEGIN + DAY, [(0, 10**9)], [], ["electricity_meter", "d01"])
    assert len(made) == 2, "behind its end an answer is not kept"


def test_a_key_comes_over_the_wire_as_it_was() -> None:
    key: DeviceKey = ("meter", "d1")
    assert msgspec.convert(msgspec.msgpack.decode(msgspec.msgpack.encode(key)), DeviceKey) == key
