"""What a valid rule file may still get wrong at this very site: refused before it is armed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from drivers.settings import millis
from rules import arithmetic
from rules.action_check import check_actions
from rules.binding import PATROL_SLOT, SUBMETER, bind, candidates, points_of
from rules.comparison import resolve
from rules.presence import CALENDAR, DERIVED
from rules.reference_check import check_finding, check_references
from rules.rulebook import Rule, RuleFault, as_names
from rules.site import SiteInfo
from rules.tree import ABSENCE, DOWNWARD, UPWARD, Measure, Node, Operand, Path, Scalar
from rules.window import per_of

GROUPS = frozenset({"site", "space", "room", "device", "meter", "line", PATROL_SLOT})
"""What `each` may name beside the kinds of spaces and devices."""

_NUMERIC = frozenset({"avg", "min", "max", "sum", "delta", "rate", "slope", "min_rate", "stddev", "p95"})


class _Words(NamedTuple):
    """All that is known here: points with their units, and kinds (None: any)."""

    points: Mapping[str, str]
    kinds: frozenset[str] | None
    device_kinds: frozenset[str] | None
    spaces: frozenset[str]
    counters: frozenset[str] | None


def check_rule(rule: Rule, points: Mapping[str, str], site: SiteInfo) -> list[RuleFault]:
    """All faults of a rule at a site, empty for a good one; paths start at the rule's top.

    `points` is the vocabulary: point name -> unit (UCUM, `bool` or `text`). Points that
    only a device of the site has count too.
    """
    own = {name: unit for device in site.devices for name, unit in device.points.items()}
    kinds = site.space_kinds | site.device_kinds
    words = _Words(
        points={**own, **points, **DERIVED},
        kinds=kinds or None,
        device_kinds=site.device_kinds or None,
        spaces=frozenset(site.space_by_id) | {site.id},
        counters=site.counters,
    )
    faults = [*_scope(rule, words), *_params(rule, words)]
    for path, leaf, each in _all_leaves(rule):
        faults.extend(_leaf(rule, path, leaf, words, each))
        faults.extend(_windows(path, leaf, rule.scope.each, site))
    for path, group in rule.when.groups(("when",)):
        faults.extend(_across(rule, path, group, words))
    faults.extend(check_actions(rule, words.points, site))
    faults.extend(check_finding(rule, words.points))
    if not faults:
        faults.extend(_bound(rule, site))
    return faults


def _all_leaves(rule: Rule) -> Iterator[tuple[Path, Node, str]]:
    """Every leaf of the condition, of the groups it looks across and of what suppresses it; with
    what it is about."""
    each = rule.scope.each
    yield from ((path, leaf, each) for path, leaf in rule.when.leaves(("when",)))
    for path, group in rule.when.groups(("when",)):
        if group.across is not None:
            inside = group.across.of.leaves((*path, "across", "of"))
            yield from ((at, leaf, group.across.each) for at, leaf in inside)
    if rule.suppress_when is not None:
        yield from ((path, leaf, each) for path, leaf in rule.suppress_when.leaves(("suppress_when",)))
    for name, interlock in rule.interlocks.items():
        about = each if interlock.at == "scope" else "site"
        yield from ((path, leaf, about) for path, leaf in interlock.leaves(("interlocks", name)))


def _across(rule: Rule, path: Path, group: Node, words: _Words) -> Iterator[RuleFault]:
    across = group.across
    if across is None:
        return
    here = (*path, "across")
    known = GROUPS | {SUBMETER} | (words.kinds or frozenset({across.each}))
    if across.each not in known - {PATROL_SLOT}:
        yield RuleFault((*here, "each"), f"{across.each} is no kind of space or device")
    if next(across.of.groups(), None) is not None:
        yield RuleFault((*here, "of"), "a group cannot look across another group")
    if rule.scope.each == "line" and across.in_ == "building":
        yield RuleFault((*here, "in"), "a line lies in no building: write in: scope or site")
    unit = _measured_unit(across.of, words) if across.measures else "1"
    faults = [fault for key in ("val", "clear") for fault in _operand(rule, path, key, group, unit, words)]
    yield from faults
    if not faults:
        yield from _sides(rule, path, group)


def _scope(rule: Rule, words: _Words) -> Iterator[RuleFault]:
    scope = rule.scope
    if words.kinds is not None:
        if scope.each not in GROUPS | words.kinds:
            yield RuleFault(("scope", "each"), f"{scope.each} is no kind of space or device")
        key = "kind" if scope.where.kind is not None else "type"
        for kind in scope.where.kinds:
            if kind not in words.kinds:
                yield RuleFault(("scope", "where", key), f"{kind} is no kind of space or device")
    for i, role in enumerate(scope.where.has or ()):
        yield from _role(("scope", "where", "has", i), role, words)
    for space in as_names(scope.where.in_):
        if space not in words.spaces:
            yield RuleFault(("scope", "where", "in"), f"there is no space {space}")


def _measured_unit(of: Node, words: _Words) -> str:
    """The unit of what a group measures together; empty where its role is not known."""
    unit = words.points.get((of.p or "").rpartition(".")[2])
    return "" if unit is None else _compared_unit(of, unit)


def _windows(path: Path, leaf: Node, each: str, site: SiteInfo) -> Iterator[RuleFault]:
    """What a leaf looks back on is kept so long, and a plan's window has a plan."""
    if leaf.window is not None and each != PATROL_SLOT:
        yield RuleFault((*path, "window"), f"a window around a slot needs the scope each: {PATROL_SLOT}")
    if leaf.over is not None and site.kept_ms is not None and millis(leaf.over) > site.kept_ms:
        days = site.kept_ms / 86_400_000
        yield RuleFault((*path, "over"), f"over is longer than raw values are kept here ({days:g} days)")


