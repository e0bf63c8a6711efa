"""Which instances a rule has: its scope's candidates, and the points their roles bind to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from drivers.reading import Millis
from rules.presence import CALENDAR, DERIVED
from rules.rulebook import Rule, Where, as_names
from rules.site import NOT_ROOMS, DeviceInfo, SiteInfo
from rules.tree import Across, Node

SUBMETER = "submeter"
"""As members of a group: the meters of the same kind right below the rule's own."""
PATROL_SLOT = "patrol_slot"
"""As a scope: each slot of the plan in the calendar."""


class PointRef(NamedTuple):
    """One point of one device, with its unit and how often it is sampled (0: when it likes)."""

    device: str
    point: str
    unit: str
    every_ms: Millis


class Candidate(NamedTuple):
    """What a rule may be instantiated for: a space, a device (then not None), a line (then not empty)
    or the site (no space)."""

    id: str
    space: str
    device: DeviceInfo | None = None
    line: str = ""


@dataclass(frozen=True, slots=True)
class Instance:
    """One rule on one scope: role -> the points bound to it (none for an optional role)."""

    scope: str
    space: str
    roles: Mapping[str, tuple[PointRef, ...]]
    line: str = ""


@dataclass(frozen=True, slots=True)
class Unbound:
    """A scope that the rule is meant for but cannot watch, and the roles that it lacks."""

    scope: str
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Coverage:
    """Where a rule watches, and where it would if the points were there."""

    rule: str
    bound: tuple[str, ...]
    unbound: tuple[Unbound, ...]
    cannot_act: tuple[Unbound, ...] = ()
    """Scopes that it watches and where some of its actions reach nothing, with what is missing."""


@dataclass(frozen=True, slots=True)
class Binding:
    """All instances of a rule at a site, and the findings."""

    instances: tuple[Instance, ...]
    unbound: tuple[Unbound, ...]


def bind(rule: Rule, site: SiteInfo, book: Sequence[Rule] = ()) -> Binding:
    """Binds a rule to a site. A role with several points and no `pick` counts as missing.

    `book` holds all rules: one that supervises is only for the devices that those it names watch.
    """
    instances: list[Instance] = []
    unbound: list[Unbound] = []
    watched = _supervised(rule, site, book)
    for candidate in candidates(rule, site):
        if watched is not None and candidate.id not in watched:
            continue
        roles = _roles(rule.when, candidate, site)
        missing = _missing(rule.when, roles)
        if not missing and rule.suppress_when is not None:
            roles |= _roles(rule.suppress_when, candidate, site)
        instance = Instance(candidate.id, candidate.space, roles, candidate.line)
        if not missing:
            missing = tuple(
                f"{group.across.each} to look across"
                for _, group in rule.when.groups()
                if group.across is not None and not members(group.across, instance, site)
            )
        if missing:
            unbound.append(Unbound(candidate.id, missing))
        else:
            instances.append(instance)
    return Binding(tuple(instances), tuple(unbound))


def members(across: Across, instance: Instance, site: SiteInfo) -> tuple[Instance, ...]:
    """The group that an instance looks across: those with all their roles."""
    found: list[Instance] = []
    if across.each == SUBMETER:
        return _submeters(across, instance, site)
    around = site.building_of(instance.scope) if across.in_ == "building" else instance.space
    for candidate, _ in _each(across.each, site):
        if across.in_ == "scope" and instance.line:
            inside = candidate.device is not None and candidate.device.line == instance.line
        else:
            whole = across.in_ == "site" or around in ("", site.id)
            inside = whole or around in set(site.chain(candidate.space))
        if not inside:
            continue
        roles = _roles(across.of, candidate, site)
        if not _missing(across.of, roles):
            found.append(Instance(candidate.id, candidate.space, roles, candidate.line))
    return tuple(found)


def _submeters(across: Across, instance: Instance, site: SiteInfo) -> tuple[Instance, ...]:
    """The meters right below the rule's own, those with all their roles."""
    meter = site.device_by_id.get(instance.scope)
    found: list[Instance] = []
    for device in () if meter is None else site.submeters(meter):
        roles = _roles(across.of, Candidate(device.id, device.space, device), site)
        if not _missing(across.of, roles):
            found.append(Instance(device.id, device.space, roles))
    return tuple(found)


def _supervised(rule: Rule, site: SiteInfo, book: Sequence[Rule]) -> frozenset[str] | None:
    """The devices that the rules named in `supervise` watch; None for a rule that supervises none."""
    if not rule.supervise:
        return None
    return frozenset(
        ref.device
        for other in book
        if other.id in rule.supervise and not other.supervise
        for instance in bind(other, site).instances
        for refs in instance.roles.values()
        for ref in refs
    )


def _roles(node: Node, candidate: Candidate, site: SiteInfo) -> dict[str, tuple[PointRef, ...]]:
    named = [part for parts in (node.leaves(), node.groups()) for _, part in parts]
    return {role: points_of(role, candidate, site) for part in named for role in part.roles}


