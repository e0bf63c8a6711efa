"""All instances of all rules at a site: bound, compiled, and with the state that they go on with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

from rules.agenda import Agenda
from rules.alarm import AlarmState, Transition
from rules.binding import Coverage, Instance, Unbound, bind
from rules.hands import Hands
from rules.meaning import parameters, semantic_hash
from rules.monitor import Monitor
from rules.network import Network
from rules.rulebook import Rule
from rules.shift import Shift
from rules.site import SiteInfo
from rules.timetable import Calendar, Schedule


class Roster:
    """`monitors` by rule and scope, the `shifts` that arm some of them, the `coverage` of each rule, and the
    `orphans` among the earlier states: those whose rule changed or is gone."""

    def __init__(
        self,
        rules: Sequence[Rule],
        site: SiteInfo,
        calendar: Calendar,
        states: Sequence[AlarmState],
        agenda: Agenda,
        network: Network,
        hands: Hands,
        woken: list[Monitor],
        out: list[Transition],
    ) -> None:
        self.monitors: dict[tuple[str, str], Monitor] = {}
        self.coverage: list[Coverage] = []
        self._shifts: dict[str, Shift] = {}
        self._book = tuple(rules)
        self._site = site
        self._calendar = calendar
        self._zone = ZoneInfo(site.timezone)
        self._earlier = {(state.rule, state.scope): state for state in states}
        self._agenda = agenda
        self._network = network
        self._hands = hands
        self._woken = woken
        self._out = out
        for rule in rules:
            self._admit(rule)
        self.orphans = tuple(self._earlier.values())

    @property
    def shifts(self) -> Sequence[Shift]:
        """One for all that keep the same hours."""
        return tuple(self._shifts.values())

    def _admit(self, rule: Rule) -> None:
        binding = bind(rule, self._site, self._book)
        bound: list[str] = []
        cannot_act: list[Unbound] = []
        for instance in binding.instances:
            params = parameters(rule, instance, self._site)
            monitor = self._monitor(rule, instance, params)
            if monitor is None:
                continue
            cannot_act += self._hands.admit(rule, instance, params)
            monitor.guard(self._hands.locks(rule, instance, params, monitor))
            self.monitors[rule.id, instance.scope] = monitor
            bound.append(instance.scope)
            self._into_shift(rule, monitor)
        self.coverage.append(Coverage(rule.id, tuple(bound), binding.unbound, tuple(cannot_act)))

    def _monitor(self, rule: Rule, instance: Instance, params: Mapping[str, float]) -> Monitor | None:
        """One instance, compiled; None where nothing of its condition is bound."""
        state, resumed = self._entry(rule, instance, params)
        monitor = Monitor(rule, state, self._agenda, self._woken, self._hands)
        tree = self._network.compile(rule.when, instance, params, rule.nodata, monitor)
        if tree is None:
            return None
        hush = rule.suppress_when
        monitor.plant(
            tree,
            None if hush is None else self._network.compile(hush, instance, params, rule.nodata, monitor),
        )
        monitor.assessor = self._network.weave.assessor(rule, instance, params)
        if resumed:
            monitor.restore()
        monitor.devices = frozenset(ref.device for refs in instance.roles.values() for ref in refs)
        return monitor

    def _into_shift(self, rule: Rule, monitor: Monitor) -> None:
        if rule.active is None:
            return
        key = rule.active.model_dump_json()
        if key not in self._shifts:
            schedule = Schedule(rule.active, self._calendar, self._zone)
            self._shifts[key] = Shift(schedule, self._agenda, self._out)
        self._shifts[key].monitors.append(monitor)

    def _entry(self, rule: Rule, instance: Instance, params: Mapping[str, float]) -> tuple[AlarmState, bool]:
        """The earlier state where the rule still means the same, and True; else a new one."""
        meaning = semantic_hash(rule, params)
        old = self._earlier.get((rule.id, instance.scope))
        if old is not None and old.semantic_hash == meaning:
            del self._earlier[rule.id, instance.scope]
            return replace(old, priority=rule.priority, silent=rule.alarm is None), True
        fresh = AlarmState(
            rule.id, instance.scope, priority=rule.priority, semantic_hash=meaning, silent=rule.alarm is None
        )
        if old is not None:  # the rule was edited; who works on the device works on
            fresh = replace(fresh, oos_until=old.oos_until, oos_by=old.oos_by, oos_order=old.oos_order)
        return fresh, False
