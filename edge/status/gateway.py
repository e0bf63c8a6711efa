"""How lines, devices, destinations and the gateway itself fare, in one hand for whoever asks."""

from __future__ import annotations

from collections.abc import Sequence

from edge.status.field import FieldStatus
from edge.status.health import Health
from edge.status.metrics import Metrics
from edge.status.parts import Parts
from edge.status.sync import destinations
from edge.web.services.sync import SyncStatus


class Status:
    """What answers for the field, for the destinations, and for the gateway as a whole."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.field = FieldStatus(parts.arbiters, parts.brokers, parts.device_clocks)
        self.health = Health(parts, self.field)
        self.metrics = Metrics(parts, self.field)

    async def sync(self) -> Sequence[SyncStatus]:
        """Every destination."""
        return await destinations(self.parts.north)
