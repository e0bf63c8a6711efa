"""What rules found and asked for in a day, in a few lines: the part of the daily word that calls nobody."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from drivers.reading import Millis
from edge.pipeline.notices import SYMBOLS
from edge.store import actions
from edge.store.actions import ActionRecord
from edge.store.database import Database
from rules.finding import Finding

DAY_MS: Millis = 86_400_000
MOST = 5
"""More than so many of a kind are only counted: a message is short."""
ANSWERS: Mapping[str, str] = {
    "proposed": "待答复", "accepted": "已同意", "rejected": "已拒绝", "expired": "未答复",
    "advised": "请人处理",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Titles:
    """Rules, scopes and commands as people call them."""

    rules: Mapping[str, str]
    places: Mapping[str, str]
    commands: Mapping[str, str]


class DailyNews:
    """`found` gives the findings that went on between two instants."""

    def __init__(
        self,
        found: Callable[[Millis, Millis], Awaitable[Sequence[Finding]]],
        core: Database,
        titles: Titles,
    ) -> None:
        self._found = found
        self._core = core
        self._titles = titles

    async def of(self, now: Millis) -> str:
        """The day until `now`; empty when there is nothing to say, or it cannot be read."""
        try:
            findings = await self._found(now - DAY_MS, now)
            asked = await self._core.read(lambda c: actions.asked(c, now - DAY_MS))
        except sqlite3.OperationalError:
            return ""
        parts = (
            _listed("发现", [self._finding(one) for one in findings]),
            _listed("规则建议", self._proposals(asked)),
        )
        return "；".join(part for part in parts if part)

    def _finding(self, finding: Finding) -> str:
        place = self._titles.places.get(finding.scope, finding.scope)
        title = self._titles.rules.get(finding.rule, finding.rule)
        if finding.amount is None:
            return f"{place} {title}"
        return f"{place} {title} {finding.amount:.3g} {SYMBOLS.get(finding.unit, finding.unit)}".rstrip()

    def _proposals(self, asked: Sequence[ActionRecord]) -> Sequence[str]:
        """One line for each command, scope and answer."""
        counts = Counter((one.act.intent.scope, one.act.intent.cmd, one.state) for one in asked)
        return [
            f"{self._titles.places.get(scope, scope)} {self._titles.commands.get(cmd, cmd)}"
            f"{f'×{number}' if number > 1 else ''}（{ANSWERS.get(state, state)}）"
            for (scope, cmd, state), number in counts.items()
        ]


def _listed(word: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    more = "……" if len(lines) > MOST else ""
    return f"{word} {len(lines)} 项：{'、'.join(lines[:MOST])}{more}"
