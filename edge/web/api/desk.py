"""The desk: pages that say whether they can be heard, and the sirens' silence."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from edge.web.api.context import Here
from edge.web.auth import VIEWER, Operator, caller_of
from edge.web.views.base import Page
from edge.web.views.desk import DeskView, SilencedView, SirenView

router = APIRouter(tags=["desk"])


class Ping(BaseModel):
    """An alarm page's word, every ten seconds: whether its sound is on and the browser lets it."""

    model_config = ConfigDict(extra="forbid")

    audio_ok: bool
    page: Literal["wall", "alarms"]


class Hush(BaseModel):
    """Why the sirens are silenced."""

    model_config = ConfigDict(extra="forbid")

    note: Annotated[str, Field(max_length=1000)] = ""


@router.post("/desk")
async def desk(ping: Ping, who: Operator, here: Here) -> DeskView:
    """Counts as an audible desk while `audio_ok`; only people who may acknowledge are a desk."""
    here.services.desk.heard(ping.audio_ok)
    sounding = any(one.sounding for one in here.services.sirens.states())
    return DeskView(mute=here.services.desk.mute(), sounding=sounding)


@router.get("/siren", dependencies=[VIEWER])
async def sirens(here: Here) -> Page[SirenView]:
    """Each siren: whether it is to sound now, and why it could not be relied on."""
    return Page(items=[SirenView.model_validate(one) for one in here.services.sirens.states()])


@router.post("/siren/silence")
async def silence(hush: Hush, who: Operator, request: Request, here: Here) -> SilencedView:
    """Mutes the sirens until another alarm comes. The alarms stay, and still want to be acknowledged."""
    count = await here.services.sirens.silence()
    accounts, source = here.services.accounts, caller_of(request).source
    await here.services.database.run(
        lambda c: accounts.audit(c, who.name, source, "siren.silence", "sirens", "", hush.note, f"{count}")
    )
    return SilencedView(alarms=count)
