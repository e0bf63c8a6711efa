"""One broker connection: subscribes for all its devices and publishes what they say.

A message is acknowledged when its readings have been published on the bus, so that what
the gateway had not taken yet comes again after a lost connection; what it had taken and
comes again all the same is dropped by its message id, after a start by what is stored. There
is no queue in between: a slow gateway slows the broker's socket.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from aiomqtt import Client, MqttError

from drivers.errors import BadPayload, LineDown, NoReply, NotTaken, NotWritable
from drivers.line.counters import DeviceCounters, LineCounters
from drivers.mqtt import codec
from drivers.mqtt.connection import Connection
from drivers.mqtt.device import DeviceSlot, MqttDeviceReader, Release
from drivers.mqtt.packets import Message
from drivers.mqtt.recalled import Recalled
from drivers.mqtt.routing import Routes, is_name
from drivers.mqtt.settings import MAX_TOPIC_BYTES, MqttLine
from drivers.mqtt.writing import order
from drivers.reading import Millis, Origin, Reading, Value
from drivers.settings import millis

_LOG = logging.getLogger(__name__)

KEEPALIVE_S = 30
REMEMBERED_IDS = 256
"""Message ids kept to know a repeat; brokers keep some 20 unacknowledged at a time."""

_DENIED = 0x80  # MQTT 3.1.1, section 3.9.3
_BATCH = 100  # subscriptions in one packet

Publish = Callable[[Sequence[Reading]], None]


class _Route(NamedTuple):
    device: MqttDeviceReader
    suffix: str | None


class _Watch:
    """Somebody waits for a device to report a value; `last` is what it reported instead."""

    def __init__(self, device: str, point: str, wanted: Value) -> None:
        self.key = (device, point)
        self.wanted = wanted
        self.last: Value | None = None
        self.seen: asyncio.Future[Value] = asyncio.get_running_loop().create_future()

    def look(self, readings: Sequence[Reading]) -> None:
        """A message's readings; what a broker kept from before proves nothing."""
        for reading in readings:
            if (reading.device, reading.point) != self.key or reading.origin is not Origin.LIVE:
                continue
            self.last = reading.value
            if reading.value == self.wanted and not self.seen.done():
                self.seen.set_result(self.wanted)


