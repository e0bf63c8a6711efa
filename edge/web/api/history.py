"""GET /history: the stored series of one point, raw or aggregated."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from drivers.reading import Millis
from drivers.settings import millis, parse_duration
from drivers.vocabulary import PointSpec
from edge.web.api.context import Cursor, Here, Limit, number_cursor
from edge.web.api.instants import Time, instant, invalid
from edge.web.auth import VIEWER
from edge.web.encoding import page, sample_fields
from edge.web.problems import unknown
from edge.web.services.history import Aggregate
from edge.web.views.base import Page
from edge.web.views.values import SampleView

router = APIRouter(tags=["values"], dependencies=[VIEWER])

DAY = 86_400_000
SHORTEST_STEP = 1000


@router.get("/history", responses={200: {"model": Page[SampleView]}}, response_class=Response)
async def history(
    here: Here,
    device: Annotated[str, Query(max_length=64)],
    point: Annotated[str, Query(max_length=64)],
    since: Time = None,
    until: Time = None,
    step: Annotated[str | None, Query(max_length=16, description="a duration such as 15m")] = None,
    agg: Annotated[Aggregate | None, Query(description="mean unless said otherwise")] = None,
    limit: Limit = 5000,
    cursor: Cursor = None,
) -> Response:
    """Samples with since <= at < until, oldest first; the last 24 h unless said otherwise.

    With `step` each item is one bucket that starts at `at`, a multiple of the step since
    the epoch; `sum` adds the samples, it does not integrate over time.
    """
    points = here.schools.now().device(device).points
    if point not in points:
        raise unknown("point", point, list(points))
    end = here.services.clock() if until is None else instant("until", until)
    start = end - DAY if since is None else instant("since", since)
    if start >= end:
        raise invalid("since", "must be before until")
    width = _step(step, agg, points[point])
    if width is not None and agg is None:
        agg = "mean" if points[point].type == "number" else "last"
    first = max(start, number_cursor(cursor))
    samples = await here.services.history.query(device, point, first, end, width, agg, limit + 1)
    following = str(samples[limit].at) if len(samples) > limit else None
    unit = "1" if width is not None and agg == "count" else points[point].unit
    items = (sample_fields(device, point, unit, sample) for sample in samples[:limit])
    return Response(await page(items, following), media_type="application/json")


def _step(step: str | None, agg: Aggregate | None, spec: PointSpec) -> Millis | None:
    """The bucket's width in ms, `None` for raw samples; raises a 422 problem."""
    if step is None:
        if agg is not None:
            raise invalid("agg", "needs a step")
        return None
    try:
        width = millis(parse_duration(step))
    except ValueError as error:
        raise invalid("step", str(error)) from error
    if not SHORTEST_STEP <= width <= 366 * DAY:
        raise invalid("step", "expected 1s to 366d")
    if spec.type != "number" and agg not in (None, "last", "count"):
        raise invalid("agg", f"a {spec.type} has last and count only")
    return width
