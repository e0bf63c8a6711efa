"""What can go wrong in the field: one class for each reaction of the caller."""

from __future__ import annotations


class DriverError(Exception):
    """The root of all field errors; `reason` is the word that a bad reading carries."""

    reason = "error"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        if reason is not None:
            self.reason = reason


class LineDown(DriverError):
    """The port or connection is gone; reopen it."""

    reason = "line_down"


class LineBusy(DriverError):
    """Too many wait for this line; nothing was sent, ask again later."""

    reason = "line_busy"


class NoReply(DriverError):
    """Nothing usable came in time; try again next round."""

    reason = "timeout"


class BadFrame(DriverError):
    """Bytes came but no valid frame of ours; `frame` keeps them for the installer."""

    reason = "crc"

    def __init__(self, message: str, *, frame: bytes, reason: str | None = None) -> None:
        super().__init__(message, reason=reason)
        self.frame = frame


class Refused(DriverError):
    """The device answered and said no; `code` is its own error code."""

    reason = "exception"

    def __init__(self, message: str, *, code: int, reason: str | None = None) -> None:
        super().__init__(message, reason=reason or f"exception:{code}")
        self.code = code


class BadPayload(DriverError):
    """A message is not what its mapping promises; it is counted and dropped."""

    reason = "payload"


class NotWritable(DriverError):
    """The profile, its limits or the type forbid this value; nothing was sent."""

    reason = "not_writable"


class NotTaken(DriverError):
    """The device accepted a write, but reads back something else; `found` is what it holds."""

    reason = "readback"

    def __init__(self, message: str, *, found: object = None) -> None:
        super().__init__(message)
        self.found = found
