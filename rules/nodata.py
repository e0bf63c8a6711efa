"""What becomes of a condition when good values stop coming."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from drivers.settings import Duration, Settings


class NoData(Settings):
    """What happens when good values stop coming; for a whole rule, or for one leaf.

    A point silent for `after` (default: three sample intervals, at least 5 min; a day for
    a device that speaks when it likes) is held
    at its last value for `max` more when `then` is `hold`; after that its leaves are
    unknown. If this leaves the whole condition unknown: `hold` keeps the alarm as it is
    and marks it stale, `clear` takes the condition as false, `raise` as true, `ignore`
    keeps it without a mark. For one leaf `clear` and `raise` say what that leaf is then.
    """

    after: Annotated[Duration, Field(gt=timedelta(0))] | None = None
    then: Literal["hold", "clear", "raise", "ignore"] = "hold"
    max: Annotated[Duration, Field(ge=timedelta(0))] = timedelta(minutes=30)
