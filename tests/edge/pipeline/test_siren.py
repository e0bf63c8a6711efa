"""A siren follows the alarms through the one door: on, off, silenced, tested, and never left on."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from drivers.reading import Millis, Quality, Reading, Value
from edge.channels.settings import RelaySettings
from edge.clock import now
from edge.config.configuration import Configuration
from edge.config.load import load
from edge.pipeline import siren as siren_module
from edge.pipeline import unwritten
from edge.pipeline.dispatcher import Dispatcher
from edge.pipeline.siren import Siren, SirenWays
from edge.store.accounts import Accounts, Role
from edge.store.commands import CommandRefused, Requester, newest
from edge.store.database import Database
from edge.store.sirens import SirenStore
from rules.alarm import AlarmState, Change, Condition, Transition
from rules.command import Command
from tests.edge.pipeline.test_dispatcher import Field
from tests.edge.web.school import PROFILE, write_configuration
from tests.support.stores import core

SHANGHAI = ZoneInfo("Asia/Shanghai")
TIMER = "  on_for: {address: 3, write: {function: 6, pause: 20ms}}\n"
RELAY: dict[str, Any] = {"device": "env-301", "point": "open"}


def alarm(occurrence: str = "gas.1", priority: int = 1, **changes: Any) -> AlarmState:
    state = AlarmState(
        "gas", "kitchen", Condition.ACTIVE, 0, occurrence, 0, acked=False, priority=priority, latched=True
    )
    return replace(state, **changes)


@dataclass
class Box:
    """A siren over the real door; its clock is the wall's, moved at will."""

    siren: Siren
    device: Field
    readings: dict[tuple[str, str], Reading]
    door: Dispatcher
    database: Database
    moved: list[int] = field(default_factory=lambda: [0])

    def clock(self) -> Millis:
        return now() + self.moved[0]

    def move(self, seconds: float) -> None:
        self.moved[0] += round(seconds * 1000)

    def tell(self, *states: AlarmState, change: Change = Change.RAISED) -> None:
        self.siren.learn([Transition(change, state, 0, notify=True) for state in states])

    def read(self, point: str, value: Value) -> None:
        at = self.clock()
        self.readings["env-301", point] = Reading("env-301", point, value, "bool", at, at, Quality.GOOD)

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not done():
                await asyncio.sleep(0.01)

    async def wrote(self, *values: Value) -> None:
        """Waits for what was written so far."""
        await self.until(lambda: len(self.device.written) >= len(values))
        assert self.device.written == list(values)

    async def seen(self, point: str, value: Value, *values: Value) -> None:
        """Reads a value again and again, as a line does, until so much was written."""
        async with asyncio.timeout(10):
            while len(self.device.written) < len(values):
                self.read(point, value)
                await asyncio.sleep(0.02)
        assert self.device.written == list(values)

    async def still(self, *values: Value) -> None:
        await asyncio.sleep(0.2)
        assert self.device.written == list(values)


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    """The school of the web tests, with a relay that may be written often and has a timer."""
    folder = tmp_path_factory.mktemp("school")
    write_configuration(folder)
    quick = PROFILE.replace("write: {function: 6}", "write: {function: 6, pause: 20ms}")
    profile = f"adds: {{on_for: {{unit: s, zh: 响, en: On for}}}}\n{quick}{TIMER}"
    (folder / "profiles" / "probe.yaml").write_text(profile, encoding="utf-8")
    return load(folder / "school.yaml")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks more often than it does in a school."""
    monkeypatch.setattr(siren_module, "IDLE_S", 0.05)
    monkeypatch.setattr(siren_module, "LOOK_S", 0.05)
    monkeypatch.setattr(siren_module, "FEEDBACK_MORE_S", 0.3)
    monkeypatch.setattr(siren_module, "FIRST_AGAIN_S", 0.1)
    monkeypatch.setattr(unwritten, "AGAIN_S", 0.05)


@contextlib.asynccontextmanager
async def box(
    configuration: Configuration,
    folder: Path,
    states: Sequence[AlarmState] = (),
    *,
    device: Field | None = None,
    start: Millis | None = None,
    priorities: frozenset[int] = frozenset({1}),
    **relay: Any,
) -> AsyncIterator[Box]:
    device = device or Field()
    readings: dict[tuple[str, str], Reading] = {}
    moved = [0 if start is None else start - now()]

    def clock() -> Millis:
        return now() + moved[0]

    async with core(folder) as database:
        door = Dispatcher(
            configuration, {"env-301": device}, database, Accounts(clock), clock, lambda _d, _p: None
        )
        ways = SirenWays(
            door.submit, door.sound, lambda: device.online, lambda d, p: readings.get((d, p)), clock,
            SHANGHAI, 20,
        )  # fmt: skip
        settings = RelaySettings.model_validate({**RELAY, **relay})
        siren = Siren("security.0.relay", settings, priorities, SirenStore(database), ways, states)
        tasks = [asyncio.create_task(work()) for work in (door.run, siren.run)]
        try:
            yield Box(siren, device, readings, door, database, moved)
            for record in await database.read(lambda c: newest(c, 100, None)):
                assert record.command.who == "siren security.0.relay"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_it_sounds_at_an_emergency_and_stops_when_somebody_acknowledges(
    configuration: Configuration, tmp_path: Path
) -> None:
    async with box(configuration, tmp_path) as one:
        await one.wrote(False)  # brought into a known state first
        one.tell(alarm(priority=2), alarm("", 1))
        await one.still(False)
        one.tell(alarm())
        await one.wrote(False, True)
        assert one.siren.sounding
        one.tell(alarm(acked=True), change=Change.ACKED)
        await one.wrote(False, True, False)


async def test_a_latched_alarm_sounds_on_when_its_cause_is_gone_and_an_unlatched_one_does_not(
    configuration: Configuration, tmp_path: Path
) -> None:
    async with box(configuration, tmp_path, [alarm()]) as one:
        await one.wrote(True)
        one.tell(alarm(condition=Condition.NORMAL), change=Change.CLEARED)
        await one.still(True)
        one.tell(alarm(condition=Condition.NORMAL, latched=False), change=Change.RESET)
        await one.wrote(True, False)


async def test_silence_mutes_the_sound_and_another_alarm_is_heard_again(
    configuration: Configuration, tmp_path: Path
) -> None:
    async with box(configuration, tmp_path, [alarm()]) as one:
        await one.wrote(True)
        assert await one.siren.silence() == 1
        await one.wrote(True, False)
        one.tell(alarm(note="again"), change=Change.NOTED)
        await one.still(True, False)
        one.tell(alarm("panic.2"))
        await one.wrote(True, False, True)
        assert await one.siren.silence() == 1
        await one.wrote(True, False, True, False)
        one.tell(alarm(), change=Change.REALARMED)
        await one.wrote(True, False, True, False, True)


async def test_the_silence_button_does_the_same(configuration: Configuration, tmp_path: Path) -> None:
    silence = {"device": "env-301", "point": "co2"}
    async with box(configuration, tmp_path, [alarm()], silence=silence) as one:
        await one.wrote(True)
        one.read("co2", True)
        await one.wrote(True, False)
        one.tell(alarm("panic.2"))
        await one.wrote(True, False, True)
        await one.still(True, False, True)  # a button that is stuck silences nothing more


async def test_nothing_sounds_longer_than_it_may_and_a_restart_does_not_begin_anew(
    configuration: Configuration, tmp_path: Path
) -> None:
    device = Field()
    async with box(configuration, tmp_path, [alarm()], device=device) as one:
        await one.wrote(True)
        one.move(100)
        one.tell(alarm("panic.2"))  # what comes in between has its whole time
        one.move(100)
        await one.still(True)
        one.move(100)
        await one.wrote(True, False)
        at = one.clock()
    device.written.clear()
    async with box(configuration, tmp_path, [alarm(), alarm("panic.2")], device=device, start=at) as again:
        await again.wrote(False)
        await again.still(False)


async def test_after_a_kill_it_is_as_the_alarms_demand(configuration: Configuration, tmp_path: Path) -> None:
    async with box(configuration, tmp_path, [alarm()]) as one:
        await one.wrote(True)
        at = one.clock()
    async with box(configuration, tmp_path, [alarm()], start=at + 60_000) as still_there:
        await still_there.wrote(True)
        await still_there.siren.silence()
        await still_there.wrote(True, False)
        at = still_there.clock()
    async with box(configuration, tmp_path, [alarm()], start=at) as silenced:
        await silenced.wrote(False)
    async with box(configuration, tmp_path, [alarm(acked=True)], start=at) as gone:
        await gone.wrote(False)


async def test_a_clean_end_leaves_nothing_on(configuration: Configuration, tmp_path: Path) -> None:
    async with box(configuration, tmp_path, [alarm()]) as one:
        await one.wrote(True)
        await one.siren.rest()
        await one.still(True, False)


async def test_a_dead_relay_is_a_fault_and_sounds_as_soon_as_it_is_back(
    configuration: Configuration, tmp_path: Path
) -> None:
    device = Field(online=False)
    async with box(configuration, tmp_path, [alarm()], device=device) as one:
        await asyncio.sleep(0.1)
        assert one.siren.fault == ""
        one.move(11)
        assert one.siren.fault == "its device does not answer"
        device.online = True
        await one.wrote(True)
        await one.until(lambda: one.siren.fault == "")


async def test_a_relay_that_was_switched_by_somebody_else_is_brought_back(
    configuration: Configuration, tmp_path: Path
) -> None:
    async with box(configuration, tmp_path, [alarm()]) as one:
        await one.wrote(True)
        await one.seen("open", False, True, True)
        one.read("open", True)
        await one.still(True, True)


async def test_a_device_with_a_timer_is_told_again_and_again(
    configuration: Configuration, tmp_path: Path
) -> None:
    pulse = {"device": "env-301", "point": "on_for"}
    async with box(configuration, tmp_path, [alarm()], pulse=pulse) as one:
        await one.wrote(10.0)
        await one.still(10.0)
        one.move(5.1)
        await one.wrote(10.0, 10.0)
        one.tell(alarm(acked=True), change=Change.ACKED)
        await one.wrote(10.0, 10.0, False)


class Disk:
    """The core file's disk, which may refuse."""

    def __init__(self, database: Database, patch: pytest.MonkeyPatch) -> None:
        self.refuses = False
        real = database.run

        async def run(work: Callable[[sqlite3.Connection], Any], **more: Any) -> Any:
            if self.refuses:
                raise sqlite3.OperationalError("database or disk is full")
            return await real(work, **more)

        patch.setattr(database, "run", run)


