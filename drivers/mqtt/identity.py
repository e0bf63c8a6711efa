"""Whose message it is: what a payload says of its sender, held against what is expected; pure."""

from __future__ import annotations

from drivers.mqtt import codec
from drivers.mqtt.profile import MqttProfile
from drivers.mqtt.settings import MqttDevice


class Identity:
    """The word by which a payload names its device; letters count alike, small and large.

    `wanted` is the only word that is right, and it must be there. Without it the word, where the
    payload has one, must be a level of the topic that the message came on.
    """

    def __init__(self, pointer: str, wanted: str | None) -> None:
        self._pick = codec.compile_pointer(pointer)
        self._wanted = None if wanted is None else wanted.casefold()

    def contradicts(self, topic: str, value: codec.Json) -> bool:
        """Whether a message says that it is another's, or does not say what it must."""
        word = _word(self._pick(value))
        if self._wanted is not None:
            return word != self._wanted
        return word is not None and word not in topic.casefold().split("/")


def identity_of(settings: MqttDevice, profile: MqttProfile) -> Identity | None:
    """How a device's messages are known for its own: its settings go before its profile; None where
    neither says it."""
    if settings.identity is not None:
        return Identity(settings.identity.pointer, settings.identity.value)
    return None if profile.identity is None else Identity(profile.identity, None)


def _word(found: codec.Json | codec.Gap) -> str | None:
    """Text or a whole number as a word; None for anything else, which names nobody."""
    if isinstance(found, bool) or not isinstance(found, str | int):
        return None
    return str(found).strip().casefold() or None
