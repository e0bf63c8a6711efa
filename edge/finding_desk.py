"""The list of findings: those that ended, from the store, and those that go on, from the engine."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.reading import Millis
from edge.store.findings import FindingStore
from edge.web.services.findings import FindingRecord
from edge.web.services.texts import Text
from rules.baseline import Baseline
from rules.engine import Engine
from rules.finding import Finding
from rules.rulebook import Rule


class FindingDesk:
    """`edge.web.services.findings.Findings`."""

    def __init__(self, store: FindingStore, engine: Engine, rules: Sequence[Rule]) -> None:
        self._store = store
        self._engine = engine
        self._rules = {rule.id: rule for rule in rules}

    async def list(
        self, since: Millis, until: Millis, scopes: frozenset[str] | None, limit: int, offset: int
    ) -> Sequence[FindingRecord]:
        """See the protocol."""
        found = await self.between(since, until, offset + limit)
        wanted = [one for one in found if scopes is None or one.scope in scopes]
        return [self._record(one) for one in wanted[offset : offset + limit]]

    async def between(self, since: Millis, until: Millis, limit: int = 1000) -> Sequence[Finding]:
        """Those that went on in [since, until), with how much it is by now, newest first."""
        running = {one.id: one for one in self._engine.findings()}
        stored = await self._store.findings(since, until, limit)
        found = [running.pop(one.id, one) for one in stored]
        found += [one for one in running.values() if one.began_at < until]
        return sorted(found, key=lambda one: (-one.began_at, one.id))

    def baselines(self) -> Sequence[Baseline]:
        """See the protocol."""
        return self._engine.baselines()

    def _record(self, finding: Finding) -> FindingRecord:
        rule = self._rules.get(finding.rule)
        if rule is None:
            return FindingRecord(finding, Text(finding.rule, finding.rule))
        return FindingRecord(finding, Text(rule.title.zh, rule.title.en))
