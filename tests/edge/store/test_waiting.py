"""What waits becomes nothing when nothing is left to send, wherever the readings without a value lie."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_sync.errors import Unreachable, UploadError
from cloud_sync.outbox import Backlog, Outbox
from cloud_sync.uploader import Uploader
from drivers.reading import Quality, Reading
from edge.agent import CORE_MIGRATIONS
from edge.store import cursors
from edge.store.alarm_outbox import AlarmOutbox
from edge.store.alarms import AlarmStore
from edge.store.database import Database
from edge.store.hourly import HOUR, HourlyOutbox
from edge.store.moments import MIGRATIONS, Shape, Source
from edge.store.outbox import ReadingOutbox
from edge.store.readings import ReadingStore
from rules.alarm import AlarmState, Change, Condition, Transition
from tests.cloud_sync.fake_district import FakeDistrict, Ordered
from tests.cloud_sync.memory_outbox import destination

MINUTE = 60_000
BEGIN = 1_764_547_200_000  # a full hour
SOURCES = [Source("env-1", "classroom_env", "r1", "b1", (Shape("co2", "[ppm]", "number"),))]


async def _no_park(*_: object) -> None:
    raise AssertionError("nothing is refused here")


class Gateway:
    """A store with its three outboxes, an uplink that a test cuts, and a district."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = BEGIN
        self.district = FakeDistrict()
        self.good = 0
        self.count = 0
        self.alarms = 0

    async def open(self) -> Gateway:
        self.core = Database(self.folder / "core.db", CORE_MIGRATIONS)
        self.telemetry = Database(self.folder / "telemetry.db", MIGRATIONS)
        await self.core.open()
        await self.telemetry.open()
        self.store = ReadingStore(self.telemetry, SOURCES)
        await self.store.load()
        self.readings = ReadingOutbox(self.telemetry, {}, _no_park, self.store.helper)
        self.alarm_outbox = AlarmOutbox(self.core, {})
        self.hourly = HourlyOutbox(
            self.telemetry, {}, _no_park, self.store.helper, lambda: self.now, lambda: None
        )
        self.uploader = self._uploader("district", self.alarm_outbox, self.readings)
        self.figures = self._uploader("district/hourly", self.hourly)
        return self

    def _uploader(self, name: str, *outboxes: Outbox) -> Uploader:
        settings = destination(id="district", max_lines=10).model_copy(update={"id": name})
        return Uploader(settings, outboxes, self.district, lambda: self.now, Random(1))

    async def close(self) -> None:
        await self.store.close()
        await self.telemetry.close()
        await self.core.close()

    async def restart(self) -> None:
        await self.close()
        await self.open()

    async def ingest(self, good: int = 0, bad: int = 0) -> None:
        group = []
        for value in [1.0] * good + [None] * bad:
            self.count += 1
            at = self.now + self.count
            quality, reason = (Quality.GOOD, "") if value is not None else (Quality.BAD, "timeout")
            group.append(Reading("env-1", "co2", value, "[ppm]", at, at, quality, reason))
        await self.store.append(group, self.now)
        self.good += good

    async def alarm(self) -> None:
        self.alarms += 1
        state = AlarmState("rule", "r1", Condition.ACTIVE, self.now, occurrence=f"o{self.alarms}")
        await AlarmStore(self.core).save([Transition(Change.RAISED, state, self.now + self.alarms)])

    def cut(self, times: int = 1_000) -> None:
        self.district.orders.extend([Ordered(Unreachable("reset"))] * times)

    def heal(self) -> None:
        self.district.orders.clear()

    async def step(self, times: int = 1) -> None:
        for _ in range(times):
            try:
                await self.uploader.step()
            except UploadError:
                self.uploader.kick()

    async def drain(self) -> None:
        """Steps until two in a row found nothing more: the first may have sent what it took long ago."""
        self.uploader.kick()
        idle = 0
        for _ in range(500):
            if idle == 2:
                return
            idle = 0 if await self.uploader.step() else idle + 1
        raise AssertionError("never drains")

    async def backlog(self) -> Backlog:
        return await self.readings.backlog("district")

    async def held(self) -> cursors.Held:
        return await self.telemetry.read(lambda c: cursors.held(c, "district"))

    async def all_is_sent(self) -> bool:
        """Nothing waits, no run is left, and the district has what is good, once."""
        sent = [key for key in self.district.held if key[0] == "classroom_env"]
        assert len(sent) == self.good
        pending = (await self.uploader.status()).pending
        return (pending, await self.held()) == (0, (self.count, ()))


@pytest.fixture
async def gateway(tmp_path: Path):
    made = await Gateway(tmp_path).open()
    yield made
    await made.close()


@pytest.mark.parametrize("shape", ["bad", "good bad", "bad good", "good bad good", "bad good bad"])
@pytest.mark.parametrize("number", [1, 10, 25])
async def test_readings_without_a_value_hold_up_nothing_wherever_they_lie(
    gateway: Gateway, shape: str, number: int
) -> None:
    for kind in shape.split():
        await gateway.ingest(**{kind: number})
    await gateway.drain()
    assert await gateway.all_is_sent()


async def test_readings_without_a_value_do_not_wait_even_before_they_are_passed_over(
    gateway: Gateway,
) -> None:
    await gateway.ingest(good=3, bad=2)
    assert await gateway.backlog() == Backlog(3, BEGIN + 1)
    await gateway.drain()
    await gateway.ingest(bad=22)
    assert await gateway.backlog() == Backlog(0, None), "silent devices are stored for ever"
    await gateway.ingest(good=1)
    assert await gateway.backlog() == Backlog(1, BEGIN + 28)


