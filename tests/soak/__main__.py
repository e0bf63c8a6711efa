"""`python -m tests.soak --for 10m`: the numbered school under faults drawn from a seed, and a report.

Everything runs on loopback. It passes when the ledger is exact, but for one group of readings and
what was under way at each kill and each step of the clock, when nothing is stored or delivered that
was never sent, and when the criteria of `tests/soak/criteria.py` hold as far as the run is long enough.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from drivers.settings import parse_duration
from drivers.simulated.faults import Fault as Spoilt
from tests.end_to_end.numbered_school import NumberedSchool, numbered_school
from tests.soak import people, report
from tests.soak.criteria import criteria
from tests.soak.run import AWAY, GROUP_S, OUTAGES, RATE_A_DEVICE, Run, drain, observe
from tests.soak.schedule import STARTS_ANEW, Act, Fault, acts, steady
from tests.support.facilities import has
from tests.support.faults import writes_refused
from tests.support.influx import DropResponse, Status
from tests.support.lying_clock import LyingClock
from tests.support.push_receiver import PushReceiver

DASHBOARDS = 10
DAY_S = 86_400
FIRST_STEP_DAYS = 3
"""Each step of the clock leads into a day of its own, so that no two readings get the same time."""


async def act(school: NumberedSchool, one: Act, run: Run, clock: LyingClock | None) -> None:
    """Does one fault to the school, until it ends."""
    match one.fault:
        case Fault.UPLINK_DOWN:
            school.influx.down = True
            await asyncio.sleep(one.length_s)
            school.influx.down = False
        case Fault.ANSWERS_LOST:
            school.influx.faults.extend([DropResponse()] * 3)
        case Fault.SERVER_BUSY:
            school.influx.faults.extend([Status(503, {"Retry-After": "1"}), Status(429), Status(500)])
        case Fault.SERVER_KILLED:
            school.influx.kill()
            await asyncio.sleep(one.length_s)
            await school.influx.start()
        case Fault.SERVER_FROZEN:
            school.influx.freeze()
            await asyncio.sleep(one.length_s)
            school.influx.thaw()
        case Fault.GATEWAY_KILLED:
            await asyncio.to_thread(school.gateway.kill)
            run.kills += 1
            await asyncio.sleep(one.length_s)
            await asyncio.to_thread(school.gateway.start)
        case Fault.GATEWAY_FROZEN:
            os.kill(school.gateway.pid, signal.SIGSTOP)
            await asyncio.sleep(one.length_s)
            os.kill(school.gateway.pid, signal.SIGCONT)
        case Fault.BROKER_RESTARTED:
            await asyncio.to_thread(school.broker.stop)
            await asyncio.sleep(one.length_s)
            await asyncio.to_thread(school.broker.start)
        case Fault.DISK_REFUSES:
            with writes_refused(school.gateway.pid):
                await asyncio.sleep(one.length_s)
        case Fault.CLOCK_STEPPED:
            assert clock is not None
            run.steps += 2
            clock.set((FIRST_STEP_DAYS + run.steps) * DAY_S)
            await asyncio.sleep(one.length_s)
            clock.set(0)
            await asyncio.sleep(one.length_s)
        case Fault.NOISE:
            device = random.Random(run.now_s).choice(("rtu-1", "rtu-2", "rtu-3", "dlt-1", "dlt-2"))
            school.bus.faults[device] = Spoilt(wrong_checksum=True, before=b"\x00\xff\x55")
            await asyncio.sleep(one.length_s)
            del school.bus.faults[device]


async def trouble(school: NumberedSchool, run: Run, seconds: float, clock: LyingClock | None) -> None:
    """One fault after the other, for so long."""
    draining: asyncio.Task[None] | None = None
    for one in acts(run.seed):
        await asyncio.sleep(one.pause_s)
        if run.now_s > seconds:
            break
        if (one.fault in STARTS_ANEW and steady(run.now_s)) or (
            one.fault is Fault.CLOCK_STEPPED and clock is None
        ):
            continue
        print(f"{run.now_s:7.1f} s  {one.fault} {one.length_s:.1f} s", flush=True)
        run.done.append((run.now_s, one))
        if one.fault in OUTAGES and draining is not None:
            draining.cancel()
        if one.fault in AWAY:
            run.away_until = float("inf")
        began = run.now_s
        await act(school, one, run, clock)
        if one.fault in AWAY:
            run.away_until = run.started + run.now_s
        if one.fault in OUTAGES:
            draining = asyncio.create_task(drain(school, run, run.now_s - began))
    if draining is not None:
        draining.cancel()


def judge(run: Run, sent: Mapping[str, list[float]], stored: Mapping[str, list[float]],
          delivered: Mapping[str, list[float]]) -> list[str]:  # fmt: skip
    """What is wrong with the ledger; empty when it holds."""
    faults = []
    for device, numbers in sent.items():
        kept, there = stored.get(device, []), delivered.get(device, [])
        lost = len(numbers) - len(kept)
        if len(set(kept)) != len(kept):
            faults.append(f"{device}: {len(kept) - len(set(kept))} readings are stored twice")
        if not set(kept) <= set(numbers):
            faults.append(f"{device}: something is stored that was never sent")
        if lost > run.kills * (GROUP_S * RATE_A_DEVICE + 2) + 2 * run.steps:
            faults.append(
                f"{device}: {lost} of {len(numbers)} readings are missing after {run.kills} kills and"
                f" {run.steps} steps"
            )
        if sorted(there) != sorted(kept):
            faults.append(f"{device}: the district holds {len(there)}, the gateway {len(kept)}")
    return faults


def configure(school: NumberedSchool) -> None:
    """Groups and intervals as a school has them: the tests' are short, and would wear the card. About 30
    readings a second are left, as of 200 points every five to ten seconds."""
    config = json.loads(school.gateway.config.read_text(encoding="utf-8"))
    for device in config["devices"]:
        if device["protocol"] != "mqtt":
            device["every"] = "1s"
    config["store"]["group"] = f"{GROUP_S:.0f}s"
    config["sync"][0]["interval"] = "5s"
    school.gateway.config.write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")


async def soak(seconds: float, seed: int, folder: Path) -> bool:
    """One run; whether it passed."""
    run = Run(seed)
    async with AsyncExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="campus-edge-soak-")))
        clock = LyingClock(work) if has("compiler") else None
        desk = await stack.enter_async_context(PushReceiver())
        school = await stack.enter_async_context(
            numbered_school(
                work / "school", rules=people.RULES, devices=people.DEVICES, profiles=people.PROFILES,
                notify={"desk": [{"webhook": {"url": f"{desk.url}/hook"}}]},
            )
        )  # fmt: skip
        configure(school)
        if clock is not None:
            clock.synchronise()
            school.gateway.environment.update(clock.environment)
        await school.begin()
        arguments = ("--data", str(school.gateway.data), "--role", "viewer", "--name", "dashboard")
        token = (await asyncio.to_thread(school.gateway.cli, "token", "create", *arguments)).strip()
        beside = [
            asyncio.create_task(observe(school, run)),
            asyncio.create_task(people.press(school, desk, seed, run.disturbed, run.alarms_s)),
            *(asyncio.create_task(people.look(school, token)) for _ in range(DASHBOARDS)),
        ]
        await trouble(school, run, seconds, clock)
        school.influx.faults.clear()
        for task in beside[1:]:
            task.cancel()
        await school.quiet()
        await asyncio.sleep(8 + GROUP_S)  # a disk that refused last is tried again
        await school.drained(max(120.0, seconds / 4))
        beside[0].cancel()
        await asyncio.to_thread(school.gateway.stop)
        sent, stored, delivered = school.sent(), school.stored(), await school.delivered()
        faults = judge(run, sent, stored, delivered)
        log = school.gateway.log.read_bytes()
        found = criteria(run.samples, run.alarms_s, run.outages, len(log) / 1e6, run.now_s)
        passed = not faults and all(criterion.holds for criterion in found)
        if not passed:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "gateway.log").write_bytes(log)
    total, kept = sum(map(len, sent.values())), sum(len(stored.get(device, ())) for device in sent)
    path = report.write(run, found, faults, (total, kept), folder)
    for fault in faults:
        print(fault)
    for criterion in found:
        print(report.said(criterion))
    word = "passed" if passed else "FAILED"
    print(f"{word}: seed {seed}, {kept} of {total} readings, {run.kills} kills; {path}")
    return passed


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="./run soak", description="the numbered school under faults")
    parser.add_argument("--for", dest="duration", default="10m", help="how long, e.g. 10m or 2h")
    parser.add_argument("--seed", type=int, default=None, help="an earlier run's, to have it again")
    parser.add_argument("--out", type=Path, default=Path(".cache/soak"), help="folder of the report")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.randrange(1 << 31)
    print(f"seed {seed}", flush=True)
    seconds = parse_duration(arguments.duration).total_seconds()
    return 0 if asyncio.run(soak(seconds, seed, arguments.out)) else 1


if __name__ == "__main__":
    sys.exit(main())
