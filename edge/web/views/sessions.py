"""Who is signed in, as JSON."""

from __future__ import annotations

from edge.store.accounts import Role
from edge.web.views.base import Instant, View


class SetupView(View):
    """Whether the first account is still to be made, and whether the asker is signed in."""

    needed: bool
    signed_in: bool = False


class SessionView(View):
    """Who is signed in; `expires_at` is when the session ends if no request comes, null for tokens."""

    user: str
    role: Role
    expires_at: Instant | None
