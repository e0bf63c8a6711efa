"""Which profile fits a device that answered: read as each would read it, and judge the values."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator, Mapping, Sequence

from drivers.contract import Exchange, Polled, Reply
from drivers.errors import DriverError
from drivers.line.settings import FieldLine
from drivers.profile import Profile
from drivers.reading import Quality, Reading
from drivers.registry import PROTOCOLS, build_polled
from drivers.settings import DeviceSettings
from drivers.vocabulary import PointSpec
from edge.clock import now
from edge.commissioning.scan import Lend
from edge.commissioning.settings import settings_of
from edge.commissioning.sighting import Sighting, Suggestion
from edge.config.library import Library

LEAST = 0.5
MOST = 3
"""Suggestions worth showing."""
MOST_EXCHANGES = 12
"""Questions put for one profile; a device that lacks the first blocks lacks the rest."""
_ZERO = 0.4
"""A zero is plausible everywhere, so it says less."""


class Fingerprints:
    """Compares devices of a line with all profiles of a library."""

    def __init__(self, line: FieldLine, library: Library) -> None:
        self._line = line
        self._library = library

    async def suggest(self, sighting: Sighting, lend: Lend) -> tuple[Suggestion, ...]:
        """The profiles whose points are plausible, best first; raises LineDown."""
        said: dict[bytes, bytes | DriverError] = {}
        found: list[tuple[float, int, str]] = []
        # Reading the shelf takes seconds the first time: not in the event loop.
        for profile in await asyncio.to_thread(lambda: list(self._candidates(sighting))):
            settings = settings_of(sighting, "probe", profile.id, self._line.id, "probe")
            points = self._library.points(profile)
            driver = _driver(settings, profile, points, self._line)
            readings = await lend(_cached(driver, said))
            score = _score(readings)
            if score >= LEAST:
                found.append((score, len(readings), profile.id))
        found.sort(key=lambda one: (-round(one[0], 2), -one[1], one[2]))
        return tuple(Suggestion(name, round(score, 2)) for score, _, name in found[:MOST])

    def _candidates(self, sighting: Sighting) -> Iterator[Profile]:
        family = PROTOCOLS[sighting.protocol].family
        for name in self._library.names():
            profile = self._library.profile(name)
            if profile is None or getattr(profile, "family", "") != family or profile.speaks_first:
                continue
            if sighting.meter_type and getattr(profile, "meter_type", "") != sighting.meter_type:
                continue
            yield profile


def _driver(
    settings: DeviceSettings, profile: Profile, points: Mapping[str, PointSpec], line: FieldLine
) -> Polled:
    return build_polled(settings, profile, points, line)


def _cached(
    driver: Polled, said: dict[bytes, bytes | DriverError]
) -> Generator[Exchange, Reply, Sequence[Reading]]:
    """A driver's round in which nothing is asked twice, whichever profile wants to know it."""
    poll = driver.poll(now())
    asked = 0
    try:
        exchange = next(poll)
        while True:
            key = _key(exchange.request)
            answer = said.get(key)
            if answer is None:
                asked += 1
                if asked > MOST_EXCHANGES:
                    return []
                try:
                    answer = (yield exchange).frame
                except DriverError as error:
                    if error.reason == "line_down":
                        raise
                    answer = error
                said[key] = answer
            if isinstance(answer, DriverError):
                exchange = poll.throw(answer)
            else:
                exchange = poll.send(Reply(answer, now()))
    except StopIteration as stop:
        readings: Sequence[Reading] = stop.value
        return readings
    finally:
        poll.close()


def _key(request: bytes) -> bytes:
    """The request without a Modbus TCP transaction id, which is another each time."""
    mbap = (
        len(request) >= 8
        and request[2:4] == b"\0\0"
        and int.from_bytes(request[4:6], "big") == len(request) - 6
    )
    return request[2:] if mbap else request


def _score(readings: Sequence[Reading]) -> float:
    if not readings:
        return 0.0
    marks = [
        -1.0 if reading.quality is Quality.BAD else 1.0 if reading.value else _ZERO for reading in readings
    ]
    return sum(marks) / len(marks)
