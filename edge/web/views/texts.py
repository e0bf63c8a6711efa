"""A text in both languages, as JSON."""

from __future__ import annotations

from edge.web.views.base import View


class TextView(View):
    """One text in both languages."""

    zh: str
    en: str
