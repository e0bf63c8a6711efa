"""The running gateway's side of commissioning: scans, single reads and captures on lent lines."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial

from drivers.errors import DriverError
from drivers.line.arbiter import Arbiter
from drivers.line.schedule import Rank
from drivers.line.traffic import Passed
from edge.clock import now
from edge.commissioning.candidates import Wanted
from edge.commissioning.fingerprint import Fingerprints
from edge.commissioning.paste import yaml_of
from edge.commissioning.scan import Lend, Scan
from edge.commissioning.sighting import Sighting, wire_of
from edge.config.configuration import Configuration
from edge.config.library import Library
from edge.web.services.commissioning import LineTaken, NoSuchLine, ReadOnce, ScanStatus, ScanWish, Seen


class _Job:
    """One scan of one line, while it runs and afterwards."""

    def __init__(self, arbiter: Arbiter, scan: Scan) -> None:
        self.arbiter = arbiter
        self.scan = scan
        self.task: asyncio.Task[None] | None = None
        self.failure = ""


class Workbench:
    """`edge.web.services.commissioning.Commissioning` over the gateway's lines; scans need `run`."""

    def __init__(self, configuration: Configuration, arbiters: Iterable[Arbiter], library: Library) -> None:
        self._configuration = configuration
        self._arbiters = {arbiter.line.id: arbiter for arbiter in arbiters}
        self._library = library
        self._jobs: dict[str, _Job] = {}
        self._begun: asyncio.Queue[_Job] = asyncio.Queue(100)

    async def run(self) -> None:
        """Carries scans out until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                job = await self._begun.get()
                job.task = group.create_task(self._carry_out(job), name=f"scan {job.arbiter.line.id}")

    async def _carry_out(self, job: _Job) -> None:
        try:
            await job.scan.run()
        except DriverError as error:
            job.failure = str(error)

    def scan(self, line: str, wish: ScanWish) -> ScanStatus:
        """See the protocol. The scan ranks with the regular polls, which go on; an emergency
        contact goes before both."""
        arbiter = self._arbiter(line)
        job = self._jobs.get(line)
        if job is not None and (job.task is None or not job.task.done()):
            raise LineTaken(f"{line} is being scanned already")
        speeds = tuple(wire_of(speed) for speed in wish.speeds)
        wanted = Wanted(wish.protocols, wish.addresses, speeds)
        lend: Lend = partial(arbiter.lend, rank=Rank.NORMAL)
        fingerprints = Fingerprints(arbiter.line, self._library)

        async def recognise(sighting: Sighting) -> Sighting:
            suggestions = await fingerprints.suggest(sighting, lend)
            return sighting._replace(suggestions=suggestions, known=self._known(line, sighting))

        job = _Job(arbiter, Scan(arbiter.line, wanted, lend, recognise, patience=wish.patience))
        self._jobs[line] = job
        self._begun.put_nowait(job)
        return self._status(job)

    def scanned(self, line: str) -> ScanStatus | None:
        """See the protocol."""
        self._arbiter(line)
        job = self._jobs.get(line)
        return None if job is None else self._status(job)

    def stop(self, line: str) -> None:
        """See the protocol."""
        self._arbiter(line)
        job = self._jobs.get(line)
        if job is not None and job.task is not None:
            job.task.cancel()

    def traffic(self, line: str, after: int) -> list[Passed]:
        """See the protocol."""
        return self._arbiter(line).traffic.after(after)

    async def read(self, device: str) -> ReadOnce:
        """See the protocol."""
        arbiter = self._arbiter(self._configuration.devices[device].settings.line)
        if device not in arbiter.devices:
            raise NoSuchLine(f"{device} speaks by itself: watch it on the dashboard")
        driver = arbiter.devices[device].driver
        before = arbiter.traffic.after(0)
        last = before[-1].number if before else 0
        try:
            readings = await arbiter.lend(driver.poll(now()), rank=Rank.NORMAL, device=device)
        except DriverError as error:
            return ReadOnce((), arbiter.traffic.after(last), f"{error.reason}: {error}")
        return ReadOnce(readings, arbiter.traffic.after(last))

    def _arbiter(self, line: str) -> Arbiter:
        arbiter = self._arbiters.get(line)
        if arbiter is None:
            raise NoSuchLine(f"the gateway holds no line {line[:80]!r}")
        return arbiter

    def _known(self, line: str, sighting: Sighting) -> str:
        for name, model in self._configuration.devices.items():
            settings = model.settings
            same = settings.line == line and settings.protocol == sighting.protocol
            if same and str(getattr(settings, "address", "")) == sighting.address:
                return name
        return ""

    def _status(self, job: _Job) -> ScanStatus:
        progress, line = job.scan.progress, job.arbiter.line
        seen = tuple(
            Seen(
                one.protocol, one.address, str(one.wire or ""), one.frame, one.conflict,
                tuple(suggestion.profile for suggestion in one.suggestions), one.known,
            )
            for one in progress.found
        )  # fmt: skip
        over = job.task is not None and job.task.done()
        stopped = job.task is not None and over and job.task.cancelled()
        return ScanStatus(
            line.id,
            "failed" if job.failure else "stopped" if stopped else "done" if over else "running",
            progress.asked, progress.total, progress.now, seen,
            yaml_of(line, progress.found, self._library, with_line=False), job.failure,
        )  # fmt: skip
