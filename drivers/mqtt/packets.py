"""PUBLISH packets out of the bytes that a broker sends; pure.

    | type 4 bits = 3 | DUP 1, QoS 2, RETAIN 1 | remaining length 1..4 | topic length 2 | topic |
    | packet id 2, with QoS 1 and 2 only | payload |

Source: MQTT 3.1.1 (OASIS), sections 2.2, 3.3 and 3.4.
"""

from __future__ import annotations

from typing import NamedTuple

PUBACK = 0x40
_PUBLISH = 3
_LONGEST_LENGTH = 4


class Message(NamedTuple):
    """One published message. `topic` is raw: a broker may let through what is no UTF-8.

    `packet_id` is 0 with QoS 0.
    """

    topic: bytes
    payload: bytes
    qos: int
    packet_id: int
    duplicate: bool
    retained: bool


def packet_end(buffer: bytes, at: int) -> int | None:
    """Where the packet that begins at `at` ends, in the buffer or behind it; None while more bytes
    are needed to know. ValueError when its length is none."""
    size = shift = 0
    for place in range(at + 1, at + 1 + _LONGEST_LENGTH):
        if place >= len(buffer):
            return None
        size |= (buffer[place] & 0x7F) << shift
        if buffer[place] < 0x80:
            return place + 1 + size
        shift += 7
    raise ValueError("a remaining length of more than four bytes")


def published(packet: bytes) -> Message | None:
    """A whole packet as a message with QoS 0 or 1; None for any other, and for a malformed one."""
    first = packet[0]
    qos = first >> 1 & 3
    if first >> 4 != _PUBLISH or qos > 1:
        return None
    start = 2
    while packet[start - 1] >= 0x80:
        start += 1
    begin = start + 2
    end = begin + (packet[start] << 8 | packet[start + 1]) if len(packet) >= begin else len(packet) + 1
    behind = end + 2 if qos else end
    if behind > len(packet) or begin == end:
        return None
    packet_id = packet[end] << 8 | packet[end + 1] if qos else 0
    return Message(packet[begin:end], packet[behind:], qos, packet_id, bool(first & 8), bool(first & 1))


def acknowledgement(packet_id: int) -> bytes:
    """The PUBACK of a QoS 1 message."""
    return bytes((PUBACK, 2, packet_id >> 8, packet_id & 0xFF))
