"""The alarm desk and its sirens, as JSON."""

from __future__ import annotations

from edge.web.views.base import View


class DeskView(View):
    """What a desk wants to know: `mute` when nobody could hear an alarm in staffed hours, `sounding`
    when a siren is to sound now."""

    mute: bool
    sounding: bool


class SirenView(View):
    """One siren: whether it is to sound now; `fault` says why it cannot be relied on."""

    name: str
    sounding: bool
    fault: str


class SilencedView(View):
    """Of how many alarms the sirens were silenced."""

    alarms: int
