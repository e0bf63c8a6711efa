"""Sends the writes of one batch and learns from the answers what server and link take.

One request is in flight. What was sent with an unknown outcome is sent again, byte for byte.
"""

from __future__ import annotations

from cloud_sync.batch import Batch, SeriesKey
from cloud_sync.errors import Failed, Rejected, TooLarge, Unreachable
from cloud_sync.outbox import Taken
from cloud_sync.writer import LineOf, Writer

_STRIKES = 5  # failures of one batch in a row before the batch itself is doubted
_TIMEOUTS = 3  # the same for a batch that may be too long for a slow link
_LEAST_BYTES = 16_000  # below this no batch is cut for its size
_MOST_SUSPECTS = 1_000


class Sender:
    """One connection's memory: how large a write may be, and which series are suspect."""

    def __init__(self, client: Writer, max_bytes: int, line_of: LineOf) -> None:
        self._client = client
        self._line_of = line_of
        self._max_bytes = max_bytes
        self._ceiling = max_bytes  # what the server takes
        self._pace = max_bytes  # what the link carries in time
        self._suspects: set[SeriesKey] = set()
        self._canary = b""  # one line that was accepted

    def forget(self) -> None:
        """What was learnt may be wrong by now."""
        self._ceiling = self._pace = self._max_bytes
        self._suspects.clear()

    def batch(self, taken: Taken) -> Batch:
        """What was taken, cut into writes."""
        return Batch(
            taken.entries,
            taken.cursor,
            behind=taken.behind,
            more=taken.more,
            max_bytes=min(self._ceiling, self._pace),
            suspects=self._suspects,
            line_of=self._line_of,
        )

    async def send(self, batch: Batch) -> bool:
        """Makes the batch's next write, and whether it was accepted; a refusal is the batch's to sort
        out. Raises UploadError when the destination did not confirm."""
        body = batch.body()
        try:
            await self._client.write(body)
        except Rejected as error:
            batch.refused(error.status, error.reason)
        except TooLarge as error:
            self._too_large(batch, len(body), error)
        except Failed as error:
            if not await self._to_blame(batch):
                raise
            batch.doubted = True
            batch.refused(error.status, error.reason)
        except Unreachable as error:
            if error.timed_out:
                self._too_slow(batch, len(body))
            raise
        else:
            self._canary = batch.head[-1].text
            batch.accepted()
            if self._pace <= 2 * len(body):
                self._pace = min(self._max_bytes, 2 * self._pace)
            return True
        return False

    def suspect(self, batch: Batch) -> None:
        """The series of which lines were refused go last and by themselves from now on."""
        if len(self._suspects) < _MOST_SUSPECTS:
            self._suspects.update(batch.refused_series)

    def _too_large(self, batch: Batch, size: int, error: TooLarge) -> None:
        if len(batch.head) == 1:
            batch.refused(error.status, error.reason)
            return
        self._ceiling = max(_LEAST_BYTES, min(self._ceiling, size // 2))
        batch.shrink(self._ceiling)

    def _too_slow(self, batch: Batch, size: int) -> None:
        batch.timeouts += 1
        if batch.timeouts >= _TIMEOUTS and size > _LEAST_BYTES:
            self._pace = max(_LEAST_BYTES, size // 2)
            batch.shrink(self._pace)

    async def _to_blame(self, batch: Batch) -> bool:
        """Whether the head, and not the server, is why this write fails again and again:
        one line that was accepted before is still accepted."""
        batch.strikes += 1
        enough = 1 if batch.doubted and len(batch.head) > 1 else _STRIKES
        if batch.strikes < enough:
            return False
        canary = self._canary or (batch.head[-1].text if len(batch.head) > 1 else b"")
        if not canary:
            return False
        try:
            await self._client.write(canary)
        except (Rejected, TooLarge):
            return False
        self._canary = canary
        return True
