"""The gateway as a device of its own: what it knows of itself goes through the rules like any reading."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from drivers.reading import Millis, Reading, Value
from edge.config.documents import read
from edge.pipeline.evaluator import Evaluator
from rules.rulebook import Rule, parse_rules
from rules.site import DeviceInfo, SiteInfo

GATEWAY = "gateway"
POINTS: Mapping[str, str] = dict.fromkeys(
    (
        "storage_failed",
        "storage_damaged",
        "clock_doubtful",
        "device_clock_off",
        "push_failing",
        "siren_failed",
        "desk_mute",
        "action_failed",
        "configuration_faulty",
        "calendar_unknown",
    ),
    "bool",
)
"""Its points and their units."""
EVERY_S = 1.0
SAY_AGAIN_MS = 60_000
"""A fact that stays is said again this often, so that it does not go stale."""

Facts = Callable[[], Mapping[str, Value]]


def own_rules(configs: Path, taken: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules on the gateway itself; a school's own rule of the same id stands in for one.
    Raises edge.config.fault.ConfigError, rules.rulebook.RuleError for a broken installation."""
    ids = {rule.id for rule in taken}
    found = parse_rules(read(configs / "gateway" / "rules.yaml").data)
    return tuple(rule for rule in found if rule.id not in ids)


def with_gateway(site: SiteInfo) -> SiteInfo:
    """The school with the gateway among its devices."""
    gateway = DeviceInfo(GATEWAY, "", GATEWAY, SAY_AGAIN_MS, POINTS)
    return replace(site, devices=(*(d for d in site.devices if d.id != GATEWAY), gateway))


class SelfWatch:
    """Shows facts to the rules when they change, and now and then when they do not."""

    def __init__(self, evaluator: Evaluator, facts: Facts, clock: Callable[[], Millis]) -> None:
        self._evaluator = evaluator
        self._facts = facts
        self._clock = clock
        self._said: Mapping[str, Value] = {}
        self._said_at: Millis = 0

    async def run(self) -> None:
        """Watches until cancelled."""
        while True:
            facts, now = self._facts(), self._clock()
            if facts != self._said or abs(now - self._said_at) >= SAY_AGAIN_MS:
                self._said, self._said_at = facts, now
                readings = [
                    Reading(GATEWAY, point, value, POINTS[point], now, now) for point, value in facts.items()
                ]
                await self._evaluator.settle(self._evaluator.engine.evaluate(readings, now))
            await asyncio.sleep(EVERY_S)
