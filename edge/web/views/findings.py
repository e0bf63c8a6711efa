"""Findings and what is usual, as JSON."""

from __future__ import annotations

from typing import ClassVar

from edge.web.views.base import Instant, View
from edge.web.views.texts import TextView


class SuspectView(View):
    """A sub-meter and its use beyond its own usual, in the finding's unit."""

    device: str
    excess: float


class FindingView(View):
    """What was wasted or odd. `amount` (in `unit`) may be `spread` more or less; null where it cannot be
    told: then `conclusive` is false where the baseline is weak, and `weak` says why."""

    COPIED: ClassVar[tuple[str, ...]] = (
        "id", "rule", "scope", "kind", "began_at", "ended_at", "amount", "spread", "unit", "device", "point",
        "message", "basis", "weak",
    )  # fmt: skip

    id: str
    rule: str
    scope: str
    kind: str
    title: TextView
    began_at: Instant
    ended_at: Instant | None
    amount: float | None
    spread: float | None
    unit: str
    device: str
    point: str
    message: str
    basis: str
    weak: str
    conclusive: bool
    suspects: list[SuspectView]


class BaselineView(View):
    """What is usual for a counter, the dates that it stands on and the fit; `weak` says why nothing may be
    concluded."""

    device: str
    point: str
    name: str
    unit: str
    since: Instant
    first: str
    last: str
    days: int
    spread: float
    cv: float | None
    nmbe: float | None
    excluded: list[str]
    weak: str
    words: str
