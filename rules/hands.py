"""The engine's hands: binds what rules do, shows the arbiter each transition, wakes it in time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from zoneinfo import ZoneInfo

from drivers.reading import Millis
from drivers.settings import millis
from rules.action import TAG, Action
from rules.agenda import Agenda
from rules.alarm import AlarmState, Transition
from rules.announcer import Announcer
from rules.arbitration import Arbiter, Standing
from rules.binding import Instance, PointRef, Unbound, fit
from rules.compiled import Tree
from rules.explanation import Deed, DeedState
from rules.intent import Intent, Lever
from rules.levers import Seen
from rules.meaning import meaning_of
from rules.monitor import Monitor
from rules.network import Network
from rules.nodata import NoData
from rules.plan import Equipment, Equipped, Key, Target
from rules.rulebook import Rule
from rules.site import SiteInfo
from rules.targets import lacks, place_of, targets


class Hands:
    """Stands between the monitors and the announcer, so that it hears every transition as it happens.

    `arbiter` decides; it is there once all rules were admitted and `begin` was called.
    """

    def __init__(
        self, agenda: Agenda, network: Network, announcer: Announcer, site: SiteInfo, start: Standing
    ) -> None:
        self._agenda = agenda
        self._network = network
        self._announcer = announcer
        self._site = site
        self._equipment: dict[Key, Equipment] = {}
        self._scheduled: Millis | None = None
        self.late = False
        """What is judged now was measured long before it came."""
        self.arbiter = Arbiter(self._equipment, ZoneInfo(site.timezone), self._present, start)

    def admit(self, rule: Rule, instance: Instance, params: Mapping[str, float]) -> tuple[Unbound, ...]:
        """One instance of a rule; where it cannot act, and what it lacks there."""
        if not rule.actions:
            return ()
        equipped: list[Equipped] = []
        lacking: list[str] = []
        for placed in rule.actions:
            verb = self._site.verbs.get(placed.action.cmd)
            found = () if verb is None else targets(placed.action, verb, instance, self._site)
            missing = lacks(placed.action, rule, instance, self._site)
            if verb is None or missing:
                lacking += missing
                continue
            equipped.append(Equipped(placed, verb, found, self._barred(placed.action, instance)))
            for target in found:
                self._watch(target)
        if equipped:
            restore = rule.restore
            self._equipment[rule.id, instance.scope] = Equipment(
                meaning_of(rule, params),
                tuple(equipped),
                0 if restore is None else millis(restore.stagger),
                restore is None or restore.order == "reverse",
                rule.latch,
            )
        return (Unbound(instance.scope, tuple(lacking)),) if lacking else ()

    def locks(
        self, rule: Rule, instance: Instance, params: Mapping[str, float], owner: Monitor
    ) -> dict[str, Tree]:
        """The compiled interlocks that actions of this instance name; one with nothing bound never holds."""
        named = {name for placed in rule.actions for name in placed.action.unless}
        found: dict[str, Tree] = {}
        for name, interlock in rule.interlocks.items():
            if name in named and (rule.id, instance.scope) in self._equipment:
                bound, missing = fit(interlock, place_of(interlock, instance, self._site), self._site)
                if missing:
                    continue
                tree = self._network.compile(interlock, bound, params, NoData(), owner)
                if tree is not None:
                    found[name] = tree
        return found

    # -- at work

    def begin(self, at: Millis, states: Iterable[AlarmState]) -> None:
        """The engine starts."""
        if self._equipment or self.arbiter.plans or self.arbiter.levers:
            self.arbiter.begin(at, states)
            self.schedule()

    def judge(self, monitor: Monitor, transition: Transition) -> Transition:
        """What the announcer makes of it; the arbiter sees that."""
        judged = self._announcer.judge(monitor, transition)
        self.see(judged)
        return judged

    def see(self, transition: Transition) -> None:
        """One transition, as it is told."""
        if self.arbiter.take(transition, late=self.late):
            self.schedule()

    def fire(self, due: Millis) -> None:
        """Something of the arbiter's is due."""
        self._scheduled = None
        self.arbiter.tick(due)
        self.schedule()

    def schedule(self) -> None:
        """Stands on the agenda for the arbiter's next time; also to be called after it was told something."""
        due = self.arbiter.next_due()
        if due is not None and (self._scheduled is None or due < self._scheduled):
            self._scheduled = due
            self._agenda.add(due, self)

    def shift(self, step: Millis) -> None:
        """Moves what is remembered, after the clock was stepped; the agenda has moved already."""
        self.arbiter.shift(step)
        self._scheduled = None if self._scheduled is None else self._scheduled + step

    def deeds(self, rule: str, scope: str) -> tuple[Deed, ...]:
        """What the actions of one instance are up to."""
        found: list[Deed] = []
        equipment = self._equipment.get((rule, scope))
        cmds = {} if equipment is None else {e.placed.number: e.placed.action.cmd for e in equipment.actions}
        for plan in self.arbiter.plans.values():
            if (plan.rule, plan.scope) != (rule, scope):
                continue
            leaving = {name: when for when, name in plan.leaving}
            found += (
                Deed("blocked" if number in plan.blocked else "waits", cmds.get(number, ""), due=when)
                for number, when in plan.waiting
            )
            found += (_deed("proposed", one.intent, one.expires_at) for one in plan.proposals)
            found += (
                _standing(lever, intent, leaving.get(intent.id))
                for lever, intent in self.arbiter.standing(plan.occurrence)
            )
        return tuple(found)

    # -- inside

    def _barred(self, action: Action, instance: Instance) -> tuple[str, ...]:
        """The `room.tag.NAME` of an action that the scope's space, or one around it, has."""
        spaces = [self._site.space_by_id.get(space) for space in self._site.chain(instance.space)]
        return tuple(
            name
            for name in action.unless
            if name.startswith(TAG)
            and any(space is not None and space.tags.get(name.removeprefix(TAG)) for space in spaces)
        )

    def _watch(self, target: Target) -> None:
        device = self._site.device_by_id[target.device]
        unit = device.points.get(target.point, "")
        self._network.points.track(PointRef(target.device, target.point, unit, device.every_ms))

    def _present(self, device: str, point: str, at: Millis) -> Seen:
        track = self._network.points.tracks.get((device, point))
        if track is None:
            return Seen(None, None)
        track.catch_up(at)
        return Seen(track.value, track.at)


def _deed(
    state: DeedState, intent: Intent, due: Millis | None, detail: str = "", *, shadow: bool = False
) -> Deed:
    return Deed(
        state, intent.cmd, intent.device, intent.point, intent.value, intent.prio, due, shadow, detail
    )


def _standing(lever: Lever, intent: Intent, leaves: Millis | None) -> Deed:
    if leaves is not None:
        return _deed("leaves", intent, leaves, shadow=lever.shadow)
    top = lever.standing[0]
    if top.id == intent.id:
        return _deed(
            "holds", intent, intent.until, lever.lease_by and f"held by {lever.lease_by}", shadow=lever.shadow
        )
    return _deed("behind", intent, intent.until, f"{top.rule} prio {top.prio}", shadow=lever.shadow)