def candidates(rule: Rule, site: SiteInfo) -> Iterator[Candidate]:
    """The spaces or devices that the scope names and `where` lets through."""
    where = rule.scope.where
    for candidate, kind in _each(rule.scope.each, site):
        if _wanted(candidate, kind, where, site):
            yield candidate


def points_of(role: str, candidate: Candidate, site: SiteInfo) -> tuple[PointRef, ...]:
    """The points that a role means for a candidate.

    On a device: its own point, `*` all its points, `kind.point` that of devices of the
    kind in the same space. On a space: those of the devices in it and inside it. On a
    line: those of the devices on it.
    """
    if role in CALENDAR:
        maker, _, name = role.partition(".")
        return (PointRef(maker, name, CALENDAR[role], 0),) if site.opens else ()
    kind, _, point = role.rpartition(".")
    if candidate.device is not None and not kind:
        device = candidate.device
        names = tuple(device.points) if point == "*" else (point,)
        return tuple(_ref(device, name) for name in names if _has(device, name))
    if candidate.line:
        devices = site.devices_on.get(candidate.line, ())
    else:
        devices = site.devices_below.get(candidate.space, ()) if candidate.space else site.devices
    return tuple(
        _ref(device, point) for device in devices if _has(device, point) and kind in ("", device.kind)
    )


def _has(device: DeviceInfo, point: str) -> bool:
    return point in device.points or point in DERIVED


def _ref(device: DeviceInfo, point: str) -> PointRef:
    unit = device.points[point] if point in device.points else DERIVED[point]
    return PointRef(device.id, point, unit, device.every_ms)


def _each(each: str, site: SiteInfo) -> Iterator[tuple[Candidate, str]]:
    if each == "site":
        yield Candidate(site.id, ""), "site"
    if each == "line":
        for line in site.devices_on:
            yield Candidate(line, "", None, line), "line"
    if each == PATROL_SLOT:
        for slot in site.slots:
            if (heard := site.device_by_id.get(slot.device)) is not None:
                yield Candidate(slot.id, heard.space, heard), heard.kind
    for space in site.spaces:
        if each in ("space", space.kind) or (each == "room" and space.kind not in NOT_ROOMS):
            yield Candidate(space.id, space.id), space.kind
    for device in site.devices:
        meter = each == "meter" and device.kind.endswith("_meter")
        if meter or each in ("device", device.kind):
            yield Candidate(device.id, device.space, device), device.kind


def _wanted(candidate: Candidate, kind: str, where: Where, site: SiteInfo) -> bool:
    if where.kinds and kind not in where.kinds:
        return False
    if where.medium is not None and kind not in {f"{name}_meter" for name in as_names(where.medium)}:
        return False
    if where.level is not None and not _level(candidate, site) & set(as_names(where.level)):
        return False
    if where.in_ is not None and not set(as_names(where.in_)) & set(site.chain(candidate.space)):
        return False
    if where.tags is not None:
        space = site.space_by_id.get(candidate.space)
        tags = space.tags if space is not None else {}
        for name, wanted in where.tags.items():
            if tags.get(name) not in (wanted if isinstance(wanted, tuple) else (wanted,)):
                return False
    return all(points_of(role, candidate, site) for role in where.has or ())


def _level(candidate: Candidate, site: SiteInfo) -> frozenset[str]:
    """Where a meter stands among those of its kind; nothing for anything else."""
    meter = candidate.device
    if meter is None or not meter.kind.endswith("_meter"):
        return frozenset()
    above = any(
        other.kind == meter.kind and other.space != meter.space and other.space in site.chain(meter.space)
        for other in site.devices
    )
    space = site.space_by_id.get(meter.space)
    here = {"building"} if space is not None and space.kind == "building" else set()
    return frozenset(here | ({"sub"} if above else {"main", "incomer"}))


def _missing(node: Node, roles: Mapping[str, tuple[PointRef, ...]]) -> tuple[str, ...]:
    missing: dict[str, None] = {}
    for _, leaf in node.leaves():
        role = leaf.p or ""
        points = roles[role]
        for other in leaf.roles[1:]:
            if not roles[other] and not leaf.optional:
                missing[other] = None
        if not points and not leaf.optional:
            missing[role] = None
        elif len(points) > 1 and leaf.pick is None and role != "*":
            missing[f"{role} ({len(points)} points and no pick)"] = None
    for _, group in node.groups():
        missing |= dict.fromkeys(role for role in group.roles if not roles[role])
    if not missing and roles and not any(roles.values()):
        missing = dict.fromkeys(roles)
    return tuple(missing)


def fit(node: Node, candidate: Candidate, site: SiteInfo) -> tuple[Instance, tuple[str, ...]]:
    """A condition bound to a candidate, and the roles that it lacks there; an optional one lacks none."""
    roles = _roles(node, candidate, site)
    needed = {leaf.p for _, leaf in node.leaves() if not leaf.optional}
    missing = tuple(name for name in _missing(node, roles) if name.partition(" ")[0] in needed)
    return Instance(candidate.id, candidate.space, roles, candidate.line), missing
