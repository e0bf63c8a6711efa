"""The uploader against a real influxd: what it says arrived is there, counted and summed by the server."""

import asyncio
import time
from contextlib import asynccontextmanager
from random import Random

import pytest

from cloud_sync.errors import Blocked, Throttled, Unreachable, UploadError
from cloud_sync.influx import InfluxWriter
from cloud_sync.line_protocol import format_entry
from cloud_sync.outbox import Entry
from cloud_sync.uploader import Uploader
from tests.cloud_sync.memory_outbox import MemoryOutbox, destination
from tests.support.influx import Delay, DropResponse, Html200, InfluxServer, Redirect, Status

DAY = 86_400_000


def now():
    return time.time_ns() // 1_000_000


def readings(count, first=1, start=None):
    begin = (now() if start is None else start) - count
    return [
        Entry(
            n, "meter", {"device": f"em-{n % 20}", "space": "三〇一"}, {"active_power": float(n)}, begin + n
        )
        for n in range(first, first + count)
    ]


@pytest.fixture
async def influx(tmp_path):
    async with InfluxServer(tmp_path) as server:
        yield server


@asynccontextmanager
async def uploader_to(influx, *outboxes, token=None, **changes):
    settings = destination(influx.url, **changes)
    async with InfluxWriter(settings, token or influx.token) as writer:
        yield Uploader(settings, outboxes, writer, now, Random(1))


async def drain(uploader, outbox, within=30):
    """Steps as the supervisor would, until the outbox is empty; the errors on the way."""
    errors = []
    async with asyncio.timeout(within):
        while outbox.cursor < len(outbox.entries):
            try:
                await uploader.step()
            except UploadError as error:
                errors.append(error)
            await asyncio.sleep(min(uploader.delay(), 0.2))
    return errors


async def held(influx):
    return await influx.count("meter", "active_power"), await influx.total("meter", "active_power")


async def test_what_was_accepted_is_there_by_count_and_sum(influx):
    outbox = MemoryOutbox("readings", readings(5_000))
    async with uploader_to(influx, outbox) as uploader:
        assert await drain(uploader, outbox) == []
    assert await held(influx) == (5_000, sum(range(1, 5_001)))
    by_device = await influx.count_by("meter", "active_power", "device")
    assert by_device == {f"em-{n}": 250 for n in range(20)}


async def test_only_the_poison_among_5000_is_parked_with_the_servers_reason(influx):
    entries = readings(5_000)
    base = now()
    await influx.write(f"meter,device=old state=1i {base}".encode())
    conflict, expired = 1_234, 4_000
    entries[conflict - 1] = Entry(conflict, "meter", {"device": "em-x"}, {"state": "on"}, base)
    entries[expired - 1] = entries[expired - 1]._replace(at=base - 60 * DAY)
    outbox = MemoryOutbox("readings", entries)
    async with uploader_to(influx, outbox) as uploader:
        assert await drain(uploader, outbox) == []
    assert set(outbox.parked) == {conflict, expired}
    assert "field type conflict" in outbox.parked[conflict].reason
    assert "retention" in outbox.parked[expired].reason
    assert await held(influx) == (4_998, sum(range(1, 5_001)) - conflict - expired)
    assert len(influx.seen) <= 1 + 2 * 30


async def test_one_poison_line_costs_at_most_30_more_requests(influx):
    entries = readings(5_000)
    await influx.write(f"meter,device=old state=1i {now()}".encode())
    entries[2_718] = entries[2_718]._replace(fields={"state": "on"})
    outbox = MemoryOutbox("readings", entries)
    async with uploader_to(influx, outbox) as uploader:
        await drain(uploader, outbox)
    assert set(outbox.parked) == {2_719}
    assert len(influx.seen) <= 31


async def test_a_backlog_beyond_the_retention_is_set_aside_in_few_requests(influx):
    outbox = MemoryOutbox("readings", [*readings(5_000, start=now() - 60 * DAY), *readings(100, first=5_001)])
    async with uploader_to(influx, outbox) as uploader:
        await drain(uploader, outbox)
    assert len(outbox.parked) == 5_000
    assert await influx.count("meter", "active_power") == 100
    assert len(influx.seen) < 10


async def test_answers_lost_after_the_commit_leave_an_exact_copy(influx):
    influx.faults += [DropResponse(), DropResponse(), Status(500), DropResponse()]
    outbox = MemoryOutbox("readings", readings(3_000))
    async with uploader_to(influx, outbox, max_lines=1_000) as uploader:
        errors = await drain(uploader, outbox)
    assert len(errors) == 4
    assert len(influx.seen) == 7
    assert influx.seen[0].body == influx.seen[1].body
    assert await held(influx) == (3_000, sum(range(1, 3_001)))


