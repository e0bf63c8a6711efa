"""A day is compared some devices at a time; what a part lacks is asked and mended alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from random import Random

from cloud_sync.outbox import Entry
from cloud_sync.reader import Question, Series, Sum
from cloud_sync.reconcile import READINGS, Holding, NotKept, Reconciler, Stream
from drivers.reading import Millis, Value

DEVICES = [f"em-{number}" for number in range(6)]


def series(device: str) -> Series:
    return Series((("device", device), ("school", "shangde")), "power")


class School:
    """Six meters, two a part, of ten readings each."""

    def __init__(self, kept: int = len(DEVICES)) -> None:
        self.kept = kept

    async def sums(self, since: Millis, until: Millis) -> AsyncIterator[Sequence[Holding]]:
        for start in range(0, len(DEVICES), 2):
            if start >= self.kept:
                raise NotKept
            yield [Holding("meter", series(one), Sum(10, 100.0)) for one in DEVICES[start : start + 2]]

    async def again(
        self, series: Collection[Series], since: Millis, until: Millis
    ) -> AsyncIterator[Sequence[Entry]]:
        for one in series:
            tags = dict(one.tags)
            yield [Entry(number, "meter", tags, {"power": 10.0}, since + number) for number in range(10)]


class District:
    """Counts what it holds; `lost` are the devices of which it lost some values."""

    def __init__(self, *lost: str) -> None:
        self.held = {series(one): Sum(7, 70.0) if one in lost else Sum(10, 100.0) for one in DEVICES}
        self.asked: list[frozenset[str]] = []
        self.read: Counter[Series] = Counter()

    async def sums(self, question: Question) -> Mapping[Series, Sum]:
        self.asked.append(question.devices)
        return {one: held for one, held in self.held.items() if dict(one.tags)["device"] in question.devices}

    async def value(self, measurement: str, series: Series, at: Millis) -> Value | None:
        self.read[series] += 1
        return 10.0

    async def write(self, body: bytes) -> None:
        for one in self.held:
            if dict(one.tags)["device"] in body.decode():
                self.held[one] = Sum(10, 100.0)


def reconciler(school: School, district: District) -> Reconciler:
    return Reconciler("shangde", [Stream(READINGS, school, district, district)], lambda: 10**12)


async def test_the_parts_of_a_day_add_up_and_each_is_mended() -> None:
    district = District("em-1", "em-4", "em-5")
    (day,) = (await reconciler(School(), district).run([0])).days
    assert (day.fields, day.values) == (6, 60)
    assert (day.differing, day.missing, day.resent, day.still, day.surplus) == (3, 9, 30, 0, 0)
    first, again, second, third, both = district.asked
    assert [first, second, third] == [frozenset(DEVICES[start : start + 2]) for start in (0, 2, 4)]
    assert (again, both) == ({"em-1"}, {"em-4", "em-5"})


async def test_a_day_of_which_a_part_is_not_kept_is_passed_over() -> None:
    (day,) = (await reconciler(School(kept=4), District("em-0")).run([0], mend=False)).days
    assert "not all of this day is kept" in day.skipped
    assert (day.fields, day.differing) == (0, 0)


async def test_points_of_every_part_are_read_back() -> None:
    district = District()
    for seed in range(40):
        found = await reconciler(School(), district).run([], spots=1, random=Random(seed))
        assert (found.spot.asked, found.spot.wrong) == (1, 0)
    assert set(district.read) == {series(one) for one in DEVICES}
    assert max(district.read.values()) < 20, "each as likely as any other"
    everything = await reconciler(School(), District()).run([], spots=50)
    assert everything.spot.asked == len(DEVICES)
