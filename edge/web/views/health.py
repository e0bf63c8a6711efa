"""Whether the gateway is well, as JSON."""

from __future__ import annotations

from edge.web.services.health import HealthWord
from edge.web.views.base import View


class CheckView(View):
    """One thing that must be well."""

    name: str
    status: HealthWord
    detail: str


class HealthView(View):
    """The gateway's state; `ok` means that data moved recently."""

    status: HealthWord
    version: str
    uptime_s: int
    checks: list[CheckView]
