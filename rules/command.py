"""A command: one value for one point, with the reason, the person or rule behind it, and its end."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.reading import Millis, Value


@dataclass(frozen=True, slots=True)
class Command:
    """What somebody wants done. `who` is a person, a token's name or `rule:ID`.

    Nothing may be sent once `expires_at` has come: a command that waited for a dead line
    does not surprise anybody an hour later.
    """

    device: str
    point: str
    value: Value
    reason: str
    who: str
    created_at: Millis
    expires_at: Millis
