"""What the composition root builds so that rules act: who may, what an earlier run left, who sends."""

from __future__ import annotations

import logging
import sqlite3

from drivers.settings import millis
from edge import clock
from edge.assembly import WayBack
from edge.config.configuration import Configuration, site_info
from edge.pipeline.actuator import Actuator
from edge.pipeline.armoury import Armoury
from edge.pipeline.effects import Newest
from edge.store import actions
from edge.store.accounts import Accounts
from edge.store.database import Database
from rules.arbitration import Standing
from rules.engine import Engine

_LOG = logging.getLogger(__name__)


async def acting_of(
    configuration: Configuration, core: Database, accounts: Accounts, now: clock.Clock = clock.now
) -> tuple[Armoury, Standing]:
    """Who may act, and what the engine's arbiter goes on with."""
    left, settings = await actions.remembered(core), configuration.settings.actions
    armoury = Armoury(
        configuration.rules, left.arming, core, accounts, now,
        shadow_ms=millis(settings.shadow), two_persons=settings.two_persons,
    )  # fmt: skip
    standing = Standing(
        left.plans, left.levers, armoury.armed, millis(settings.override), millis(settings.proposal)
    )
    return armoury, standing


async def actuator_of(
    configuration: Configuration,
    engine: Engine,
    core: Database,
    back: WayBack,
    armoury: Armoury,
    newest: Newest,
    steady: clock.Clock,
    now: clock.Clock = clock.now,
) -> Actuator:
    """Who sends what rules decide; what an earlier run left open is taken up or closed."""
    actuator = Actuator(
        engine, configuration.rules, site_info(configuration), core, back.accounts, back.dispatcher,
        armoury, newest, steady, now,
    )  # fmt: skip
    try:
        await actuator.recover()
    except sqlite3.OperationalError as error:  # the disk refuses, and then nothing is sent either
        _LOG.error("open actions are not closed yet: %s", error)
    return actuator
