"""Which points an action writes at a site, for one instance of its rule."""

from __future__ import annotations

from collections.abc import Iterator

from drivers.vocabulary import CommandSpec
from rules.action import Action, Interlock
from rules.binding import Candidate, Instance, PointRef, fit, points_of
from rules.plan import Target
from rules.rulebook import Rule
from rules.site import DeviceInfo, SiteInfo
from rules.tree import Role

AROUND = {"floor": ("floor", "building"), "zone": ("zone", "building"), "building": ("building",)}
"""What `to` names around the scope; where there is none of the first kind, the next."""
PLACES = frozenset({"scope", "room", "site", *AROUND})
GROUP = "group:"


def targets(action: Action, verb: CommandSpec, instance: Instance, site: SiteInfo) -> tuple[Target, ...]:
    """The points, in the site's order; empty where nothing that `to` names can be told so."""
    kinds = verb.kinds if action.to in PLACES or action.to.startswith(GROUP) else (action.to,)
    return tuple(
        Target(device.id, verb.point)
        for device in _named(action.to, instance, site)
        if device.kind in kinds and verb.point in device.writable
    )


def lacks(action: Action, rule: Rule, instance: Instance, site: SiteInfo) -> tuple[str, ...]:
    """What keeps an action from being taken for an instance: nothing that can be told, or roles that its
    interlocks lack there (one that can never be told would forbid it for ever). Empty where all is there."""
    verb = site.verbs.get(action.cmd)
    if verb is None or not targets(action, verb, instance, site):
        return (f"{action.cmd}: nothing in {action.to} that can be told",)
    return tuple(
        f"{action.cmd} unless {name}: {role}"
        for name in action.unless
        if (interlock := rule.interlocks.get(name)) is not None
        for role in fit(interlock, place_of(interlock, instance, site), site)[1]
    )


def place_of(interlock: Interlock, instance: Instance, site: SiteInfo) -> Candidate:
    """What the roles of an interlock belong to."""
    if interlock.at == "site":
        return Candidate(site.id, "")
    own = None if instance.scope == instance.space else site.device_by_id.get(instance.scope)
    return Candidate(instance.scope, instance.space, own, instance.line)


def effects(role: Role, target: Target, site: SiteInfo) -> tuple[PointRef, ...]:
    """The points of a role that show an effect: the told device's own where it has them, else those of
    the devices in the space around it."""
    device = site.device_by_id[target.device]
    kind, _, point = role.rpartition(".")
    if kind in ("", device.kind) and point in device.points:
        return points_of(point, Candidate(device.id, device.space, device), site)
    return points_of(role, Candidate(device.space, device.space), site)


def in_group(name: str, site: SiteInfo) -> Iterator[str]:
    """The spaces of a group: those with a tag `NAME: true`, or `group: NAME`."""
    for space in site.spaces:
        if space.tags.get(name) is True or space.tags.get("group") == name:
            yield space.id


def _named(to: str, instance: Instance, site: SiteInfo) -> Iterator[DeviceInfo]:
    own = site.device_by_id.get(instance.scope) if instance.scope != instance.space else None
    if to == "scope" and own is not None:
        yield own
        return
    if to.startswith(GROUP):
        yield from _below(frozenset(in_group(to.removeprefix(GROUP), site)), site)
    elif to == "site" or not instance.space:
        yield from site.devices
    elif to in AROUND:
        yield from _below(frozenset({_around(AROUND[to], instance.space, site)}), site)
    else:
        yield from _below(frozenset({instance.space}), site)


def _around(kinds: tuple[str, ...], space: str, site: SiteInfo) -> str:
    """The nearest space of the first kind that there is around; the site where there is none."""
    chain = tuple(site.chain(space))
    for kind in kinds:
        for one in chain:
            if one in site.space_by_id and site.space_by_id[one].kind == kind:
                return one
    return site.id


def _below(spaces: frozenset[str], site: SiteInfo) -> Iterator[DeviceInfo]:
    for device in site.devices:
        if site.id in spaces or spaces & set(site.chain(device.space)):
            yield device