def _role(path: Path, role: str, words: _Words) -> Iterator[RuleFault]:
    if role in CALENDAR:
        return
    kind, _, point = role.rpartition(".")
    if kind and words.device_kinds is not None and kind not in words.device_kinds:
        yield RuleFault(path, f"{kind} is no kind of device")
    if point != "*" and point not in words.points:
        yield RuleFault(path, f"{point} is no point of the vocabulary")


def _params(rule: Rule, words: _Words) -> Iterator[RuleFault]:
    for name, param in rule.params.items():
        for space in param.overrides:
            if space not in words.spaces:
                yield RuleFault(("params", name, "overrides", space), f"there is no space {space}")


def _leaf(rule: Rule, path: Path, leaf: Node, words: _Words, each: str) -> Iterator[RuleFault]:
    role = leaf.p or ""
    unknown = list(_role((*path, "p"), role, words))
    if unknown or role == "*":
        yield from unknown
        if role == "*" and each in {"site", "space", "room", "line"}:
            yield RuleFault((*path, "p"), "* means any point of a device: the scope must be devices")
        return
    unit = CALENDAR.get(role) or words.points[role.rpartition(".")[2]]
    if role in CALENDAR and leaf.agg != "last":
        yield RuleFault((*path, "agg"), f"{role} comes from the calendar: it goes with agg last only")
    yield from _aggregate(path, leaf, unit)
    if role.rpartition(".")[2] in DERIVED and leaf.agg != "last":
        yield RuleFault((*path, "agg"), f"{role} is derived by the gateway: it goes with agg last only")
    if leaf.agg in ABSENCE:
        return
    compared = _compared_unit(leaf, unit)
    if leaf.unit is not None and leaf.unit != compared:
        message = f"{role} with agg {leaf.agg} has the unit {compared}, not {leaf.unit}"
        yield RuleFault((*path, "unit"), message)
    keys = () if isinstance(leaf, Measure) else ("val", "clear")
    faults = [fault for key in keys for fault in _operand(rule, path, key, leaf, compared, words)]
    yield from faults
    if not faults:
        yield from _sides(rule, path, leaf)


def _aggregate(path: Path, leaf: Node, unit: str) -> Iterator[RuleFault]:
    numeric = unit not in ("bool", "text")
    if leaf.agg in _NUMERIC and not numeric:
        yield RuleFault((*path, "agg"), f"agg {leaf.agg} needs a number, and {leaf.p} is none")
    if leaf.agg == "count_true" and unit != "bool":
        yield RuleFault((*path, "agg"), f"agg count_true needs a switch, and {leaf.p} is none")
    if leaf.agg in ("rate", "slope", "min_rate") and per_of(leaf.unit or f"{unit}/h") is None:
        yield RuleFault((*path, "unit"), "the unit of a rate ends in /s, /min, /h or /d")
    if leaf.pick in ("max", "min", "avg") and not numeric and leaf.agg not in ("count", "count_true"):
        yield RuleFault((*path, "pick"), f"pick {leaf.pick} needs numbers: use any or all")