class MqttBroker:
    """All devices behind one broker; see `drivers.contract.Listening`.

    `identity` (the site's id) keeps the client ids of two schools on one broker apart.
    """

    def __init__(
        self,
        line: MqttLine,
        slots: Sequence[DeviceSlot],
        password: str | None,
        clock: Callable[[], Millis],
        *,
        identity: str = "gateway",
    ) -> None:
        self.line = line
        self.counters = LineCounters()
        self.devices: Mapping[str, DeviceCounters] = {slot.settings.id: slot.counters for slot in slots}
        self._password = password
        self._clock = clock
        self._client_id = line.client_id or f"campus-edge-{identity}-{line.id}"
        self._routes: Routes[_Route] = Routes()
        self._taken: OrderedDict[int, int] = OrderedDict()
        self._recalled = Recalled(())
        self._pending: dict[tuple[str, str], tuple[asyncio.TimerHandle, Callable[[], None]]] = {}
        self._publish: Publish = _nowhere
        self._slots = {slot.settings.id: slot for slot in slots}
        self._client: Client | None = None
        self._watches: list[_Watch] = []
        for slot in slots:
            reader = MqttDeviceReader(slot)
            for topic_filter, suffix in reader.topics().items():
                self._routes.add(topic_filter, _Route(reader, suffix))

    def recall(self, stored: Iterable[Reading]) -> None:
        """What the last run stored at its end, each device's in the order of storing; before `listen`."""
        self._recalled = Recalled(reading for reading in stored if reading.device in self.devices)

    async def listen(self, publish: Publish) -> None:
        """Publishes until cancelled; LineDown when the broker is not there or gone."""
        self._publish = publish
        tls = await asyncio.to_thread(self._tls_context) if self.line.tls else None
        host, port = self.line.address
        client = Connection(
            self._receive,
            hostname=host,
            port=port,
            username=self.line.username,
            password=self._password,
            identifier=self._client_id,
            clean_session=False,
            keepalive=KEEPALIVE_S,
            timeout=millis(self.line.timeout) / 1000,
            tls_context=tls,
        )
        try:
            async with client:
                await self._subscribe(client)
                self._client = client
                self.counters.opened += 1
                self.counters.connected_since = self._clock()
                self.counters.last_error = ""
                _LOG.info("%s connected to %s:%d", self.line.id, host, port)
                async for _ in client.messages:
                    pass  # nothing is ever queued: this waits for the end of the connection
        except MqttError as error:
            self.counters.last_error = str(error)
            cause = error.__cause__
            if cause is not None and not isinstance(cause, MqttError | OSError):
                raise cause from None  # a fault of ours while receiving, not of the line
            raise LineDown(f"{self.line.id}: {error}") from error
        finally:
            self.counters.connected_since = None
            self._client = None
            self._release_all()

    async def write(self, device: str, point: str, value: Value) -> Value | None:
        """Publishes what sets a point; what the device reported then, `None` where it is not asked.

        Raises NotWritable and LineDown before anything is sent, NoReply when the broker or
        the device leaves it open whether it was taken, NotTaken when it reports another value.
        """
        slot = self._slots[device]
        mapping = slot.profile.points.get(point)
        if mapping is None:
            raise NotWritable(f"{device} has no point {point}")
        wanted = order(slot.settings.topic, point, mapping, value, slot.points[point])
        client = self._client
        if client is None:
            raise LineDown(f"{self.line.id}: not connected: {self.counters.last_error}")
        watch = _Watch(device, point, wanted.value)
        self._watches.append(watch)
        try:
            await _publish(client, wanted.topic, wanted.payload)
            if mapping.write is None or not mapping.write.readback:
                return None
            async with asyncio.timeout(mapping.write.wait.total_seconds()):
                return await watch.seen
        except MqttError as error:
            raise NoReply(f"{device}: the broker did not acknowledge {wanted.topic}: {error}") from error
        except TimeoutError as error:
            if watch.last is None:
                raise NoReply(f"{device}: no report of {point} after the write") from error
            message = f"{device}: {point} reports {watch.last} after {wanted.value} was written"
            raise NotTaken(message, found=watch.last) from error
        finally:
            watch.seen.cancel()
            self._watches.remove(watch)

    def _tls_context(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self.line.ca)
        except OSError as error:
            raise LineDown(f"{self.line.id}: certificate authority {self.line.ca}: {error}") from error

    async def _subscribe(self, client: Client) -> None:
        filters = self._routes.filters()
        for at in range(0, len(filters), _BATCH):
            part = filters[at : at + _BATCH]
            granted = await client.subscribe([(topic, 1) for topic in part])
            codes = [code if isinstance(code, int) else code.value for code in granted]
            for topic, code in zip(part, codes, strict=True):
                if code >= _DENIED:
                    self._denied(topic)

    def _denied(self, topic: str) -> None:
        self.counters.faults["subscription_denied"] += 1
        _LOG.error("%s: the broker denies the topic %s: mend its access list", self.line.id, topic)
        for route in self._routes.behind(topic):
            route.device.counters.errors["subscription_denied"] += 1
            route.device.counters.failed("exception:128")

    def _receive(self, message: Message) -> None:
        """One message, in the event loop; what is wrong with it is counted, never raised."""
        self.counters.exchanges += 1
        try:
            topic = message.topic.decode()
        except UnicodeDecodeError:
            topic = ""
        if not topic or len(message.topic) > MAX_TOPIC_BYTES:  # a + would take it, to be remembered
            self.counters.faults["bad_topic"] += 1
            return
        if message.duplicate and self._is_repeat(message):
            self.counters.faults["duplicate"] += 1
            return
        routes = self._routes.find(topic)
        if not routes:
            self.counters.faults["unknown_topic" if is_name(topic) else "bad_topic"] += 1
        else:
            self._deliver(routes, message)
        if message.qos:
            self._taken[message.packet_id] = hash((message.topic, message.payload))
            self._taken.move_to_end(message.packet_id)
            if len(self._taken) > REMEMBERED_IDS:
                self._taken.popitem(last=False)

    def _is_repeat(self, message: Message) -> bool:
        """A repeat of what was published already: its acknowledgement was lost with the connection."""
        return self._taken.get(message.packet_id) == hash((message.topic, message.payload))

    def _deliver(self, routes: Sequence[_Route], message: Message) -> None:
        try:
            value = codec.parse(message.payload, self.line.max_payload)
        except BadPayload as error:
            self.counters.faults[error.reason] += 1
            for route in routes:
                route.device.refused(error.reason)
            return
        for device, suffix in routes:
            if device.identity is not None and suffix is not None:
                topic = message.topic.decode()
                if device.identity.contradicts(topic, value):
                    self._refuse(device, topic)
                    continue
            heard = device.hear(suffix, value, message.retained, self._clock())
            if heard.readings:
                if self._recalled and self._recalled.holds(heard.readings, message.duplicate):
                    self.counters.faults["duplicate"] += 1
                    continue
                self._publish(heard.readings)
                for watch in self._watches:
                    watch.look(heard.readings)
            for release in heard.releases:
                self._release_later(device, release)

    def _refuse(self, device: MqttDeviceReader, topic: str) -> None:
        """A message that is not of the device on whose topic it came: no failure of that device."""
        self.counters.faults["identity"] += 1
        device.counters.errors["identity"] += 1
        if device.counters.errors["identity"] == 1:
            words = "%s: a message on %r is not of %s by what it says: such are refused and counted"
            _LOG.warning(words, self.line.id, topic, device.id)

    def _release_later(self, device: MqttDeviceReader, release: Release) -> None:
        """Ends an event after its while, counted anew when it happens again before."""
        key = (device.id, release.point)
        if (pending := self._pending.pop(key, None)) is not None:
            pending[0].cancel()

        def release_now() -> None:
            del self._pending[key]
            self._publish([device.release(release, self._clock())])

        timer = asyncio.get_running_loop().call_later(release.after_ms / 1000, release_now)
        self._pending[key] = (timer, release_now)

    def _release_all(self) -> None:
        for timer, release_now in list(self._pending.values()):
            timer.cancel()
            release_now()


def _nowhere(_: Sequence[Reading]) -> None:
    """Where readings go before anyone listens."""


async def _publish(client: Client, topic: str, payload: str) -> None:
    """Returns when the broker has acknowledged; MqttError when it does not in time.

    aiomqtt waits with `asyncio.wait_for`, which before Python 3.12 loses a cancellation
    that comes together with the acknowledgement: it is asked for and heeded here.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    await client.publish(topic, payload, qos=1)
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
