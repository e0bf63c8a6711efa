"""What can be made to go wrong with a simulated device's replies; for scenarios and tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Fault:
    """How the replies of one device are spoilt. `replies` counts down; `None` lasts for ever.

    `before` and `after` are noise around the frame, `keep` cuts the frame after that many
    bytes, `late_s` adds to the turn-round time, `echo` sends the request back first.
    """

    dead: bool = False
    before: bytes = b""
    after: bytes = b""
    wrong_checksum: bool = False
    keep: int | None = None
    late_s: float = 0.0
    echo: bool = False
    replies: int | None = None

    @property
    def harms(self) -> bool:
        """True when the master cannot take a good frame from the reply, in time or at all."""
        return self.dead or self.wrong_checksum or self.keep is not None or self.late_s > 0.0

    def spoil(self, request: bytes, reply: bytes) -> bytes:
        """What goes on the wire instead of `reply`; empty when nothing does."""
        if self.dead:
            return b""
        frame = bytearray(reply)
        if self.wrong_checksum:
            frame[-2] ^= 0x5A  # Modbus: a CRC byte; DL/T 645: the checksum before 16h
        if self.keep is not None:
            del frame[self.keep :]
        return (request if self.echo else b"") + self.before + bytes(frame) + self.after

    def spend(self) -> bool:
        """Counts one reply; False when the fault is over."""
        if self.replies is None:
            return True
        if self.replies <= 0:
            return False
        self.replies -= 1
        return True