def _compared_unit(leaf: Node, unit: str) -> str:
    if leaf.agg in ("count", "count_true"):
        return "1"
    if leaf.agg == "since_change":
        return "s"
    if leaf.agg in ("rate", "slope"):
        return f"{unit}/{(leaf.unit or '').rpartition('/')[2]}"
    if leaf.agg == "min_rate":
        return f"{unit}/{(leaf.unit or '/h').rpartition('/')[2]}"
    return unit


def _operand(rule: Rule, path: Path, key: str, leaf: Node, unit: str, words: _Words) -> Iterator[RuleFault]:
    operand = leaf.val if key == "val" else leaf.clear
    for i, part in enumerate(operand if isinstance(operand, tuple) else (operand,)):
        at: Path = (*path, key, i) if isinstance(operand, tuple) else (*path, key)
        if part is None:
            continue
        found = arithmetic.names(part) if isinstance(part, str) else ()
        if arithmetic.references(part):
            yield from _references(rule, at, leaf, unit, str(part), words)
        elif not found:
            yield from _typed(at, leaf, unit, part)
        for name in found:
            yield from _param(rule, at, leaf, unit, name)
        if isinstance(part, str) and found and part != f"param:{found[0]}" and set(found) <= set(rule.params):
            yield from _value(rule, at, part)


def _references(rule: Rule, at: Path, leaf: Node, unit: str, part: str, words: _Words) -> Iterator[RuleFault]:
    """The baselines and roles that an operand names."""
    for reference in arithmetic.references(part):
        if reference.kind == "point":
            unknown = list(_role(at, reference.name, words))
            yield from unknown
            of = leaf.across.of if leaf.across is not None else leaf
            theirs = CALENDAR.get(reference.name) or words.points.get(reference.name.rpartition(".")[2], "")
            if not unknown and _compared_unit(of, theirs) != unit and leaf.agg not in ("count", "count_true"):
                message = f"{reference.name} is in {_compared_unit(of, theirs)}, what it is compared with in"
                yield RuleFault(at, f"{message} {unit}")
    if unit in ("bool", "text") and part not in (f"point:{one.name}" for one in arithmetic.references(part)):
        yield RuleFault(at, f"{leaf.p or 'across'} is no number: there is no arithmetic with it")
    yield from check_references(at, leaf, unit, part, words.counters)


def _param(rule: Rule, at: Path, leaf: Node, unit: str, name: str) -> Iterator[RuleFault]:
    what = leaf.p or "across"
    if name not in rule.params:
        yield RuleFault(at, f"there is no parameter {name}")
    elif rule.params[name].unit not in ("", "1", unit):
        have = rule.params[name].unit
        yield RuleFault(at, f"the parameter {name} is in {have}, but {what} here is in {unit}")
    elif unit in ("bool", "text"):
        yield RuleFault(at, f"a parameter is a number, and {what} is none")


def _value(rule: Rule, at: Path, text: str) -> Iterator[RuleFault]:
    """Arithmetic has a value for the defaults and wherever a space overrides one."""
    for place in {"": None} | {space: None for param in rule.params.values() for space in param.overrides}:
        params = {name: param.overrides.get(place, param.default) for name, param in rule.params.items()}
        try:
            _trial(text, params)
        except (ValueError, KeyError) as error:
            where = f" in {place}" if place else ""
            yield RuleFault(at, f"{error}{where}")
            return


def _trial(text: str, params: Mapping[str, float]) -> float:
    """An operand's value, with 1 for each baseline and point that it names."""
    usual = {reference.key: 1.0 for reference in arithmetic.references(text)}
    return arithmetic.value_of(arithmetic.parse(text), text, {**params, **usual})


def _typed(at: Path, leaf: Node, unit: str, part: Scalar) -> Iterator[RuleFault]:
    wanted, word = {"bool": (bool, "true or false"), "text": (str, "a text")}.get(unit, (float, "a number"))
    fits = isinstance(part, wanted) if wanted is not float else not isinstance(part, bool | str)
    if not fits:
        yield RuleFault(at, f"{leaf.p or 'across'} here is compared with {word}, not with {part!r}")
    elif unit in ("bool", "text") and leaf.op not in ("eq", "ne", "in"):
        yield RuleFault((*at[:-1], "op"), f"op {leaf.op} needs a number, and {leaf.p} is none")