async def test_an_emergency_sounds_though_nothing_can_be_written_down_and_is_written_down_later(
    configuration: Configuration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with box(configuration, tmp_path) as one:
        disk = Disk(one.database, monkeypatch)
        await one.wrote(False)
        disk.refuses = True
        one.tell(alarm())
        await one.wrote(False, True)
        await one.until(lambda: len(one.door.unwritten) == 1)
        await one.still(False, True)  # once, though it has no record
        assert one.siren.fault == ""
        one.tell(alarm(acked=True), change=Change.ACKED)
        await one.wrote(False, True, False)
        await one.until(lambda: len(one.door.unwritten) == 2)
        disk.refuses = False
        await one.until(lambda: len(one.door.unwritten) == 0)
        records = await one.door.newest(10, None)
        assert [(r.command.value, r.state, r.found) for r in records] == [
            (False, "confirmed", False), (True, "confirmed", True), (False, "confirmed", False),
        ]  # fmt: skip
        assert [r.detail.startswith("the disk refused it at 20") for r in records] == [True, True, False]
        assert records[0].command.created_at > records[1].command.created_at
        assert (one.door.unwritten.total, one.door.unwritten.lost) == (2, 0)
        assert await one.database.read(Accounts(now).verify) is None


async def test_what_went_out_unwritten_is_offered_once_more_at_the_end(
    configuration: Configuration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unwritten, "AGAIN_S", 3600.0)
    async with box(configuration, tmp_path) as one:
        disk = Disk(one.database, monkeypatch)
        await one.wrote(False)
        disk.refuses = True
        one.tell(alarm())
        await one.wrote(False, True)
        await one.until(lambda: len(one.door.unwritten) == 1)
        disk.refuses = False
    async with core(tmp_path) as database:
        records = await database.read(lambda c: newest(c, 10, None))
        assert (True, "confirmed") in [(one.command.value, one.state) for one in records]


async def test_what_is_no_emergency_waits_for_the_disk_and_falls_silent_without_it(
    configuration: Configuration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with box(configuration, tmp_path, priorities=frozenset({1, 2})) as one:
        disk = Disk(one.database, monkeypatch)
        await one.wrote(False)
        disk.refuses = True
        one.tell(alarm(priority=2))
        await one.still(False)
        disk.refuses = False
        await one.wrote(False, True)
        await one.until(lambda: one.siren._on is True)
        disk.refuses = True
        one.tell(alarm(priority=2, acked=True), change=Change.ACKED)
        await one.wrote(False, True, False)


async def test_the_limits_of_a_relay_hold_without_a_record_too(
    configuration: Configuration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with box(configuration, tmp_path) as one:
        await one.wrote(False)
        disk = Disk(one.database, monkeypatch)
        await one.until(lambda: one.siren._on is False)
        disk.refuses = True
        at = one.clock()
        asked = Command("env-301", "co2", 3.0, "an alarm sounds", "siren x", at, at + 10_000)
        with pytest.raises(CommandRefused, match="co2"):
            await one.door.sound(asked, Requester("siren x", Role.ADMIN, "siren x", "gateway"))
        asked = replace(asked, point="open", value=True)
        with pytest.raises(sqlite3.OperationalError):
            await one.door.submit(asked, Requester("rule:x", Role.OPERATOR, "rule:x", "gateway"))
        assert one.device.written == [False] and len(one.door.unwritten) == 0


TEST = {"day": "mon", "at": "10:00", "lasts": "300ms"}
MONDAY = round(datetime(2026, 11, 23, 2, 0, 30, tzinfo=UTC).timestamp() * 1000)  # 10:00:30 in Shanghai


@pytest.mark.parametrize("wired", [True, False])
async def test_the_weekly_test_wants_to_hear_the_siren(
    configuration: Configuration, tmp_path: Path, wired: bool
) -> None:
    feedback = {"device": "env-301", "point": "co2"}
    async with box(configuration, tmp_path, start=MONDAY - 3000, test=TEST, feedback=feedback) as one:
        await one.wrote(False)
        one.move(3)
        await one.wrote(False, True)
        if wired:
            one.read("co2", True)
        await one.wrote(False, True, False)
        await one.until(lambda: not one.siren.testing)
        assert one.siren.fault == ("" if wired else "test: no feedback, the siren may be dead")
        one.move(60)
        at = one.clock()
        await one.still(False, True, False)
    async with box(configuration, tmp_path, start=at, test=TEST, feedback=feedback) as again:
        await again.wrote(False)
        await again.still(False)
        assert again.siren.fault == ("" if wired else "test: no feedback, the siren may be dead")


async def test_an_alarm_in_the_middle_of_a_test_sounds_on(
    configuration: Configuration, tmp_path: Path
) -> None:
    async with box(configuration, tmp_path, start=MONDAY, test={**TEST, "lasts": "5s"}) as one:
        await one.wrote(False, True)
        one.tell(alarm())
        await one.until(lambda: not one.siren.testing)
        one.move(10)
        await one.still(False, True)
        assert one.siren.sounding


async def test_a_test_that_was_missed_waits_for_its_day(configuration: Configuration, tmp_path: Path) -> None:
    async with box(configuration, tmp_path, start=MONDAY + 15 * 60_000, test=TEST) as late:
        await late.wrote(False)
        await late.still(False)
