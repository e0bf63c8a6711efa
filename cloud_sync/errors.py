"""How a write can fail: one class for each reaction of the uploader."""

from __future__ import annotations

from drivers.reading import Millis


class UploadError(Exception):
    """A write that was not confirmed; nothing may be counted as delivered.

    `status` is the HTTP status, 0 when there was no answer. `reason` is for people and
    never holds the token.
    """

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(f"{status}: {reason}" if status else reason)
        self.reason = reason
        self.status = status


class Unreachable(UploadError):
    """No answer, or an answer that is not the district's: the outcome is unknown.
    The identical bytes are sent again later."""

    def __init__(self, reason: str, status: int = 0, *, timed_out: bool = False) -> None:
        super().__init__(reason, status)
        self.timed_out = timed_out


class NoConnection(Unreachable):
    """Not even a connection came: the link is down or nobody listens. Trying costs the server nothing."""


class Failed(UploadError):
    """The server failed (500, 502, 504, an unexplained 400): its own trouble, or a line
    that it cannot digest. Sent again; after several times the batch itself is doubted."""


class Throttled(UploadError):
    """The server asks to wait (429, 503); `retry_after` is its wish, if it named one."""

    def __init__(self, reason: str, status: int, retry_after: Millis | None) -> None:
        super().__init__(reason, status)
        self.retry_after = retry_after


class Blocked(UploadError):
    """Token, permission, organisation or bucket are wrong (401, 403, 404): everything is
    held, and a person must act."""


class Rejected(UploadError):
    """At least one line of this write is refused for good (400, 422, partial write)."""


class TooLarge(UploadError):
    """The write is larger than the server, or a proxy before it, takes (413)."""


class NotALine(ValueError):
    """An entry that line protocol cannot carry, and why."""
