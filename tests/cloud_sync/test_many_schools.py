"""A thousand schools return to a small server after an outage, in virtual time.

The server takes 50 requests a second and answers 503 to the rest. What is printed (`pytest -s`) are
requests a second in windows of ten seconds, and when the last school was through.
"""

import asyncio
from collections import Counter
from random import Random

import pytest

from cloud_sync.errors import NoConnection, Throttled
from cloud_sync.outbox import Backlog, Entry, Taken
from cloud_sync.uploader import Uploader
from tests.cloud_sync.memory_outbox import START, destination
from tests.support.virtual_time import run_virtually

CAPACITY = 50
OUTAGE_S = 1800.0
BATCHES = 12
"""Of the backlog of each school."""
ENTRY = Entry(1, "m", {"device": "d"}, {"v": 1.0}, START)


class Server:
    """Unreachable during the outage; then so many requests a second."""

    def __init__(self):
        self.came = Counter()
        self.refused = Counter()

    async def write(self, lines):
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0.05)
        now = loop.time()
        if now < OUTAGE_S:
            raise NoConnection("refused")
        self.came[int(now)] += 1
        if self.came[int(now)] > CAPACITY:
            self.refused[int(now)] += 1
            raise Throttled("busy", 503, None)

    def rates(self, until):
        """Requests a second that came, in windows of ten seconds behind the outage."""
        begin = int(OUTAGE_S)
        windows = range(begin, int(until) + 1, 10)
        return [sum(self.came[second + n] for n in range(10)) / 10 for second in windows]


class School:
    """An outbox with a backlog of so many batches, and a live entry every minute."""

    name = "readings"

    def __init__(self):
        self.left = BATCHES
        self.live_at = None
        self.drained_at = None
        self.minute = -1

    async def take(self, destination, limit, since=None):
        minute = int(asyncio.get_running_loop().time() // 60)
        if since is None:
            return Taken([ENTRY], BATCHES - self.left + 1, self.left > 1)
        older = None if not self.left else 1000
        if minute == self.minute:
            return Taken([], 1000 + minute, False, older and 1000 + minute)
        return Taken([ENTRY], 1001 + minute, False, older and 1000)

    async def accept(self, destination, cursor, sent, behind=None):
        now = asyncio.get_running_loop().time()
        if cursor > 1000:
            self.minute = cursor - 1001
            self.live_at = self.live_at or now
            return
        self.left -= 1
        if not self.left:
            self.drained_at = now

    async def park(self, *args):
        raise AssertionError("nothing is refused for good")

    async def backlog(self, destination):
        return Backlog(self.left, START)


async def play(schools, **changes):
    """The server, and when the last school was live again and drained (seconds behind the outage)."""
    settings = destination(
        **{
            "interval": "60s", "retry_min": "1s", "retry_max": "5m", "retry_away": "1m", "drain": 0.5,
            "spread": "20m", **changes,
        }
    )  # fmt: skip
    loop = asyncio.get_running_loop()
    server, made = Server(), [School() for _ in range(schools)]
    async with asyncio.TaskGroup() as group:
        tasks = []
        for number, school in enumerate(made):
            uploader = Uploader(
                settings, (school,), server, lambda: START + round(loop.time() * 1000), Random(number)
            )
            tasks.append(group.create_task(uploader.run()))
        while not all(school.drained_at for school in made):
            await asyncio.sleep(10)
            assert loop.time() < OUTAGE_S + 6 * 3600, "never drains"
        for task in tasks:
            task.cancel()
    live = max(school.live_at for school in made) - OUTAGE_S
    drained = max(school.drained_at for school in made) - OUTAGE_S
    return server, live, drained


def shown(title, server, live, drained):
    rates = server.rates(OUTAGE_S + drained)
    total, refused = sum(server.came.values()), sum(server.refused.values())
    pace = f"peak {max(rates):.1f}/s, mean {sum(rates) / len(rates):.1f}/s, {refused} of {total} refused"
    print(f"{title}: {pace}, all live in {live:.0f} s, all drained in {drained:.0f} s")
    print("  " + " ".join(f"{rate:.0f}" for rate in rates[:60]))
    return rates, refused / total


def check(schools):
    result = run_virtually(play(schools))
    rates, refused = shown(f"{schools} schools, spread over 20 min", *result)
    _, live, drained = result
    assert max(rates) <= CAPACITY, "never pressed beyond what it takes"
    assert refused < 0.02
    assert live <= 60 + 60, "the longest pause between two tries, and what a refusal costs"
    assert drained <= 300 + 1200 + 600
    return live, drained


def test_a_district_of_twenty_is_live_within_seconds_at_the_default_pauses():
    server, live, drained = run_virtually(play(20, spread="30s", retry_away="4s", interval="5s"))
    _, refused = shown("20 schools", server, live, drained)
    assert refused == 0
    assert live <= 5
    assert drained <= 60


def test_three_hundred_schools_return_without_flattening_the_server():
    check(300)


@pytest.mark.slow
def test_a_thousand_schools_return_without_flattening_the_server():
    check(1000)


@pytest.mark.slow
def test_without_a_spread_the_server_itself_slows_the_schools_down():
    result = run_virtually(play(1000, spread="0s", retry_away="5m"))
    rates, refused = shown("1000 schools, no spread", *result)
    assert max(rates) <= 2 * CAPACITY
    assert refused < 0.3
