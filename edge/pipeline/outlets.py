"""Ways out to the field for commands: over a polled line, or through a broker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from drivers.contract import Writable, Write
from drivers.errors import NotWritable
from drivers.line.arbiter import Arbiter
from drivers.line.counters import DeviceState
from drivers.reading import Value

if TYPE_CHECKING:
    from drivers.mqtt.broker import MqttBroker

Begin = Callable[[], None]
"""Called once, at the last moment before anything is sent; it may still raise."""


class Outlet(Protocol):
    """One device that may take values."""

    @property
    def online(self) -> bool:
        """False while its line is down or the device is silent."""
        ...

    async def write(self, point: str, value: Value, begin: Begin) -> Value | None:
        """Sends one value once; what the device read back. Raises DriverError."""
        ...


class LineOutlet:
    """A device on a polled line, which lends its wire between two exchanges."""

    def __init__(self, arbiter: Arbiter, device: str) -> None:
        self._arbiter = arbiter
        self._attached = arbiter.devices[device]

    @property
    def online(self) -> bool:
        """See `Outlet`."""
        silent = self._attached.counters.state is DeviceState.SILENT
        return self._arbiter.counters.connected_since is not None and not silent

    async def write(self, point: str, value: Value, begin: Begin) -> Value | None:
        """See `Outlet`."""
        driver = self._attached.driver
        if not isinstance(driver, Writable):
            raise NotWritable(f"{self._attached.id}: its protocol has no writes")
        work = driver.write(point, value)
        return await self._arbiter.lend(_begun(work, begin), device=self._attached.id)


class BrokerOutlet:
    """A device behind an MQTT broker."""

    def __init__(self, broker: MqttBroker, device: str) -> None:
        self._broker = broker
        self._device = device

    @property
    def online(self) -> bool:
        """See `Outlet`."""
        silent = self._broker.devices[self._device].state is DeviceState.SILENT
        return self._broker.counters.connected_since is not None and not silent

    async def write(self, point: str, value: Value, begin: Begin) -> Value | None:
        """See `Outlet`."""
        begin()
        return await self._broker.write(self._device, point, value)


def outlets(arbiters: Iterable[Arbiter], brokers: Iterable[MqttBroker]) -> Mapping[str, Outlet]:
    """The way out to every device."""
    found: dict[str, Outlet] = {}
    for arbiter in arbiters:
        found |= {device: LineOutlet(arbiter, device) for device in arbiter.devices}
    for broker in brokers:
        found |= {device: BrokerOutlet(broker, device) for device in broker.devices}
    return found


def _begun(work: Write, begin: Begin) -> Write:
    begin()
    return (yield from work)
