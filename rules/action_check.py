"""What a rule's actions may get wrong at a site, alone or together with other rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

from drivers.reading import Value
from drivers.vocabulary import CommandSpec
from rules.action import OVERRIDE, TAG, Placed, Verify
from rules.binding import Instance, bind
from rules.comparison import comparison, resolve
from rules.meaning import parameters
from rules.plan import Target
from rules.rulebook import Rule, RuleFault
from rules.site import SiteInfo
from rules.targets import GROUP, PLACES, targets
from rules.tree import Node, Operand, Path
from rules.verbs import value_of


def check_actions(rule: Rule, points: Mapping[str, str], site: SiteInfo) -> Iterator[RuleFault]:
    """Faults of a rule's own actions; paths start at the rule's top. `points` is the vocabulary: point
    -> unit. Words that the site does not know of any (no commands, no kinds) are not looked at."""
    for placed in rule.actions:
        verb = site.verbs.get(placed.action.cmd)
        if site.verbs and verb is None:
            near = get_close_matches(placed.action.cmd, site.verbs, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield RuleFault((*placed.path, "cmd"), f"there is no command {placed.action.cmd}{hint}")
        if verb is not None:
            yield from _command(placed, verb, points)
        yield from _place(placed, site)
        yield from _interlocks(rule, placed)
        yield from _times(rule, placed)
        if placed.action.verify is not None:
            yield from _verify(placed, placed.action.verify, verb, points, site)


def _command(placed: Placed, verb: CommandSpec, points: Mapping[str, str]) -> Iterator[RuleFault]:
    action, path = placed.action, placed.path
    if action.mode == "auto" and verb.by_hand:
        message = f"{action.cmd} is never automatic (gas, fire, doors): write mode: confirm"
        yield RuleFault((*path, "mode"), message)
    if action.mode == "auto" and action.verify is None and not verb.signal:
        yield RuleFault((*path, "mode"), "mode auto needs verify: what shows that it had its effect")
    wanted = {verb.argument} if verb.argument else set()
    for name in sorted(wanted - set(action.args)):
        yield RuleFault((*path, "cmd"), f"{action.cmd} needs the argument {name}")
    for name in sorted(set(action.args) - wanted):
        yield RuleFault((*path, "args", name), f"{action.cmd} takes no argument {name}")
    unit = points.get(verb.point, "1")
    kind = {"bool": bool, "text": str}.get(unit, float)
    for name in sorted(wanted & set(action.args)):
        if not _is_a(action.args[name], kind):
            yield RuleFault((*path, "args", name), f"{name} must be a value of {verb.point} ({unit})")


def _is_a(value: Value, kind: type) -> bool:
    return isinstance(value, kind) if kind is not float else not isinstance(value, bool | str)


def _place(placed: Placed, site: SiteInfo) -> Iterator[RuleFault]:
    to = placed.action.to
    if to.startswith(GROUP):
        return  # a group that nobody is in is told as what cannot be reached
    if to not in PLACES and site.device_kinds and to not in site.device_kinds:
        places = ", ".join(sorted(PLACES))
        yield RuleFault((*placed.path, "to"), f"{to} is neither a kind of device nor one of {places}")


def _interlocks(rule: Rule, placed: Placed) -> Iterator[RuleFault]:
    for i, name in enumerate(placed.action.unless):
        if name != OVERRIDE and not name.startswith(TAG) and name not in rule.interlocks:
            known = ", ".join((OVERRIDE, f"{TAG}NAME", *rule.interlocks))
            message = f"there is no interlock {name}; known here: {known}"
            yield RuleFault((*placed.path, "unless", i), message)


def _times(rule: Rule, placed: Placed) -> Iterator[RuleFault]:
    action = placed.action
    longest = action.lasts_ms
    if action.min_on is not None and longest is not None and longest < action.min_on.total_seconds() * 1000:
        yield RuleFault((*placed.path, "min_on"), "min_on is longer than it lasts")
    if action.undo == "on_reset" and not rule.latch:
        yield RuleFault((*placed.path, "undo"), "on_reset waits for a reset, and this rule has no latch")


def _verify(
    placed: Placed, verify: Verify, verb: CommandSpec | None, points: Mapping[str, str], site: SiteInfo
) -> Iterator[RuleFault]:
    here: Path = (*placed.path, "verify")
    kind, _, point = verify.p.rpartition(".")
    if kind and site.device_kinds and kind not in site.device_kinds:
        yield RuleFault((*here, "p"), f"{kind} is no kind of device")
    if point not in points:
        yield RuleFault((*here, "p"), f"{point} is no point of the vocabulary")
        return
    unit = points[point]
    if verify.op is None:
        if unit != "bool" and verb is not None and point != verb.point:
            yield RuleFault((*here, "p"), f"{point} is no switch: say op and val")
    elif verify.val is not None and not _is_a(verify.val, {"bool": bool, "text": str}.get(unit, float)):
        yield RuleFault((*here, "val"), f"{verify.val!r} is no value of {point} ({unit})")
    elif unit in ("bool", "text") and verify.op not in ("eq", "ne"):
        yield RuleFault((*here, "op"), f"op {verify.op} needs a number, and {point} is none")


# -- rules together


class Fault(NamedTuple):
    """A fault of one rule of several."""

    rule: str
    fault: RuleFault


@dataclass(frozen=True, slots=True)
class _Write:
    """One action at one point. `value` is None where it depends on the point; `restores` is true where
    what was found may come back."""

    rule: str
    placed: Placed
    value: Value | None
    restores: bool


class _Reader(NamedTuple):
    """One leaf of a rule at one point; `val` is None where what it is compared with is not fixed."""

    rule: str
    leaf: Node
    val: Operand | None
    upright: bool


def check_together(rules: Sequence[Rule], site: SiteInfo) -> list[Fault]:
    """Two automatic rules that write one point at one priority, and rules that drive each other round."""
    writes: dict[Target, list[_Write]] = {}
    readers: dict[Target, list[_Reader]] = {}
    for rule in rules:
        for instance in bind(rule, site, rules).instances if rule.actions else ():
            _gather(rule, instance, site, writes, readers)
    return [*_rivals(writes), *_circles(writes, readers)]


def _gather(
    rule: Rule,
    instance: Instance,
    site: SiteInfo,
    writes: dict[Target, list[_Write]],
    readers: dict[Target, list[_Reader]],
) -> None:
    for placed in rule.actions:
        action, verb = placed.action, site.verbs.get(placed.action.cmd)
        if verb is None or action.mode == "advise":
            continue
        value = None if verb.shift is not None else value_of(verb, action.args, None)
        for target in targets(action, verb, instance, site):
            one = _Write(rule.id, placed, value, action.undo != "never" or action.max_on is not None)
            if one not in writes.setdefault(target, []):
                writes[target].append(one)
    params = parameters(rule, instance, site)
    for leaf, upright in _leaves(rule.when, upright=True):
        for ref in instance.roles.get(leaf.p or "", ()):
            reader = _Reader(rule.id, leaf, _threshold(leaf, params), upright)
            readers.setdefault(Target(ref.device, ref.point), []).append(reader)


def _leaves(node: Node, *, upright: bool) -> Iterator[tuple[Node, bool]]:
    """All leaves about the scope; `upright` is false below a `not`."""
    if node.p is not None:
        yield node, upright
    for step, child in node.children:
        yield from _leaves(child, upright=upright and step != ("not",))


def _rivals(writes: Mapping[Target, Sequence[_Write]]) -> Iterator[Fault]:
    told: set[tuple[str, str, int]] = set()
    for target, some in writes.items():
        auto = [one for one in some if one.placed.action.mode == "auto"]
        for i, one in enumerate(auto):
            for other in auto[:i]:
                key = (other.rule, one.rule, one.placed.action.prio)
                if other.rule == one.rule or other.placed.action.prio != key[2] or key in told:
                    continue
                told.add(key)
                message = (
                    f"{other.rule} writes {target.device}.{target.point} automatically at prio {key[2]} too: "
                    "give one of them another prio"
                )
                yield Fault(one.rule, RuleFault((*one.placed.path, "prio"), message))


def _circles(
    writes: Mapping[Target, Sequence[_Write]], readers: Mapping[Target, Sequence[_Reader]]
) -> Iterator[Fault]:
    """Rules whose actions make each other's conditions true, round and round."""
    leads: dict[str, dict[str, _Write]] = {}
    for target, some in writes.items():
        for write in some:
            for reader in readers.get(target, ()):
                if _may_fulfil(write, reader):
                    leads.setdefault(write.rule, {}).setdefault(reader.rule, write)
    told: set[frozenset[str]] = set()
    for start in leads:
        circle = _circle(start, leads)
        if circle and frozenset(circle) not in told:
            told.add(frozenset(circle))
            write = leads[start][circle[1] if len(circle) > 1 else start]
            yield Fault(start, RuleFault((*write.placed.path, "cmd"), _roundabout(circle, write)))


