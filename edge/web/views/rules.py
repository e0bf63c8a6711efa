"""Rules and where they are in force, as JSON."""

from __future__ import annotations

from edge.web.views.base import View
from edge.web.views.texts import TextView


class UnboundView(View):
    """A scope where a rule cannot be in force, and the roles it lacks there."""

    scope: str
    missing: list[str]


class RuleView(View):
    """One rule and where it is in force; `cannot_act` are scopes where some of its actions reach nothing."""

    id: str
    title: TextView
    priority: int
    bound: list[str]
    unbound: list[UnboundView]
    cannot_act: list[UnboundView]
