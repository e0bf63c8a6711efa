"""aiomqtt's client with the bulk of its work, messages that come in, done in one go.

The session, its subscriptions, keep-alive, TLS and what we publish are aiomqtt's and paho's. By
themselves they read each message with four system calls, acknowledge it with two more and let
the event loop turn in between: 10 messages that came together cost them 1.5 ms, here 0.1 ms.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from aiomqtt import Client
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.client import MQTTMessage
from paho.mqtt.enums import MQTTErrorCode

from drivers.mqtt.packets import PUBACK, Message, acknowledgement, packet_end, published

CHUNK = 65_536
LONG = 262_144
"""A packet of more bytes is not gathered here: paho does that in linear time."""
LONGEST = 1_048_576 + 65_535 + 16
"""A message of more bytes has a payload that no line takes: its begin is given, the rest let by. A
broker takes 256 MB from a device, and paho would keep them twice."""


class Connection(Client):
    """Gives each message to `receive` at once, and acknowledges it when that has returned.

    aiomqtt's own queue drops the duplicate flag and acknowledges what nobody has taken yet;
    it stays empty.
    """

    def __init__(self, receive: Callable[[Message], None], **options: Any) -> None:
        super().__init__(**options)
        self._receive = receive
        self._buffer = b""
        self._fed = b""
        self._at_end = False
        self._passing = 0  # bytes of a long packet that are still to come
        self._let_by: Message | None = None  # the message whose rest they are, and nobody's
        self._gathers = False
        # aiomqtt calls paho's `loop_read` when the socket is readable, and minds what it raises
        self._client.loop_read = self._read  # type: ignore[method-assign]
        self._client._sock_recv = self._feed  # type: ignore[method-assign, assignment]
        # lost while nobody waits for it (subscribing, closing): not worth a complaint by asyncio
        self._disconnected.add_done_callback(lambda ended: ended.cancelled() or ended.exception())

    def _read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Takes what the socket has: messages go their short way, all other packets to paho."""
        client = self._client
        if client._sock is None:
            return MQTTErrorCode.MQTT_ERR_NO_CONN
        try:
            chunk = PahoClient._sock_recv(client, CHUNK)
        except BlockingIOError:
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        except OSError:
            chunk = b""
        if not chunk:
            return self._give_to_paho(b"")
        client._last_bytes_received = time.monotonic()
        self._gathers = True
        try:
            return self._take(self._buffer + chunk if self._buffer else chunk)
        finally:
            self._gathers = False
            if client.want_write():
                self._write()

    def _take(self, buffer: bytes) -> MQTTErrorCode:
        """All whole packets of the buffer; the rest waits for more."""
        at = 0
        acknowledgements: list[bytes] = []
        try:
            if self._passing:
                at = self._pass(buffer, acknowledgements)
            while (end := packet_end(buffer, at)) is not None:
                missing = end - len(buffer)
                if missing > 0 and not LONG <= end - at <= LONGEST and len(buffer) - at < LONGEST:
                    break
                packet = buffer[at:end]
                at += len(packet)
                self._passing = max(0, missing)
                message = None if self._passing and len(packet) < LONGEST else published(packet)
                if message is None:
                    code = self._give_to_paho(packet)
                    if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
                        return code
                    continue
                self._receive(message)
                if self._passing:
                    self._let_by = message
                elif message.qos:
                    acknowledgements.append(acknowledgement(message.packet_id))
        except ValueError:  # the broker speaks no MQTT: paho says so in its own way
            return self._give_to_paho(buffer[at:])
        finally:
            self._buffer = buffer[at:]
            if acknowledgements:
                self._client._packet_queue(PUBACK, b"".join(acknowledgements), 0, 1)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _pass(self, buffer: bytes, acknowledgements: list[bytes]) -> int:
        """Goes on with a long packet, up to its end or the buffer's; where that is."""
        at = min(self._passing, len(buffer))
        self._passing -= at
        if self._let_by is None:
            self._give_to_paho(buffer[:at])
        elif not self._passing:
            if self._let_by.qos:
                acknowledgements.append(acknowledgement(self._let_by.packet_id))
            self._let_by = None
        return at

    def _give_to_paho(self, packet: bytes) -> MQTTErrorCode:
        """Lets paho read one packet, or the end of the stream."""
        self._fed = packet
        self._at_end = not packet
        return PahoClient.loop_read(self._client)

    def _feed(self, size: int) -> bytes:
        """What paho gets when it reads from its socket."""
        if not self._fed:
            if self._at_end:
                return b""
            raise BlockingIOError
        data, self._fed = self._fed[:size], self._fed[size:]
        return data

    def _on_message(self, client: PahoClient, userdata: Any, message: MQTTMessage) -> None:
        """What paho has read, and acknowledges: long messages, and what is no QoS 0 or 1."""
        self._receive(
            Message(
                message._topic, bytes(message.payload), message.qos, message.mid, message.dup, message.retain
            )
        )

    def _on_socket_register_write(self, client: PahoClient, userdata: Any, sock: Any) -> None:
        if not self._gathers:  # else it is written at the end of the reading
            super()._on_socket_register_write(client, userdata, sock)

    def _write(self) -> None:
        """Sends what was gathered at once; what the socket does not take goes when it is writable."""
        client = self._client
        client.loop_write()
        if client.want_write() and client._sock is not None:
            super()._on_socket_register_write(client, None, client._sock)
