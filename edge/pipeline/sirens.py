"""All sirens of the school, made from their settings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from drivers.reading import Millis, Value
from drivers.settings import millis
from edge.channels.route import channel_name
from edge.config.configuration import Configuration
from edge.pipeline.dispatcher import Dispatcher
from edge.pipeline.live import Latest
from edge.pipeline.outlets import Outlet
from edge.pipeline.siren import Siren, SirenWays
from edge.store.database import Database
from edge.store.sirens import SirenStore
from rules.alarm import AlarmState, Transition


@dataclass(frozen=True, slots=True)
class SirenState:
    """How one siren stands; `fault` is empty when it can be relied on."""

    name: str
    sounding: bool
    fault: str


class Sirens:
    """What the evaluator, the desk and the composition root say to all of them at once."""

    def __init__(self, sirens: Sequence[Siren]) -> None:
        self._sirens = sirens

    def learn(self, transitions: Sequence[Transition]) -> None:
        """Takes alarms that changed."""
        for siren in self._sirens:
            siren.learn(transitions)

    async def silence(self) -> int:
        """Mutes all until another alarm comes; of how many alarms. The alarms stay."""
        return max([await siren.silence() for siren in self._sirens], default=0)

    def states(self) -> Sequence[SirenState]:
        """How each stands."""
        return [SirenState(siren.name, siren.sounding, siren.fault) for siren in self._sirens]

    def facts(self) -> Mapping[str, Value]:
        """What the gateway's own rules look at."""
        return {"siren_failed": any(siren.fault for siren in self._sirens)}

    def works(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Task name -> what is to be kept running."""
        return {f"siren {siren.name}": siren.run for siren in self._sirens}

    async def rest(self) -> None:
        """Before a clean end: none is left on."""
        await asyncio.gather(*(siren.rest() for siren in self._sirens))


def sirens_of(
    configuration: Configuration,
    outlets: Mapping[str, Outlet],
    dispatcher: Dispatcher,
    latest: Latest,
    core: Database,
    states: Sequence[AlarmState],
    clock: Callable[[], Millis],
) -> Sirens:
    """One for each relay of each desk; `states` are the alarms as the last run left them."""
    settings = configuration.settings
    zone, store = ZoneInfo(settings.site.timezone), SirenStore(core)
    made = []
    for desk, channels in settings.notify.items():
        for number, one in enumerate(channels):
            if one.relay is None:
                continue
            device, point = one.relay.device, one.relay.point
            limits = configuration.devices[device].profile.write_limits(point)
            outlet = outlets[device]
            ways = SirenWays(
                dispatcher.submit,
                dispatcher.sound,
                lambda outlet=outlet: outlet.online,  # type: ignore[misc]  # bound now, not at the loop's end
                latest.reading,
                clock,
                zone,
                millis(limits.pause) if limits is not None else 0,
            )
            name = channel_name(desk, number, one)
            made.append(Siren(name, one.relay, one.carries, store, ways, states))
    return Sirens(made)
