"""People around the school under soak: dashboards that stay open, and buttons that are pressed."""

from __future__ import annotations

import asyncio
import contextlib
import random
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from tests.end_to_end.numbered_school import NumberedSchool
from tests.support.push_receiver import PushReceiver

BUTTONS = 24
"""So many that none is pressed more than six times an hour, which would be chattering."""
PRESS_EVERY_S = (15.0, 75.0)
PATIENCE_S = 60.0
"""A push that has not come by then counts as late by so much."""
LOOK_EVERY_S = 30.0
PROFILES: Mapping[str, Mapping[str, Any]] = {
    "soak-button": {
        "maker": "test", "model": "button", "kind": "emergency_button", "source": "made for the soak",
        "family": "mqtt", "points": {"pressed": {"pointer": "/pressed"}},
    }
}  # fmt: skip
DEVICES = [
    {"id": f"button-{n}", "space": "room", "line": "broker", "protocol": "mqtt", "profile": "soak-button",
     "topic": f"button/{n}", "every": "10m"}
    for n in range(BUTTONS)
]  # fmt: skip
RULES = {
    "rules": [
        {
            "id": "panic", "scope": {"each": "emergency_button"},
            "when": {"p": "pressed", "op": "eq", "val": True}, "shelvable": False, "nodata": {"then": "hold"},
            "alarm": {
                "prio": 1, "title": {"zh": "紧急求助", "en": "panic"}, "owner": "security",
                "respond_within": "1m", "guide": {"zh": "前往", "en": "go"},
                "consequence": {"zh": "危险", "en": "danger"},
            },
        },
    ]
}  # fmt: skip


async def press(
    school: NumberedSchool,
    desk: PushReceiver,
    seed: int,
    disturbed: Callable[[float], bool],
    found: list[float],
) -> None:
    """Presses one button after the other until cancelled, and notes how long each push took (s).

    Those are left out during which the gateway or the broker was away (`disturbed` since an instant of
    the monotonic clock): the bound counts from when the condition is on the bus.
    """
    chance = random.Random(f"people-{seed}")
    number = 0
    while True:
        await asyncio.sleep(chance.uniform(*PRESS_EVERY_S))
        number += 1
        device = f"button-{number % BUTTONS}"
        topic = f"button/{number % BUTTONS}"
        began, told = time.monotonic(), len(desk.requests)
        try:
            await asyncio.to_thread(school.broker.publish, topic, '{"pressed": true}')
            while not _told(desk, told, device) and time.monotonic() < began + PATIENCE_S:
                await asyncio.sleep(0.05)
            took = time.monotonic() - began
            await asyncio.to_thread(school.broker.publish, topic, '{"pressed": false}')
        except subprocess.SubprocessError as error:  # the broker is away just now
            print(f"a press was in vain: {type(error).__name__}", flush=True)
            continue
        if not disturbed(began):
            found.append(took)


def _told(desk: PushReceiver, since: int, device: str) -> bool:
    return any(
        body["type"] == "alarm.raised" and body["data"]["device"] == device for body in desk.bodies[since:]
    )


async def look(school: NumberedSchool, token: str) -> None:
    """One dashboard until cancelled: it reads the lists and follows the stream, again when it breaks."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=20.0) as client:
        while True:
            with contextlib.suppress(httpx.HTTPError, TimeoutError):
                for page in ("readings", "alarms", "lines", "sync"):
                    await client.get(f"{school.gateway.url}/api/v1/{page}")
                async with (
                    asyncio.timeout(LOOK_EVERY_S),
                    client.stream("GET", f"{school.gateway.url}/api/v1/stream") as answer,
                ):
                    async for _ in answer.aiter_bytes():
                        pass
            await asyncio.sleep(1.0)
