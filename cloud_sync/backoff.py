"""How long to wait before the next try; pure, with the randomness handed in."""

from __future__ import annotations

from random import Random

from cloud_sync.errors import Blocked, NoConnection, Throttled, UploadError
from cloud_sync.settings import Destination
from drivers.reading import Millis
from drivers.settings import millis

_LONGEST_WISH: Millis = 15 * 60_000
_FIRST_BLOCKED: Millis = 10_000
_DOUBLINGS = 20


class Backoff:
    """Exponential with jitter between `retry_min` and `retry_max`.

    While not even a connection comes, tries are no load to the server: they are at most `retry_away`
    apart, so that a link that returns is used soon, and schools still do not come in step.
    A Retry-After is honoured up to 15 minutes, plus up to a tenth so that schools do not
    return in step. A blocked destination is tried after 10 s, then ever more slowly up to
    `blocked_retry`: a proxy that restarts answers 404 for a moment.
    """

    def __init__(self, destination: Destination, random: Random) -> None:
        self._least = millis(destination.retry_min)
        self._most = millis(destination.retry_max)
        self._away = millis(destination.retry_away)
        self._blocked = millis(destination.blocked_retry)
        self._random = random
        self._failures = 0
        self._overload = 0

    @property
    def failures(self) -> int:
        """How many in a row."""
        return self._failures

    def failed(self, error: UploadError) -> Millis:
        """Counts one more failure in a row and gives the wait behind it."""
        doublings = min(self._failures, _DOUBLINGS)
        self._failures += 1
        if isinstance(error, Blocked):
            return min(self._blocked, _FIRST_BLOCKED << doublings)
        most = min(self._most, self._away) if isinstance(error, NoConnection) else self._most
        ceiling = max(self._least, min(most, self._least << doublings))
        wait = self._random.uniform(self._least, ceiling)
        if isinstance(error, Throttled):
            self._overload = min(self._overload + 1, _DOUBLINGS)
            if error.retry_after is not None:
                wish = min(error.retry_after, _LONGEST_WISH)
                wait = max(wait, wish * self._random.uniform(1.0, 1.1))
        return round(wait)

    def succeeded(self) -> Millis:
        """Forgets the failures, and gives the wait before the next write: a server that asked for
        patience gets it back step by step, or all schools would press on together again."""
        self._failures = 0
        if not self._overload:
            return 0
        self._overload -= 1
        return round(self._random.uniform(0, min(self._most, self._least << self._overload) - self._least))

    def spread(self, most: Millis) -> Millis:
        """A pause drawn from up to `most`."""
        return round(self._random.uniform(0, most))

    def reset(self) -> None:
        """Forgets everything: a person changed something."""
        self._failures = self._overload = 0
