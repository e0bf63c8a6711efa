"""The uploader against a destination whose answers are ordered."""

import asyncio
from random import Random

import pytest

from cloud_sync.errors import Blocked, Failed, Rejected, Throttled, Unreachable
from cloud_sync.outbox import Entry, Taken
from cloud_sync.uploader import Uploader
from tests.cloud_sync.fake_district import FakeDistrict, Ordered
from tests.cloud_sync.memory_outbox import START, MemoryOutbox, destination, meters
from tests.support.virtual_time import run_virtually


class Clock:
    """A clock that a test sets."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


def uploader_for(district, *outboxes, clock=None, **changes):
    return Uploader(destination(**changes), outboxes, district, clock or Clock(), Random(1))


async def drain(uploader):
    while await uploader.step():
        pass


async def test_everything_arrives_once_and_the_cursor_stands_behind_it():
    outbox = MemoryOutbox("readings", meters(12_345))
    district = FakeDistrict()
    await drain(uploader_for(district, outbox))
    assert len(district.held) == 12_345
    assert district.total() == sum(range(1, 12_346))
    assert (outbox.cursor, outbox.sent) == (12_345, 12_345)
    assert len(district.bodies) == 3


async def test_alarms_go_before_readings_in_every_step():
    readings = MemoryOutbox("readings", meters(20))
    alarms = MemoryOutbox("alarms", meters(1, measurement="alarm"))
    district = FakeDistrict()
    uploader = uploader_for(district, alarms, readings, max_lines=10)
    assert await uploader.step()
    alarms.append("em-9", START, {"v": 1.0}, "alarm")
    await drain(uploader)
    assert [body.split(b",")[0] for body in district.bodies] == [b"alarm", b"meter", b"alarm", b"meter"]


async def test_the_ledger_counts_values_not_lines():
    outbox = MemoryOutbox("readings")
    outbox.append("em-1", START, {"active_power": 1.0, "voltage_l1": 230.0, "on": True})
    await drain(uploader_for(FakeDistrict(), outbox))
    assert outbox.sent == 3


async def test_nothing_waiting_makes_no_write_and_waits_the_interval():
    district = FakeDistrict()
    uploader = uploader_for(district, MemoryOutbox("readings"), interval="5s")
    assert not await uploader.step()
    assert uploader.delay() == 5.0
    assert district.bodies == []


async def test_rows_that_are_never_sent_are_stepped_over():
    class Skipping(MemoryOutbox):
        async def take(self, destination, limit, since=None):
            return Taken([], 7, False)

    outbox = Skipping("readings")
    await uploader_for(FakeDistrict(), outbox).step()
    assert (outbox.cursor, outbox.sent) == (7, 0)


@pytest.mark.parametrize(
    "error",
    [
        Unreachable("reset"),
        Unreachable("answered 200", 200),
        Unreachable("redirected", 302),
        Throttled("wait", 503, None),
        Blocked("unauthorized", 401),
        Failed("engine", 500),
    ],
)
@pytest.mark.parametrize("stored", [False, True])
async def test_what_is_not_confirmed_is_sent_again_byte_for_byte(error, stored):
    outbox = MemoryOutbox("readings", meters(100))
    district = FakeDistrict()
    district.orders += [Ordered(error, stored)] * 3
    uploader = uploader_for(district, outbox)
    for _ in range(3):
        with pytest.raises(type(error)):
            await uploader.step()
        assert outbox.cursor == 0
    await uploader.step()
    assert len(set(district.bodies)) == 1
    assert district.total() == sum(range(1, 101))
    assert outbox.cursor == 100
    assert outbox.parked == {}


async def test_retry_after_is_waited_for_and_success_forgets_it():
    district = FakeDistrict()
    district.orders.append(Ordered(Throttled("wait", 503, 7_000)))
    uploader = uploader_for(district, MemoryOutbox("readings", meters(1)))
    with pytest.raises(Throttled):
        await uploader.step()
    assert 7.0 <= uploader.delay() <= 8.4
    await uploader.step()
    assert uploader.delay() == 0.01


async def test_a_blocked_destination_holds_everything_says_why_and_a_kick_tries_at_once():
    outbox = MemoryOutbox("readings", meters(10))
    district = FakeDistrict()
    district.orders += [Ordered(Blocked("unauthorized access", 401))] * 2
    uploader = uploader_for(district, outbox, interval="1h", blocked_retry="5m")
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        task = group.create_task(uploader.run())
        while len(district.bodies) < 1:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        status = await uploader.status()
        assert (status.blocked, status.reason) == (True, "401: unauthorized access")
        assert (status.pending, status.oldest, status.sent) == (10, START + 1, 0)
        assert uploader.trouble == "district: 401: unauthorized access"
        assert uploader.delay() == 10.0
        uploader.kick()
        while len(district.bodies) < 2:
            await asyncio.sleep(0)
        uploader.kick()
        while outbox.cursor < 10:
            await asyncio.sleep(0)
        task.cancel()
    status = await uploader.status()
    assert (status.blocked, status.reason, status.pending, status.oldest) == (False, "", 0, None)
    assert uploader.trouble == ""


async def test_refused_lines_are_parked_with_the_servers_reason_and_the_others_arrive():
    outbox = MemoryOutbox("readings", meters(1_000))
    district = FakeDistrict(poison=lambda point: point.fields["active_power"] in (1.0, 500.0, 1_000.0))
    await drain(uploader_for(district, outbox))
    assert set(outbox.parked) == {1, 500, 1_000}
    assert outbox.parked[500].reason == "partial write: field type conflict"
    assert outbox.parked[500].status == 422
    assert outbox.parked[500].line == f"meter,device=em-0 active_power=500.0 {START + 500}"
    assert len(district.held) == 997
    assert outbox.sent == 997


async def test_a_link_that_breaks_while_poison_is_searched_loses_and_parks_nothing_twice():
    outbox = MemoryOutbox("readings", meters(500))
    district = FakeDistrict(poison=lambda point: point.fields["active_power"] == 77.0, digest=False)
    district.orders += [None, Ordered(Unreachable("reset"), stored=True)] * 30
    uploader = uploader_for(district, outbox)
    while outbox.cursor < 500:
        try:
            await uploader.step()
        except Unreachable:
            assert outbox.parked == {}
    assert set(outbox.parked) == {77}
    assert len(district.held) == 499


async def test_413_shrinks_the_writes_and_the_smaller_size_is_remembered_until_a_kick():
    outbox = MemoryOutbox("readings", meters(4_000))
    district = FakeDistrict(most_bytes=40_000)
    uploader = uploader_for(district, outbox, max_lines=2_000)
    await drain(uploader)
    assert len(district.held) == 4_000
    assert sum(len(body) > 40_000 for body in district.bodies) == 2
    district.most_bytes = 10_000_000
    uploader.kick()
    outbox.entries += [Entry(4_000 + entry.id, *entry[1:]) for entry in meters(2_000)]
    district.bodies.clear()
    await drain(uploader)
    assert len(district.bodies) == 1


async def test_one_line_larger_than_the_server_takes_is_parked():
    outbox = MemoryOutbox("readings", meters(10))
    outbox.append("em-1", START, {"text": "x" * 50_000})
    district = FakeDistrict(most_bytes=40_000)
    await drain(uploader_for(district, outbox))
    assert set(outbox.parked) == {11}
    assert outbox.parked[11].status == 413
    assert len(district.held) == 10


async def test_a_batch_that_times_out_again_and_again_is_sent_in_smaller_writes():
    class SlowLink(FakeDistrict):
        async def write(self, lines):
            if len(lines) > 60_000:
                self.bodies.append(lines)
                raise Unreachable("timed out", timed_out=True)
            await super().write(lines)

    outbox = MemoryOutbox("readings", meters(5_000))
    district = SlowLink()
    uploader = uploader_for(district, outbox)
    for _ in range(50):
        try:
            if not await uploader.step():
                break
        except Unreachable:
            continue
    assert len(district.held) == 5_000


async def test_one_long_line_that_times_out_is_held_and_arrives_when_the_link_is_better():
    outbox = MemoryOutbox("readings")
    outbox.append("em-1", START, {"text": "x" * 50_000})
    district = FakeDistrict()
    district.orders += [Ordered(Unreachable("timed out", timed_out=True))] * 10
    uploader = uploader_for(district, outbox)
    for _ in range(10):
        with pytest.raises(Unreachable):
            await uploader.step()
    await drain(uploader)
    assert (len(district.held), outbox.cursor, outbox.parked) == (1, 1, {})


async def test_a_line_that_makes_the_server_fail_is_found_once_other_lines_are_seen_to_pass():
    outbox = MemoryOutbox("readings", meters(200))
    district = FakeDistrict(
        poison=lambda point: point.fields["active_power"] == 42.0,
        digest=False,
        refuse_with=lambda: Failed("panic", 500),
    )
    uploader = uploader_for(district, outbox)
    failures = 0
    while outbox.cursor < 200:
        try:
            await uploader.step()
        except Failed:
            failures += 1
            assert failures < 12
    assert set(outbox.parked) == {42}
    assert len(district.held) == 199


async def test_a_server_that_fails_for_all_lines_gets_nothing_parked():
    outbox = MemoryOutbox("readings", meters(50))
    district = FakeDistrict(poison=lambda _: True, digest=False, refuse_with=lambda: Failed("down", 500))
    uploader = uploader_for(district, outbox)
    for _ in range(60):
        with pytest.raises(Failed):
            await uploader.step()
    assert outbox.parked == {}
    assert outbox.cursor == 0


async def test_more_poison_than_the_cap_flags_a_fault_until_a_clean_batch():
    outbox = MemoryOutbox("readings", meters(1_000, devices=4))
    district = FakeDistrict(poison=lambda point: point.tags["device"] == "em-1")
    uploader = uploader_for(district, outbox)
    await drain(uploader)
    status = await uploader.status()
    assert status.fault == "partial write: field type conflict"
    assert (status.quarantined, status.sent) == (250, 750)
    district.poison = lambda _: False
    outbox.append("em-0", START, {"active_power": 1.0})
    await drain(uploader)
    assert (await uploader.status()).fault == ""


async def test_an_entry_that_is_no_line_is_parked_and_delays_nothing():
    outbox = MemoryOutbox("readings")
    outbox.append("em-1", START, {"v": float("nan")})
    outbox.append("em-1", START + 1, {"v": 1.0})
    district = FakeDistrict()
    await drain(uploader_for(district, outbox))
    assert outbox.parked[1].status == 0
    assert "nan" in outbox.parked[1].reason
    assert len(district.held) == 1


async def test_an_outbox_that_fails_to_accept_is_asked_again_without_a_second_write():
    class Stubborn(MemoryOutbox):
        fails = 1

        async def accept(self, *args):
            if self.fails:
                self.fails -= 1
                raise OSError("disk full")
            await super().accept(*args)

    outbox = Stubborn("readings", meters(10))
    district = FakeDistrict()
    uploader = uploader_for(district, outbox)
    with pytest.raises(OSError, match="disk full"):
        await uploader.step()
    await uploader.step()
    assert (outbox.cursor, outbox.sent, len(district.bodies)) == (10, 10, 1)


async def test_status_tells_the_last_success_and_the_rate_of_a_minute():
    clock = Clock()
    outbox = MemoryOutbox("readings", meters(600))
    uploader = uploader_for(FakeDistrict(), outbox, clock=clock)
    clock.now += 120_000
    await drain(uploader)
    status = await uploader.status()
    assert status.last_success == clock.now
    assert status.rate_per_s == 10.0
    clock.now += 61_000
    assert (await uploader.status()).rate_per_s == 0.0


async def test_a_backlog_drains_with_pauses_as_long_as_the_sending():
    class Slow(FakeDistrict):
        async def write(self, lines):
            await asyncio.sleep(0.02)
            await super().write(lines)

    uploader = uploader_for(Slow(), MemoryOutbox("readings", meters(20)), max_lines=10, drain=0.5)
    assert await uploader.step()
    assert uploader.delay() >= 0.02


async def test_a_rejection_is_not_an_error_of_the_step():
    outbox = MemoryOutbox("readings", meters(1))
    district = FakeDistrict()
    district.orders.append(Ordered(Rejected("unable to parse", 400)))
    await uploader_for(district, outbox).step()
    assert outbox.parked[1].reason == "unable to parse"
    assert outbox.cursor == 1


MINUTE = 60_000


def aged(count, minutes, first=1):
    """Entries that came in so many minutes before START."""
    return [
        Entry(n, "meter", {"device": "em-1"}, {"v": float(n)}, START - minutes * MINUTE + n)
        for n in range(first, first + count)
    ]


def order(district):
    """The values in the order of writing, of readings as numbers and of alarms as "alarm"."""
    lines = [line for body in district.bodies for line in body.decode().split("\n")]
    return [
        "alarm" if line.startswith("alarm") else int(float(line.split("v=")[1].split()[0])) for line in lines
    ]


async def test_after_an_outage_alarms_leave_first_then_the_last_ten_minutes_then_the_oldest():
    readings = MemoryOutbox("readings", aged(20, 300) + aged(20, 9, first=21), live=True)
    alarms = MemoryOutbox("alarms", meters(3, measurement="alarm"), live=True)
    district = FakeDistrict()
    uploader = uploader_for(district, alarms, readings, max_lines=10)
    await drain(uploader)
    assert order(district) == ["alarm"] * 3 + [*range(21, 41), *range(1, 21)]
    assert readings.held == (40, ())
    assert readings.sent == 40


async def test_what_comes_in_while_a_backlog_drains_leaves_before_its_next_batch():
    readings = MemoryOutbox("readings", aged(40, 300), live=True)
    district = FakeDistrict()
    uploader = uploader_for(district, readings, max_lines=10)
    assert await uploader.step()
    readings.entries += aged(1, 0, first=41)
    assert await uploader.step()
    assert order(district)[10] == 41
    await drain(uploader)
    assert sorted(order(district)) == list(range(1, 42))


async def test_a_paused_backlog_does_not_hold_up_what_is_urgent():
    class Slow(FakeDistrict):
        async def write(self, lines):
            await asyncio.sleep(0.05)
            await super().write(lines)

    readings = MemoryOutbox("readings", aged(40, 300), live=True)
    district = Slow()
    uploader = uploader_for(district, readings, max_lines=10, drain=0.001, interval="1s")
    assert await uploader.step()
    assert uploader.delay() == 5.0, "the pause is 50 s, but live data is looked for every 5 s"
    readings.entries += aged(1, 0, first=41)
    await uploader.step()
    assert order(district) == [*range(1, 11), 41]


async def test_after_an_outage_the_backlog_begins_within_the_spread_and_live_data_at_once():
    readings = MemoryOutbox("readings", aged(10, 300) + aged(10, 1, first=11), live=True)
    district = FakeDistrict()
    district.orders += [Ordered(Unreachable("reset"))] * 3
    uploader = uploader_for(district, readings, spread="1h")
    for _ in range(3):
        with pytest.raises(Unreachable):
            await uploader.step()
    assert await uploader.step(), "the backlog waits"
    assert order(district)[-10:] == list(range(11, 21))
    assert readings.held.top == 20
    assert readings.cursor == 0
    uploader.kick()
    await drain(uploader)
    assert readings.held == (20, ())


async def test_a_server_that_asked_for_patience_is_asked_more_step_by_step():
    district = FakeDistrict()
    district.orders += [Ordered(Throttled("wait", 503, None))] * 6
    uploader = uploader_for(
        district, MemoryOutbox("readings", meters(100)), max_lines=10, retry_min="1s", retry_max="5m"
    )
    for _ in range(6):
        with pytest.raises(Throttled):
            await uploader.step()
    waits = []
    for _ in range(10):
        await uploader.step()
        waits.append(uploader.delay())
    assert max(waits[:5]) > 1.0
    assert waits[5:9] == [0.0] * 4


async def test_a_blocked_destination_does_not_hold_up_another():
    outboxes = MemoryOutbox("readings", meters(20)), MemoryOutbox("readings", meters(20))
    blocked, free = FakeDistrict(), FakeDistrict()
    blocked.orders += [Ordered(Blocked("unauthorized", 401))] * 50
    uploaders = [uploader_for(blocked, outboxes[0]), uploader_for(free, outboxes[1])]
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        tasks = [group.create_task(uploader.run()) for uploader in uploaders]
        while outboxes[1].cursor < 20:
            await asyncio.sleep(0.005)
        for task in tasks:
            task.cancel()
    assert outboxes[0].cursor == 0
    assert len(free.held) == 20


class Timed(FakeDistrict):
    """Notes when writes begin, in seconds of the loop; each takes as long as `takes` says."""

    def __init__(self, takes=0.0):
        super().__init__()
        self.takes = takes
        self.times = []

    async def write(self, lines):
        self.times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.takes)
        await super().write(lines)


def woken(district, commits, until, first=0, **changes):
    """When writes begin while the uploader runs and is woken for a reading at each of `commits`;
    `first` readings of hours ago are there from the start."""

    async def play():
        outbox = MemoryOutbox("readings", aged(first, 300), live=True)
        uploader = uploader_for(district, outbox, **changes)
        running = asyncio.create_task(uploader.run())
        loop = asyncio.get_running_loop()
        for number, at in enumerate(commits, start=first + 1):
            await asyncio.sleep(at - loop.time())
            outbox.entries += aged(1, 0, first=number)
            uploader.wake()
        await asyncio.sleep(until - loop.time())
        running.cancel()
        await asyncio.wait([running])
        return district.times

    return run_virtually(play())


def test_a_wake_is_followed_at_once_but_never_sooner_than_the_interval():
    assert woken(Timed(takes=4.0), [1.0, 20.5], until=24.0, interval="10s") == [1.0, 20.5]
    assert woken(Timed(takes=4.0), [1.0, 7.0], until=24.0, interval="10s") == [1.0, 15.0], "too early"
    assert woken(Timed(), [1.0, 2.0, 3.0, 13.0], until=25.0, interval="10s") == [1.0, 11.0, 21.0]


def test_what_is_stored_during_a_long_step_is_sent_at_its_end():
    assert woken(Timed(takes=12.0), [1.0, 5.0], until=30.0, interval="10s") == [1.0, 13.0]


def test_a_wake_ends_the_pause_of_a_backlog_for_what_is_urgent():
    times = woken(Timed(takes=0.5), [2.25], until=3.0, first=20, max_lines=10, interval="1s", drain=0.001)
    assert times == [0.0, 2.25]


@pytest.mark.parametrize("error", [Throttled("wait", 503, 60_000), Unreachable("reset")])
def test_a_destination_in_trouble_is_left_alone_by_wakes_also_by_one_during_the_step_that_fails(error):
    district = Timed(takes=12.0)
    district.orders.append(Ordered(error))
    commits = [1.0, 21.0, *range(25, 80, 5)]
    first, second, *_ = woken(
        district, commits, until=100.0, interval="10s", retry_min="60s", retry_max="60s"
    )
    assert first == 1.0
    assert 73.0 <= second <= 79.0, "a minute, of a Retry-After up to a tenth more"


def test_a_server_that_asked_for_time_gets_it_although_readings_are_stored():
    async def play():
        district = FakeDistrict()
        district.orders += [Ordered(Throttled("wait", 503, None))] * 6
        outbox = MemoryOutbox("readings", aged(30, 0), live=True)
        uploader = uploader_for(district, outbox, max_lines=10, retry_min="1s", retry_max="5m")
        for _ in range(6):
            with pytest.raises(Throttled):
                await uploader.step()
        await uploader.step()
        loop = asyncio.get_running_loop()
        ends = loop.time() + uploader.delay()
        assert uploader.delay() > 1.0
        waiting = asyncio.create_task(uploader.pause())
        await asyncio.sleep(0.5)
        uploader.wake()
        await waiting
        assert loop.time() == pytest.approx(ends)

    run_virtually(play())


def test_a_kick_during_a_step_that_fails_is_followed_at_once():
    async def play():
        district = Timed(takes=12.0)
        district.orders.append(Ordered(Unreachable("reset")))
        uploader = uploader_for(
            district, MemoryOutbox("readings", aged(1, 0), live=True), retry_min="60s", retry_max="60s"
        )
        running = asyncio.create_task(uploader.run())
        await asyncio.sleep(5.0)
        uploader.kick()
        await asyncio.sleep(8.0)
        running.cancel()
        await asyncio.wait([running])
        assert district.times == [0.0, 12.0]

    run_virtually(play())
