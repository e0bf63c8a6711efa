"""The devices of one line that speak by themselves, each in its own period."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Protocol

from drivers.nmea.profile import NmeaProfile
from drivers.nmea.settings import NmeaDevice
from drivers.simulated.bus import Spoken
from drivers.simulated.device import VirtualDevice
from drivers.simulated.faults import Fault
from drivers.simulated.mast import NmeaMast
from drivers.simulated.printer import TextPrinter
from drivers.simulated.station import Answered
from drivers.text.profile import TextProfile
from drivers.text.settings import TextDevice


class Voice(Protocol):
    """A device that speaks by itself."""

    device: VirtualDevice

    def speak(self) -> Sequence[Answered]:
        """What it says now."""
        ...


def speaks(device: VirtualDevice) -> bool:
    """True for a device of a serial or TCP line that nobody asks."""
    return isinstance(device.settings, NmeaDevice | TextDevice) and device.profile.speaks_first


class Chorus:
    """Speaks through `say` until cancelled. `faults` by device id and `silent` may be changed at any time."""

    def __init__(self, devices: Sequence[VirtualDevice], seed: int) -> None:
        self.faults: dict[str, Fault] = {}
        self.silent = False
        self._voices = [_voice(device) for device in devices]
        self._rng = random.Random(f"chorus-{seed}")  # noqa: S311 - repeatable phases

    async def run(self, say: Callable[[Spoken], None]) -> None:
        """Lets every device speak once in its period."""
        async with asyncio.TaskGroup() as group:
            for voice in self._voices:
                group.create_task(self._speak(voice, say), name=f"voice {voice.device.settings.id}")

    async def _speak(self, voice: Voice, say: Callable[[Spoken], None]) -> None:
        every_s = voice.device.settings.every.total_seconds()
        loop = asyncio.get_running_loop()
        due = loop.time() + self._rng.uniform(0.0, min(1.0, every_s))
        while True:
            await asyncio.sleep(due - loop.time())
            due += every_s
            for spoken in self.utter(voice):
                say(spoken)

    def utter(self, voice: Voice) -> list[Spoken]:
        """What goes on the wire when a device speaks, spoilt where it has a fault."""
        name = voice.device.settings.id
        if self.silent:
            return []
        spoken = []
        for frame, values in voice.speak():
            fault = self.faults.get(name)
            data, said = frame, values
            if fault is not None and fault.spend():
                data = fault.spoil(b"", frame)
                said = {} if fault.harms else values
            if data:
                spoken.append(Spoken(0.0, data, name, said))
        return spoken


def _voice(device: VirtualDevice) -> Voice:
    settings, profile = device.settings, device.profile
    if isinstance(settings, NmeaDevice) and isinstance(profile, NmeaProfile):
        return NmeaMast(device, profile, settings)
    if isinstance(settings, TextDevice) and isinstance(profile, TextProfile):
        return TextPrinter(device, profile, settings)
    raise ValueError(f"{settings.id} does not speak by itself")
