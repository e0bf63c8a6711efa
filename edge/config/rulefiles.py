"""Finds and reads the rule files and the calendar that a configuration names."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from drivers.settings import Settings
from edge.config.documents import read
from edge.config.fault import ConfigError, Fault
from edge.config.files import identity, inside, is_file, matches
from edge.config.spots import Document, KeyPath
from edge.config.validation import Checker
from rules.rulebook import Rule, RuleFile
from rules.timetable import Calendar, StatutoryDays

M = TypeVar("M", bound=Settings)

MAX_RULE_FILES = 500


@dataclass(frozen=True, slots=True)
class PlacedRule:
    """A valid rule and where it stands: its document and the key path of its mapping."""

    rule: Rule
    document: Document
    path: KeyPath

    def fault(self, path: KeyPath, message: str) -> Fault:
        """A fault at a key path inside the rule."""
        return self.document.fault((*self.path, *path), message)


@dataclass(slots=True)
class RuleShelf:
    """Reads rule files, each once (`seen` holds their resolved paths); collects rules and faults."""

    rules: list[PlacedRule] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    seen: set[Path] = field(default_factory=set)
    _one: Checker[Rule] = field(default_factory=lambda: Checker(Rule))
    _many: Checker[RuleFile] = field(default_factory=lambda: Checker(RuleFile))

    def add(self, path: Path) -> None:
        """Reads one file: `rules:` with a list, or one rule alone."""
        resolved = identity(path)
        if resolved in self.seen:
            return
        self.seen.add(resolved)
        try:
            document = read(path)
        except ConfigError as error:
            self.faults.extend(error.faults)
            return
        if "rules" in document.data:
            book, faults = self._many.check(document)
            found: list[tuple[KeyPath, Rule]] = [
                (("rules", index), rule) for index, rule in enumerate(book.complete if book else ())
            ]
        else:
            rule, faults = self._one.check(document)
            found = [((), rule)] if rule else []
        self.faults.extend(faults)
        for at, rule in found:
            self._place(PlacedRule(rule, document, at))

    def _place(self, placed: PlacedRule) -> None:
        twin = next((other for other in self.rules if other.rule.id == placed.rule.id), None)
        if twin is None:
            self.rules.append(placed)
            return
        first = twin.fault(("id",), "")
        message = f"the rule id {placed.rule.id} is used already ({first.file}:{first.line})"
        self.faults.append(placed.fault(("id",), message))


def rule_paths(document: Document, builtin: Path, faults: list[Fault]) -> list[Path]:
    """The files that the configuration's `rules` patterns name, sorted within each pattern.

    A pattern is relative to the file that it stands in; what it does not find there it
    finds among the built-in configs.
    """
    paths: list[Path] = []
    patterns = document.data.get("rules")
    for index, pattern in enumerate(patterns if isinstance(patterns, list) else ()):
        at: KeyPath = ("rules", index)
        if not isinstance(pattern, str) or document.is_bad(at):
            continue
        odd = inside(pattern)
        if odd:
            faults.append(document.fault(at, odd))
            continue
        here = Path(document.file(at)).parent
        found = matches(here, pattern) or matches(builtin, pattern)
        if not found:
            faults.append(
                document.fault(at, f"no rule file matches {pattern}, neither in {here} nor built in")
            )
        paths.extend(found)
    if len(paths) > MAX_RULE_FILES:
        faults.append(document.fault(("rules",), f"the patterns match more than {MAX_RULE_FILES} files"))
    return paths[:MAX_RULE_FILES]


def calendar_path(document: Document, builtin: Path, faults: list[Fault]) -> Path | None:
    """The calendar's file: relative to the main file, else among the built-in configs."""
    name = document.data.get("calendar")
    if not isinstance(name, str) or document.is_bad(("calendar",)):
        return None
    odd = inside(name)
    if odd:
        faults.append(document.fault(("calendar",), odd))
        return None
    here = Path(document.file(("calendar",))).parent
    path = next((folder / name for folder in (here, builtin) if is_file(folder / name)), None)
    if path is None:
        faults.append(document.fault(("calendar",), f"there is no file {here / name}"))
    return path


def read_calendar(path: Path, builtin: Path) -> tuple[Calendar | None, list[Fault]]:
    """A calendar over its country's days, or what is wrong with a file of the two."""
    calendar, faults = _checked(path, Calendar)
    if calendar is None or calendar.statutory is None:
        return calendar, faults
    days, more = _checked(builtin / "calendars" / f"statutory-{calendar.statutory}.yaml", StatutoryDays)
    return calendar if days is None else calendar.over(days), [*faults, *more]


def _checked(path: Path, model: type[M]) -> tuple[M | None, list[Fault]]:
    try:
        document = read(path)
    except ConfigError as error:
        return None, list(error.faults)
    return Checker[M](model).check(document)
