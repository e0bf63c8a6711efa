"""Devices that somebody works on, as JSON."""

from __future__ import annotations

from edge.web.views.base import Instant, View


class OutageView(View):
    """A device that somebody works on: by which order, who said so, until when."""

    device: str
    order: str
    by: str
    until: Instant
