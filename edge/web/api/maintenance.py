"""Devices that somebody works on: their alarms call nobody until the work is done."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from edge.web.api.context import Context, Here
from edge.web.auth import VIEWER, Engineer, Principal, caller_of
from edge.web.problems import Problem
from edge.web.services.alarms import NotAllowed
from edge.web.views.base import Page
from edge.web.views.maintenance import OutageView

router = APIRouter(tags=["alarms"])


class Work(BaseModel):
    """The work order, and until when the work may last: thirty days at the most."""

    model_config = ConfigDict(extra="forbid")

    order: Annotated[str, Field(min_length=1, max_length=200)]
    until: AwareDatetime


@router.get("/out-of-service", dependencies=[VIEWER])
async def outages(here: Here) -> Page[OutageView]:
    """All devices that are out of service."""
    return Page(items=[OutageView.model_validate(one._asdict()) for one in here.services.alarms.outages()])


@router.post("/devices/{device}/out-of-service")
async def out_of_service(
    device: str, work: Work, who: Engineer, request: Request, here: Here
) -> Page[OutageView]:
    """Takes a device out of service: alarms of it alone are still watched and stored, priority 1 too,
    but call nobody and cause no action."""
    here.schools.now().device(device)
    until = round(work.until.timestamp() * 1000)
    act = here.services.alarms.out_of_service(device, who.name, work.order, until)
    await _act(here, who, caller_of(request).source, "device.out_of_service", device, work.order, act)
    return await outages(here)


@router.post("/devices/{device}/in-service")
async def in_service(device: str, who: Engineer, request: Request, here: Here) -> Page[OutageView]:
    """Takes it back; what is still there is told."""
    here.schools.now().device(device)
    act = here.services.alarms.into_service(device)
    await _act(here, who, caller_of(request).source, "device.in_service", device, "", act)
    return await outages(here)


async def _act(
    here: Context, who: Principal, source: str, action: str, device: str, order: str, act: Awaitable[None]
) -> None:
    """Acts and writes it down; what was refused is written down too."""
    accounts, database = here.services.accounts, here.services.database

    async def write_down(result: str) -> None:
        target = f"device:{device}"
        await database.run(lambda c: accounts.audit(c, who.name, source, action, target, "", order, result))

    try:
        await act
    except NotAllowed as error:
        await write_down("refused")
        raise Problem(409, "conflict", str(error)) from error
    await write_down("ok")
