"""What rules found without calling anybody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from drivers.reading import Millis
from edge.web.services.texts import Text
from rules.baseline import Baseline
from rules.finding import Finding


@dataclass(frozen=True, slots=True)
class FindingRecord:
    """One finding with its rule's title."""

    finding: Finding
    title: Text


class Findings(Protocol):
    """What rules found without calling anybody, and what they hold for usual."""

    async def list(
        self, since: Millis, until: Millis, scopes: frozenset[str] | None, limit: int, offset: int
    ) -> Sequence[FindingRecord]:
        """Those that went on in [since, until), newest first; `scopes`, where given, are the ids wanted."""
        ...

    def baselines(self) -> Sequence[Baseline]:
        """What is in force."""
        ...


class NoFindings:
    """None, where nothing looks for any."""

    async def list(
        self, since: Millis, until: Millis, scopes: frozenset[str] | None, limit: int, offset: int
    ) -> Sequence[FindingRecord]:
        """See the protocol."""
        return ()

    def baselines(self) -> Sequence[Baseline]:
        """See the protocol."""
        return ()