def _sides(rule: Rule, path: Path, leaf: Node) -> Iterator[RuleFault]:
    """`clear` on the safe side and `between` in order, for the defaults and for every space overridden."""
    places = {"": None} | {space: None for param in rule.params.values() for space in param.overrides}
    for place in places:
        params = {name: param.overrides.get(place, param.default) for name, param in rule.params.items()}
        if not _comparable(leaf):
            return
        found = _side(path, leaf, _known(leaf.val, params), _known(leaf.clear, params))
        if found is not None:
            where = f" in {place}" if place else ""
            yield RuleFault(found.path, found.message + where)
            return


def _comparable(leaf: Node) -> bool:
    """Whether it can be told on which side `clear` lies: both name the same baselines and points."""
    val, clear = arithmetic.references(leaf.val), arithmetic.references(leaf.clear)
    return leaf.clear is None or set(val) == set(clear)


def _known(operand: Operand | None, params: Mapping[str, float]) -> Operand | None:
    """An operand in numbers, with 1 for each baseline and point that it names."""
    if isinstance(operand, str) and arithmetic.references(operand):
        return _trial(operand, params)
    return resolve(operand, params)


def _side(path: Path, leaf: Node, val: Operand | None, clear: Operand | None) -> RuleFault | None:
    if isinstance(val, tuple) and leaf.op == "between":
        if len(val) != 2 or not float(val[0]) < float(val[1]):
            return RuleFault((*path, "val"), "between needs two values, the smaller one first")
        if isinstance(clear, tuple) and not (
            len(clear) == 2 and float(clear[0]) <= float(val[0]) and float(val[1]) <= float(clear[1])
        ):
            return RuleFault((*path, "clear"), "clear of between must enclose val")
    elif not isinstance(val, tuple | None) and not isinstance(clear, tuple | None):
        if leaf.op in UPWARD and float(clear) > float(val):
            message = f"clear {clear:g} is on the wrong side: with op {leaf.op} it must not lie above {val:g}"
            return RuleFault((*path, "clear"), message)
        if leaf.op in DOWNWARD and float(clear) < float(val):
            message = f"clear {clear:g} is on the wrong side: with op {leaf.op} it must not lie below {val:g}"
            return RuleFault((*path, "clear"), message)
    return None


def _bound(rule: Rule, site: SiteInfo) -> Iterator[RuleFault]:
    """What depends on the devices that roles bind to: several points, and sampling too slow."""
    for path, leaf in rule.when.leaves(("when",)):
        for candidate in candidates(rule, site):
            refs = points_of(leaf.p or "", candidate, site)
            span = leaf.over if leaf.bucket is None else leaf.bucket
            if len(refs) > 1 and leaf.pick is None and leaf.p != "*":
                names = ", ".join(f"{ref.device}.{ref.point}" for ref in refs[:3])
                message = f"{leaf.p} means {len(refs)} points in {candidate.id} ({names}): say pick"
                yield RuleFault((*path, "p"), message)
                break
            slow = max(refs, key=lambda ref: ref.every_ms, default=None)
            if slow is None or span is None:
                continue
            least = 2 * slow.every_ms if leaf.agg == "absent" else slow.every_ms
            if millis(span) < least:
                every = f"{slow.device} reports every {slow.every_ms / 1000:g} s"
                key = "over" if leaf.bucket is None else "bucket"
                message = f"{key} is shorter than {least / 1000:g} s: {every}"
                yield RuleFault((*path, key), message)
                break
    yield from _for(rule, site)


def _for(rule: Rule, site: SiteInfo) -> Iterator[RuleFault]:
    refs = [ref for one in bind(rule, site).instances for found in one.roles.values() for ref in found]
    refs = [ref for ref in refs if ref.point not in DERIVED]  # a missed round is news at once
    slow = max(refs, key=lambda ref: ref.every_ms, default=None)
    if slow is not None and 0 < rule.for_ms < 2 * slow.every_ms:
        message = (
            f"for is shorter than two samples: {slow.device} reports every {slow.every_ms / 1000:g} s, "
            f"so for must be 0s or at least {2 * slow.every_ms / 1000:g} s"
        )
        yield RuleFault(("for",), message)
