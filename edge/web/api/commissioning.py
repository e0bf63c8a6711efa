"""An installer's work through the running gateway: it lends its lines and takes them back."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from edge.web.api.context import Context, Here
from edge.web.auth import ENGINEER, Engineer, Principal, caller_of
from edge.web.problems import Problem
from edge.web.services.commissioning import LineTaken, NoSuchLine, ScanStatus, ScanWish
from edge.web.views.base import Page
from edge.web.views.commissioning import PassedView, ReadOnceView, ScanView, SeenView
from edge.web.views.values import ReadingView

router = APIRouter(tags=["commissioning"])

Speed = Annotated[str, Field(pattern=r"^[0-9]{3,6} [78][NEO][12]$")]


class Wish(BaseModel):
    """What a scan is narrowed to; empty means: the usual protocols, addresses and speeds."""

    model_config = ConfigDict(extra="forbid")

    protocols: Annotated[
        list[Literal["modbus-rtu", "modbus-tcp", "dlt645", "cjt188"]], Field(max_length=4)
    ] = []
    addresses: Annotated[list[Annotated[int, Field(ge=1, le=247)]], Field(max_length=247)] = []
    speeds: Annotated[list[Speed], Field(max_length=30)] = []
    patience: Annotated[float, Field(ge=0.5, le=10)] = 1.0


@router.post("/lines/{line}/scan", status_code=201)
async def scan(line: str, wish: Wish, who: Engineer, request: Request, here: Here) -> ScanView:
    """Looks for devices between the regular exchanges of a line."""
    wanted = ScanWish(
        tuple(wish.protocols), tuple(sorted(set(wish.addresses))), tuple(wish.speeds), wish.patience
    )
    try:
        status = here.services.commissioning.scan(line, wanted)
    except NoSuchLine as error:
        raise Problem(404, "unknown_line", str(error)) from error
    except LineTaken as error:
        raise Problem(409, "conflict", str(error)) from error
    except ValueError as error:
        raise Problem(422, "invalid", str(error)) from error
    await _write_down(here, who, request, "line.scan", f"line:{line}")
    return _scan_view(status)


@router.get("/lines/{line}/scan", dependencies=[ENGINEER])
async def scanned(line: str, here: Here) -> ScanView:
    """How far the last scan of a line has come, and what it has found."""
    try:
        status = here.services.commissioning.scanned(line)
    except NoSuchLine as error:
        raise Problem(404, "unknown_line", str(error)) from error
    if status is None:
        raise Problem(404, "not_found", f"{line} was not scanned yet")
    return _scan_view(status)


@router.delete("/lines/{line}/scan", status_code=204, dependencies=[ENGINEER])
async def stop(line: str, here: Here) -> None:
    """Ends a running scan; what it has found stays."""
    try:
        here.services.commissioning.stop(line)
    except NoSuchLine as error:
        raise Problem(404, "unknown_line", str(error)) from error


@router.get("/lines/{line}/traffic", dependencies=[ENGINEER])
async def traffic(
    line: str, here: Here, after: Annotated[int, Query(ge=0, le=2**53)] = 0
) -> Page[PassedView]:
    """The last bytes that passed over a line; `after` is the number of the last one seen."""
    try:
        pieces = here.services.commissioning.traffic(line, after)
    except NoSuchLine as error:
        raise Problem(404, "unknown_line", str(error)) from error
    return Page(items=[PassedView.model_validate(piece) for piece in pieces])


@router.post("/devices/{device}/read")
async def read(device: str, who: Engineer, request: Request, here: Here) -> ReadOnceView:
    """Reads one device now: its values beside the bytes that passed."""
    here.schools.now().device(device)
    try:
        result = await here.services.commissioning.read(device)
    except NoSuchLine as error:
        raise Problem(409, "conflict", str(error)) from error
    await _write_down(here, who, request, "device.read", f"device:{device}")
    return ReadOnceView(
        device=device,
        readings=[ReadingView.model_validate(reading) for reading in result.readings],
        traffic=[PassedView.model_validate(piece) for piece in result.traffic],
        trouble=result.trouble,
    )


async def _write_down(here: Context, who: Principal, request: Request, action: str, target: str) -> None:
    accounts, source = here.services.accounts, caller_of(request).source
    await here.services.database.run(
        lambda c: accounts.audit(c, who.name, source, action, target[:90], "", "", "ok")
    )


def _scan_view(status: ScanStatus) -> ScanView:
    return ScanView(
        line=status.line,
        state=status.state,
        asked=status.asked,
        total=status.total,
        now=status.now,
        seen=[SeenView.model_validate(one) for one in status.seen],
        yaml=status.yaml,
        detail=status.detail,
    )
