"""GET /readings: the latest value of each point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fastapi import APIRouter, Response

from drivers.reading import Reading
from edge.web.api.context import LONGEST_LIST, Cursor, Here, Limit, Name, number_cursor
from edge.web.auth import VIEWER
from edge.web.encoding import aged, page, reading_fields
from edge.web.problems import unknown
from edge.web.school import School
from edge.web.views.base import Page
from edge.web.views.values import ReadingView

router = APIRouter(tags=["values"], dependencies=[VIEWER])


@router.get("/readings", responses={200: {"model": Page[ReadingView]}}, response_class=Response)
async def readings(
    here: Here,
    device: Name = None,
    space: Name = None,
    point: Name = None,
    kind: Name = None,
    limit: Limit = LONGEST_LIST,
    cursor: Cursor = None,
) -> Response:
    """The latest reading of each point that all given filters let pass; a space stands for
    all inside it."""
    school = here.schools.now()
    devices = _devices(school, device, space, kind)
    if point is not None:
        _check_point(school, point)
    start, now = number_cursor(cursor), here.services.clock()
    found = list(_matching(here.services.latest(), devices, point))
    some = reading_fields(aged(r, school.stale_after, now) for r in found[start : start + limit])
    following = str(start + limit) if start + limit < len(found) else None
    return Response(await page(some, following), media_type="application/json")


def _devices(school: School, device: str | None, space: str | None, kind: str | None) -> frozenset[str]:
    """The devices that pass the filters; raises a 404 problem for a name that does not exist."""
    models = school.configuration.devices
    names = set(models)
    if device is not None:
        school.device(device)
        names &= {device}
    if space is not None:
        inside = school.below(space)
        names = {name for name in names if models[name].settings.space in inside}
    if kind is not None:
        kinds = school.configuration.vocabulary.device_kinds
        if kind not in kinds:
            raise unknown("kind", kind, list(kinds))
        names = {name for name in names if models[name].kind == kind}
    return frozenset(names)


def _check_point(school: School, point: str) -> None:
    known = {name for model in school.configuration.devices.values() for name in model.points}
    if point not in known:
        raise unknown("point", point, sorted(known))


def _matching(latest: Iterable[Reading], devices: frozenset[str], point: str | None) -> Iterator[Reading]:
    for reading in latest:
        if reading.device in devices and (point is None or reading.point == point):
            yield reading
