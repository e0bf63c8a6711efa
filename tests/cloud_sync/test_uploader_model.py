"""Under random answers and crashes the copy is exact: no loss, no invention, poison set aside."""

import asyncio
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_sync.errors import Blocked, Rejected, Throttled, Unreachable, UploadError
from cloud_sync.uploader import Uploader
from tests.cloud_sync.fake_district import FakeDistrict, Ordered
from tests.cloud_sync.memory_outbox import START, MemoryOutbox, destination


class Crash(Exception):
    """The process ends here."""


class CrashingOutbox(MemoryOutbox):
    """Ends the process when it is asked to park or accept, as often as ordered."""

    crash_at_park = False
    crash_at_accept = False

    async def park(self, *args):
        await super().park(*args)
        if self.crash_at_park:
            self.crash_at_park = False
            raise Crash

    async def accept(self, *args):
        if self.crash_at_accept:
            self.crash_at_accept = False
            raise Crash
        await super().accept(*args)


ERRORS = {
    "reset": lambda: Unreachable("reset"),
    "timeout": lambda: Unreachable("timed out", timed_out=True),
    "portal": lambda: Unreachable("answered 200", 200),
    "throttled": lambda: Throttled("wait", 503, 1),
    "blocked": lambda: Blocked("unauthorized", 401),
}
UNKNOWN = ("reset", "timeout")  # these may have been stored

orders = st.one_of(
    st.none(),
    st.sampled_from(sorted(ERRORS)).map(lambda name: (name, False)),
    st.sampled_from(UNKNOWN).map(lambda name: (name, True)),
)
actions = st.one_of(
    st.tuples(st.just("ingest"), st.integers(1, 60)),
    st.tuples(st.just("poison"), st.integers(1, 3)),
    st.tuples(st.just("alarm"), st.integers(1, 2)),
    st.tuples(st.just("answers"), st.lists(orders, min_size=1, max_size=6)),
    st.tuples(st.just("step"), st.integers(1, 4)),
    st.tuples(st.just("crash"), st.sampled_from(["now", "at_park", "at_accept"])),
    st.tuples(st.just("kick"), st.none()),
    st.tuples(st.just("minutes"), st.sampled_from([1, 7, 15, 45, -30])),
)


class World:
    """Outboxes and district outlive the uploader, which may be replaced at any time."""

    def __init__(self, digest, refuse_with):
        self.alarms = CrashingOutbox("alarms")
        self.readings = CrashingOutbox("readings", live=True)
        self.now = START
        self.district = FakeDistrict(
            poison=lambda point: point.fields.get("poison") is True, digest=digest, refuse_with=refuse_with
        )
        self.count = 0
        self.restart()

    def restart(self):
        settings = destination(max_lines=50)
        self.uploader = Uploader(
            settings, (self.alarms, self.readings), self.district, lambda: self.now, Random(7)
        )

    def ingest(self, outbox, count, poison=False):
        for _ in range(count):
            self.count += 1
            fields = {"v": float(self.count), **({"poison": True} if poison else {})}
            outbox.append(
                f"d{self.count % 7}" if not poison else f"p{self.count}", self.now + self.count, fields
            )

    async def step(self):
        try:
            return await self.uploader.step()
        except UploadError:
            return True
        except Crash:
            self.restart()
            return True

    async def act(self, kind, detail):
        match kind:
            case "ingest":
                self.ingest(self.readings, detail)
            case "poison":
                self.ingest(self.readings, detail, poison=True)
            case "alarm":
                self.ingest(self.alarms, detail)
            case "answers":
                for one in detail:
                    self.district.orders.append(one and Ordered(ERRORS[one[0]](), one[1]))
            case "step":
                for _ in range(detail):
                    await self.step()
            case "crash" if detail == "now":
                self.restart()
            case "crash":
                setattr(self.readings, f"crash_{detail}", True)
            case "minutes":  # pass, or the clock is set back
                self.now += detail * 60_000
            case "kick":
                self.uploader.kick()

    async def finish(self):
        """Heals everything and drains."""
        self.district.orders.clear()
        steps = 0
        while await self.step() or await self.step():
            steps += 1
            assert steps < 2_000, "never drains"

    def judge(self):
        for outbox in (self.alarms, self.readings):
            poison = {entry.id for entry in outbox.entries if "poison" in entry.fields}
            assert set(outbox.parked) == poison
            assert outbox.sent == len(outbox.entries) - len(poison)
            assert outbox.held == (len(outbox.entries), ())
        good = {
            entry.at: entry.fields["v"]
            for outbox in (self.alarms, self.readings)
            for entry in outbox.entries
            if "poison" not in entry.fields
        }
        assert {key[2]: value for key, value in self.district.held.items()} == good
        assert len(self.district.held) == len(good)


async def live(history, digest, refuse_with):
    world = World(digest, refuse_with)
    for kind, detail in history:
        await world.act(kind, detail)
    await world.finish()
    world.judge()


def malformed():
    return Rejected("unable to parse 'x'", 400)


@settings(max_examples=150, deadline=None)
@given(st.lists(actions, max_size=25), st.booleans())
def test_whatever_the_answers_and_crashes_the_copy_is_exact(history, digest):
    asyncio.run(live(history, digest, malformed))


@settings(max_examples=60, deadline=None)
@given(st.lists(actions, max_size=15))
def test_a_write_that_is_too_large_is_cut_and_nothing_is_lost(history):
    async def check():
        world = World(True, malformed)
        world.district.most_bytes = 200
        for kind, detail in history:
            if kind != "answers":
                await world.act(kind, detail)
        await world.finish()
        world.judge()

    asyncio.run(check())
