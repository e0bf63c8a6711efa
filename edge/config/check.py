"""The whole truth about a configuration, for `campus-edge check`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edge.config.configuration import Configuration, site_info
from edge.config.fault import Fault
from edge.config.load import Loading
from edge.config.resources import builtin_configs
from edge.config.rulefiles import RuleShelf
from edge.config.validation import limit
from rules.check import check_rule
from rules.proving import prove


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was found: `configuration` is None where any fault was."""

    path: Path
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]
    configuration: Configuration | None

    @property
    def exit_code(self) -> int:
        """0 for a valid configuration, warnings or not; 2 otherwise."""
        return 2 if self.faults else 0

    def lines(self) -> Iterator[str]:
        """The report for people: faults, warnings, and a last line that sums up."""
        yield from (str(fault) for fault in self.faults)
        yield from (
            f"{warning.file}:{warning.line}:{warning.column}: warning: "
            f"{warning.path + ': ' if warning.path else ''}{warning.message}"
            for warning in self.warnings
        )
        if self.configuration is None:
            yield f"{self.path}: {len(self.faults)} fault{'s' if len(self.faults) != 1 else ''}"
            return
        found = self.configuration
        points = sum(len(device.points) for device in found.devices.values())
        yield (
            f"{self.path}: ok: {len(found.settings.spaces)} spaces, {len(found.settings.lines)} lines, "
            f"{len(found.devices)} devices, {points} points, {len(found.rules)} rules, "
            f"{len(self.warnings)} warnings"
        )

    def as_json(self) -> dict[str, Any]:
        """The report for machines."""
        return {
            "file": str(self.path),
            "ok": not self.faults,
            "faults": [asdict(fault) for fault in self.faults],
            "warnings": [asdict(warning) for warning in self.warnings],
        }


def check(path: Path) -> CheckReport:
    """Checks the configuration and, when it can be read, every profile and rule there is, used or not."""
    loading = Loading(path)
    configuration = loading.run()
    if configuration is not None:
        loading.faults += _unused_profiles(loading)
        loading.faults += _unused_rules(loading, configuration)
    loading.faults += loading.disarmed
    faults = tuple(limit(loading.faults))
    return CheckReport(path, faults, tuple(limit(loading.warnings)), None if faults else configuration)


def _unused_profiles(loading: Loading) -> list[Fault]:
    """Faults of profiles that no device uses."""
    if loading.library is None:
        return []
    known = len(loading.library.faults)
    for name in loading.library.names():
        loading.library.profile(name)
    return loading.library.faults[known:]


def _unused_rules(loading: Loading, configuration: Configuration) -> list[Fault]:
    """Faults of built-in rules that the configuration does not name: of form, and against the vocabulary."""
    unused = RuleShelf(seen=set(loading.shelf.seen))
    for rule_file in sorted(builtin_configs().glob("rules/*.yaml")):
        unused.add(rule_file)
    faults = list(unused.faults)
    units = {name: spec.unit for name, spec in configuration.vocabulary.points.items()}
    empty = replace(site_info(configuration), devices=())
    for placed in unused.rules:
        wrong = check_rule(placed.rule, units, empty)
        vocabulary = configuration.vocabulary
        wrong += prove(placed.rule, units, frozenset(vocabulary.space_kinds), vocabulary.commands)
        faults += (placed.fault(found.path, found.message) for found in wrong)
    return faults