def _roundabout(circle: Sequence[str], write: _Write) -> str:
    if len(circle) == 1:
        undo = "; undo: never would end it" if write.restores else ""
        return f"what it writes, or takes back, makes its own condition true again{undo}"
    return f"rules drive each other round: {' -> '.join((*circle, circle[0]))}"


def _may_fulfil(write: _Write, reader: _Reader) -> bool:
    """Whether what is written, or put back later, can make a leaf true (below a `not`: false)."""
    leaf = reader.leaf
    if write.restores or write.value is None or leaf.agg not in ("last", "avg", "min", "max"):
        return True
    if leaf.op is None or reader.val is None:
        return True
    return comparison(leaf.op, reader.val, None)(write.value, False) is reader.upright


def _threshold(leaf: Node, params: Mapping[str, float]) -> Operand | None:
    """What a leaf compares with; None where that is learned or read."""
    return None if leaf.references else resolve(leaf.val, params)


def _circle(start: str, leads: Mapping[str, Mapping[str, _Write]]) -> list[str]:
    """The shortest way from a rule back to itself; empty when there is none."""
    ways: list[list[str]] = [[start]]
    seen = {start}
    while ways:
        way = ways.pop(0)
        for reader in leads.get(way[-1], {}):
            if reader == start:
                return way
            if reader not in seen:
                seen.add(reader)
                ways.append([*way, reader])
    return []
