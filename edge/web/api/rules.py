"""GET /rules: where each rule is in force, and why an instance stands as it does."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from edge.web.api.context import Here
from edge.web.auth import VIEWER
from edge.web.problems import Problem, unknown
from edge.web.views import ExplanationView, Page, RuleView, TextView, UnboundView
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
                title=TextView.model_validate(rule.alarm.title),
                priority=rule.alarm.prio,
                bound=list(coverage.bound),
                unbound=[UnboundView(scope=u.scope, missing=list(u.missing)) for u in coverage.unbound],
            )
        )
    return Page(items=items)


@router.get("/rules/{rule}/explain")
async def explain(rule: str, scope: Annotated[str, Query(max_length=64)], here: Here) -> ExplanationView:
    """The truth tree of one rule on one scope, with values and quality."""
    known = [one.id for one in here.services.configuration().rules]
    if rule not in known:
        raise unknown("rule", rule, known)
    try:
        explanation = here.services.rules.explain(rule, scope)
    except KeyError as error:
        raise Problem(404, "unknown_scope", f"rule {rule} is not in force on {scope[:80]!r}") from error
    return ExplanationView.model_validate(explanation)
