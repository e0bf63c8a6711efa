"""What was stored last before a start: a broker repeats what it did not know to be taken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from drivers.reading import Reading, Value

_Said = dict[str, Value | None]


class Recalled:
    """The newest stored moments of devices, the oldest first, until each says something new.

    A gateway that is killed may have stored messages whose acknowledgements never reached the broker.
    These come again in their order, flagged as repeats, before anything new.
    """

    def __init__(self, readings: Iterable[Reading]) -> None:
        moments: dict[str, dict[int, _Said]] = {}
        for reading in readings:
            said = moments.setdefault(reading.device, {}).setdefault(reading.at, {})
            said[reading.point] = reading.value
        self._moments = {device: list(said.values()) for device, said in moments.items()}

    def __bool__(self) -> bool:
        return bool(self._moments)

    def holds(self, readings: Sequence[Reading], repeat: bool) -> bool:
        """Whether a device's message is stored; with the newest equal one, those before it are done with.

        A switch counts as new though it is stored: nobody may have acted upon it yet, and it says
        what it says only once.
        """
        device = readings[0].device
        if not repeat:
            self._moments.pop(device, None)
            return False
        moments = self._moments.get(device, [])
        said: _Said = {reading.point: reading.value for reading in readings}
        for place in reversed(range(len(moments))):
            if moments[place] == said:
                del moments[: place + 1]
                return not any(isinstance(value, bool) for value in said.values())
        return False