async def test_of_a_large_backlog_the_readings_are_counted_without_a_look_into_them(
    gateway: Gateway,
) -> None:
    await gateway.ingest(bad=1)
    group = [Reading("env-1", "co2", 1.0, "[ppm]", BEGIN + n, BEGIN + n) for n in range(1_000, 1_600)]
    await gateway.store.append(group, BEGIN)
    assert (await gateway.backlog()).pending == 601


async def test_a_gap_and_runs_of_readings_without_a_value_close(gateway: Gateway) -> None:
    await gateway.ingest(good=12)
    gateway.now += 15 * MINUTE
    await gateway.ingest(bad=5)
    await gateway.readings.accept("district", 4, 4)
    await gateway.readings.accept("district", 10, 2, 8)
    await gateway.readings.accept("district", 17, 0, 15)
    held = await gateway.held()
    assert held == (4, ((8, 10), (15, 17)))
    assert await gateway.backlog() == Backlog(6, BEGIN + 5)
    await gateway.readings.accept("district", 8, 4, 4)
    await gateway.readings.accept("district", 12, 2, 10)
    assert await gateway.held() == (12, ((15, 17),))
    assert await gateway.backlog() == Backlog(0, None), "only values that are none are left in the gap"
    await gateway.drain()
    assert await gateway.held() == (17, ())


async def test_after_an_outage_a_backlog_without_values_is_passed_over_and_a_restart_changes_nothing(
    gateway: Gateway,
) -> None:
    gateway.cut()
    await gateway.ingest(good=15, bad=15)
    await gateway.alarm()
    await gateway.step(4)
    gateway.now += 30 * MINUTE
    await gateway.ingest(bad=5, good=5)
    await gateway.ingest(bad=7)
    await gateway.step(4)
    assert (await gateway.uploader.status()).pending == 21
    await gateway.restart()
    assert (await gateway.uploader.status()).pending == 21
    gateway.heal()
    await gateway.step()
    await gateway.restart()
    await gateway.drain()
    assert await gateway.all_is_sent()
    await gateway.restart()
    assert (await gateway.uploader.status()).pending == 0
    await gateway.drain()
    assert await gateway.all_is_sent()


async def test_with_the_uplink_down_and_nothing_to_send_nothing_waits(gateway: Gateway) -> None:
    gateway.cut()
    await gateway.ingest(bad=12)
    await gateway.step(3)
    assert await gateway.all_is_sent()
    assert gateway.district.bodies == []


async def test_alarms_wait_until_they_are_sent_also_over_a_restart(gateway: Gateway) -> None:
    gateway.cut()
    for _ in range(12):
        await gateway.alarm()
    await gateway.step(3)
    assert (await gateway.uploader.status()).pending == 12
    await gateway.restart()
    gateway.heal()
    await gateway.drain()
    assert (await gateway.uploader.status()).pending == 0
    await gateway.restart()
    await gateway.drain()
    assert (await gateway.uploader.status()).pending == 0
    assert len({key[2] for key in gateway.district.held if key[0] == "alarm"}) == 12


async def test_an_alarm_outbox_never_goes_back(gateway: Gateway) -> None:
    for _ in range(3):
        await gateway.alarm()
    await gateway.alarm_outbox.accept("district", 3, 3)
    await gateway.alarm_outbox.accept("district", 1, 0)  # held back from there on by a doubted clock
    assert await gateway.alarm_outbox.backlog("district") == Backlog(0, None)


async def test_hours_without_a_value_do_not_wait(gateway: Gateway) -> None:
    await gateway.ingest(bad=3)
    gateway.now += HOUR + 3 * MINUTE
    await gateway.figures.step()
    assert (await gateway.figures.status()).pending == 0
    await gateway.ingest(good=2)
    await gateway.ingest(bad=2)
    gateway.now += HOUR
    gateway.cut(1)
    with pytest.raises(Unreachable):
        await gateway.figures.step()
    assert (await gateway.figures.status()).pending == 1
    await gateway.restart()
    await gateway.figures.step()
    assert (await gateway.figures.status()).pending == 0
    assert len(gateway.district.held) == len(("count", "min", "max", "mean", "last"))


steps = st.one_of(
    st.tuples(st.just("good"), st.integers(1, 12)),
    st.tuples(st.just("bad"), st.integers(1, 12)),
    st.tuples(st.just("minutes"), st.sampled_from([1, 7, 15, 45])),
    st.tuples(st.just("step"), st.integers(1, 3)),
    st.tuples(st.just("cut"), st.integers(1, 4)),
    st.tuples(st.just("restart"), st.just(0)),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(steps, max_size=20))
def test_whatever_happens_nothing_waits_in_the_end(history: list[tuple[str, int]]) -> None:
    async def live(folder: Path) -> None:
        gateway = await Gateway(folder).open()
        for name, number in history:
            match name:
                case "good" | "bad":
                    await gateway.ingest(**{name: number})
                case "minutes":
                    gateway.now += number * MINUTE
                case "step":
                    await gateway.step(number)
                case "cut":
                    gateway.cut(number)
                case _:
                    await gateway.restart()
        gateway.heal()
        await gateway.drain()
        assert await gateway.all_is_sent()
        await gateway.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(live(Path(folder)))
