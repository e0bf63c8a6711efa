"""Commands, as JSON."""

from __future__ import annotations

from drivers.reading import Value
from edge.store.commands import CommandState
from edge.web.views.base import Instant, View


class PreparedView(View):
    """A command that waits for its confirmation: `token` carries it out until `expires_at`.
    `before` is the point's value as last read."""

    id: int
    token: str
    device: str
    point: str
    value: Value
    unit: str
    before: Value | None
    expires_at: Instant


class CommandView(View):
    """One command and how it ended. `found` is what the device read back, null where it was
    not asked; `detail` says why the state is what it is."""

    id: int
    device: str
    point: str
    value: Value
    unit: str
    reason: str
    who: str
    state: CommandState
    detail: str
    found: Value | None
    created_at: Instant
    expires_at: Instant
    updated_at: Instant
