"""Whether somebody could hear an alarm: the desk's pages and the sirens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Desk(Protocol):
    """Whether somebody could hear an alarm; `edge.pipeline.desk_watch.DeskWatch` is one."""

    def heard(self, audible: bool) -> None:
        """An alarm page says whether it would be heard now."""
        ...

    def mute(self) -> bool:
        """True when somebody is to be there and no page can be heard."""
        ...


class Siren(Protocol):
    """How one siren stands; `fault` is empty when it can be relied on."""

    @property
    def name(self) -> str: ...

    @property
    def sounding(self) -> bool: ...

    @property
    def fault(self) -> str: ...


class Sirens(Protocol):
    """The sirens on relays; `edge.pipeline.sirens.Sirens` is one."""

    async def silence(self) -> int:
        """Mutes them until another alarm comes; of how many alarms."""
        ...

    def states(self) -> Sequence[Siren]:
        """How each stands."""
        ...