async def test_a_server_killed_and_restarted_during_the_upload_ends_with_an_exact_copy(influx):
    outbox = MemoryOutbox("readings", readings(20_000))
    async with uploader_to(influx, outbox, max_lines=500) as uploader, asyncio.TaskGroup() as group:
        task = group.create_task(drain(uploader, outbox))
        for _ in range(3):
            seen = len(influx.seen)
            while len(influx.seen) < seen + 5:
                await asyncio.sleep(0.001)
            influx.kill()
            await asyncio.sleep(0.05)
            await influx.start()
    assert any(isinstance(error, Throttled) for error in task.result())
    assert await held(influx) == (20_000, sum(range(1, 20_001)))


async def test_a_frozen_server_is_noticed_by_the_read_timeout_and_nothing_is_lost(influx):
    outbox = MemoryOutbox("readings", readings(2_000))
    async with uploader_to(influx, outbox, max_lines=500, read_timeout="200ms") as uploader:
        await uploader.step()
        influx.freeze()
        try:
            with pytest.raises(Unreachable) as caught:
                await uploader.step()
        finally:
            influx.thaw()
        assert caught.value.timed_out
        await drain(uploader, outbox)
    assert await held(influx) == (2_000, sum(range(1, 2_001)))


async def test_a_proxy_limit_of_100_kb_shrinks_the_writes(influx):
    influx.body_limit = 20_000  # gzipped: about 130 kB of lines
    outbox = MemoryOutbox("readings", readings(10_000))
    async with uploader_to(influx, outbox) as uploader:
        assert await drain(uploader, outbox) == []
        refused = sum(one.status == 413 for one in influx.seen)
        assert 1 <= refused <= 4
    assert outbox.parked == {}
    assert await held(influx) == (10_000, sum(range(1, 10_001)))


async def test_a_wrong_token_holds_everything_until_it_is_mended(influx):
    right, influx.token = influx.token, "changed by the district"
    outbox = MemoryOutbox("readings", readings(100))
    async with uploader_to(influx, outbox, token=right) as uploader:
        for _ in range(3):
            with pytest.raises(Blocked, match="unauthorized"):
                await uploader.step()
        status = await uploader.status()
        assert (status.blocked, status.pending) == (True, 100)
        influx.token = right
        uploader.kick()
        await drain(uploader, outbox)
    assert outbox.parked == {}
    assert await held(influx) == (100, 5_050)


async def test_a_missing_bucket_holds_everything_until_it_is_created(influx):
    outbox = MemoryOutbox("readings", readings(10))
    async with uploader_to(influx, outbox, bucket="later") as uploader:
        with pytest.raises(Blocked, match='bucket "later" not found'):
            await uploader.step()
        await influx.create_bucket("later")
        await drain(uploader, outbox)
    assert outbox.sent == 10


async def test_a_captive_portal_does_not_move_the_cursor(influx):
    influx.faults += [Html200(), Redirect(), Html200()]
    outbox = MemoryOutbox("readings", readings(10))
    async with uploader_to(influx, outbox) as uploader:
        for _ in range(3):
            with pytest.raises(Unreachable, match="intercepted"):
                await uploader.step()
            assert outbox.cursor == 0
        await drain(uploader, outbox)
    assert await held(influx) == (10, 55)


async def test_a_storm_of_faults_ends_with_an_exact_copy(influx):
    random = Random(20251201)
    kinds = [
        Status(503, {"Retry-After": "0"}),
        Status(429),
        Status(500),
        Status(502, {}, b"<html>Bad Gateway</html>"),
        DropResponse(),
        Html200(),
        Delay(0.02),
    ]
    influx.faults += [random.choice(kinds) for _ in range(40)]
    outbox = MemoryOutbox("readings", readings(10_000))
    async with uploader_to(influx, outbox, max_lines=500, retry_max="20ms") as uploader:
        await drain(uploader, outbox)
    assert outbox.parked == {}
    assert await held(influx) == (10_000, sum(range(1, 10_001)))


async def test_names_and_texts_come_back_from_the_server_as_they_were(influx):
    random = Random(20251201)

    def word(alphabet):
        return "".join(random.choices(alphabet, k=random.randint(1, 8)))

    names, everything = ",= \"#é三'x", ",= \"#é三'x\\\n\t\r"
    entries = [
        Entry(
            n,
            f"n{n} {word(names)}",
            {f"t{word(names)}": word(names)},
            {f"f{word(names)}": word(everything)},
            now(),
        )
        for n in range(300)
    ]
    entries.append(Entry(300, "m\\x", {"k\\y": "v\\z"}, {"f\\g": "back\\slash\\"}, now()))
    await influx.write(b"\n".join(format_entry(entry) for entry in entries))
    for entry in entries:
        name = entry.measurement.replace("\\", "\\\\").replace('"', '\\"')
        assert await influx.rows(name) == [{"time": entry.at, **entry.tags, **entry.fields}]
