"""GET /rules: where each rule is in force, and why an instance stands as it does."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from drivers.reading import Millis
from edge.web.api.context import Here
from edge.web.api.instants import Time, instant, invalid
from edge.web.auth import VIEWER
from edge.web.problems import Problem, unknown
from edge.web.services.rules import NoHindsight
from edge.web.views.base import Page
from edge.web.views.explanation import ExplanationView
from edge.web.views.rules import RuleView, UnboundView
from edge.web.views.texts import TextView
from rules.binding import Coverage

router = APIRouter(tags=["alarms"], dependencies=[VIEWER])


@router.get("/rules")
async def rules(here: Here) -> Page[RuleView]:
    """All rules."""
    covered = {coverage.rule: coverage for coverage in here.services.rules.coverage()}
    items = []
    for rule in here.services.configuration().rules:
        coverage = covered.get(rule.id, Coverage(rule.id, (), ()))
        items.append(
            RuleView(
                id=rule.id,
                title=TextView.model_validate(rule.title),
                priority=rule.priority,
                bound=list(coverage.bound),
                unbound=[UnboundView(scope=u.scope, missing=list(u.missing)) for u in coverage.unbound],
                cannot_act=[UnboundView(scope=u.scope, missing=list(u.missing)) for u in coverage.cannot_act],
            )
        )
    return Page(items=items)


@router.get("/rules/{rule}/explain", responses={200: {"model": ExplanationView}}, response_class=Response)
async def explain(
    rule: str, scope: Annotated[str, Query(max_length=64)], here: Here, at: Time = None
) -> Response:
    """The truth tree of one rule on one scope, with values and quality: now, or as it was at an instant,
    which is found by playing what is stored of the days before (a few seconds)."""
    known = [one.id for one in here.services.configuration().rules]
    if rule not in known:
        raise unknown("rule", rule, known)
    try:
        if at is None:
            body = ExplanationView.model_validate(here.services.rules.explain(rule, scope)).model_dump_json()
            return Response(body, media_type="application/json")
        when = instant("at", at)
        if when > here.services.clock():
            raise invalid("at", "must lie in the past")
        return Response(await _past(here, rule, scope, when), media_type="application/json")
    except KeyError as error:
        raise Problem(404, "unknown_scope", f"rule {rule} is not in force on {scope[:80]!r}") from error


async def _past(here: Here, rule: str, scope: str, at: Millis) -> bytes:
    """Raises KeyError for an unknown scope, a 503 problem where there is no answer."""
    if here.services.past is None:
        raise Problem(503, "no_hindsight", "the past cannot be played here")
    try:
        return await here.services.past.explain(rule, scope, at)
    except NoHindsight as error:
        raise Problem(503, "no_hindsight", f"the past could not be played: {error}") from error
