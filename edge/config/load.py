"""Loads a school's configuration with all that it names, or tells everything that is wrong with it.

main file + includes -> draft -> profiles, cross checks, secrets -> devices -> rules, calendar
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from drivers.vocabulary import Vocabulary
from edge.config import channel_checks, checks
from edge.config.configuration import Configuration, DeviceModel, Sources, site_info
from edge.config.documents import noted
from edge.config.draft import Draft, draft
from edge.config.fault import ConfigError, Fault
from edge.config.files import is_folder
from edge.config.library import Library, read_vocabulary
from edge.config.merge import read_with_includes
from edge.config.resources import builtin_configs
from edge.config.rulefiles import PlacedRule, RuleShelf, calendar_path, read_calendar, rule_paths
from edge.config.spots import Document
from edge.config.validation import limit
from rules.action_check import check_together
from rules.binding import bind
from rules.check import check_rule
from rules.proving import prove
from rules.timetable import Calendar

__all__ = ["ConfigError", "Configuration", "DeviceModel", "Fault", "load"]


def load(path: Path) -> Configuration:
    """Loads the configuration at `path`. Raises `ConfigError` with all faults found."""
    return Loading(path).result()


@dataclass(slots=True)
class Loading:
    """One loading: collects faults and warnings on the way, so that none hides another."""

    path: Path
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    disarmed: list[Fault] = field(default_factory=list)
    """Rules whose own tests fail: they are left out, and all else runs."""
    library: Library | None = None
    shelf: RuleShelf = field(default_factory=RuleShelf)
    folders: list[Path] = field(default_factory=list)

    def result(self) -> Configuration:
        """The configuration; `ConfigError` when any fault was found."""
        with noted() as files:
            configuration = self.run()
        if configuration is None or self.faults:
            raise ConfigError(limit(self.faults))
        return replace(configuration, sources=Sources(files, tuple(self.folders)))

    def run(self) -> Configuration | None:
        """Reads everything; None where the faults leave no configuration to speak of."""
        builtin = builtin_configs()
        vocabulary, faults = read_vocabulary(builtin / "vocabulary.yaml")
        self.faults += faults
        try:
            document = read_with_includes(self.path)
        except ConfigError as error:
            self.faults += error.faults
            return None
        found, faults = draft(document)
        self.faults += faults
        calendar = self._calendar(document, builtin)
        for rule_path in rule_paths(document, builtin, self.faults):
            self.shelf.add(rule_path)
        self.faults += self.shelf.faults
        if vocabulary is None or found is None:
            return None
        devices = self._devices(found, vocabulary, builtin)
        configuration = Configuration(
            path=self.path,
            settings=found.settings,
            vocabulary=vocabulary,
            devices=MappingProxyType(devices),
            rules=tuple(placed.rule for placed in self.shelf.rules),
            calendar=calendar,
            warnings=(),
        )
        failing = self._prove(vocabulary)
        self._bind(configuration, found)
        armed = tuple(rule for rule in configuration.rules if rule.id not in failing)
        warnings = tuple(limit([*self.disarmed, *self.warnings]))
        return replace(configuration, rules=armed, warnings=warnings)

    def _prove(self, vocabulary: Vocabulary) -> frozenset[str]:
        """Plays the tests that rules carry; the ids of those that fail and stay disarmed."""
        units = {name: spec.unit for name, spec in vocabulary.points.items()}
        kinds = frozenset(vocabulary.space_kinds)
        failing: set[str] = set()
        for placed in self.shelf.rules:
            for wrong in prove(placed.rule, units, kinds, vocabulary.commands):
                failing.add(placed.rule.id)
                message = f"{wrong.message}; the rule is not armed"
                self.disarmed.append(placed.fault(wrong.path, message))
        return frozenset(failing)

    def _calendar(self, document: Document, builtin: Path) -> Calendar | None:
        path = calendar_path(document, builtin, self.faults)
        if path is None:
            return None
        calendar, faults = read_calendar(path, builtin)
        self.faults += faults
        return calendar

    def _devices(self, found: Draft, vocabulary: Vocabulary, builtin: Path) -> dict[str, DeviceModel]:
        library = Library([*self._profile_folders(found), builtin / "profiles"], vocabulary)
        self.library = library
        self.faults += checks.duplicate_ids(found)
        self.faults += checks.spaces(found, vocabulary)
        self.faults += checks.lines(found)
        self.faults += checks.addresses(found)
        self.faults += checks.pushes(found)
        self.faults += checks.secrets(found, self.path.parent)
        self.warnings += checks.odd_things(found)
        parents = {space.id: (space.kind, space.parent) for space in found.settings.spaces}
        devices: dict[str, DeviceModel] = {}
        for number, settings in enumerate(found.settings.devices):
            profile, faults = checks.device(found, number, library)
            self.faults += faults
            if profile is not None:
                points = library.points(profile)
                building = _building(settings.space, parents)
                devices[settings.id] = DeviceModel(
                    settings, profile, profile.kind, settings.space, building, points
                )
        self.faults += library.faults
        self.faults += checks.listening(found, devices)
        self.faults += channel_checks.sirens(found, devices)
        self.faults += channel_checks.modems(found)
        self.warnings += checks.meters(found, devices)
        self.warnings += checks.derived(found, devices)
        return devices

    def _profile_folders(self, found: Draft) -> Sequence[Path]:
        folders = []
        for index, name in enumerate(found.settings.profiles):
            folder = Path(found.document.file(("profiles", index))).parent / name
            folders.append(folder)
            if not is_folder(folder):
                self.faults.append(found.document.fault(("profiles", index), f"there is no folder {folder}"))
        self.folders += folders
        return folders

    def _bind(self, configuration: Configuration, found: Draft) -> None:
        """Rules against the site: what contradicts it is a fault, what nothing fits a warning."""
        site, complete = site_info(configuration), not self.faults
        units = {name: spec.unit for name, spec in configuration.vocabulary.points.items()}
        watched: set[str] = set()
        for placed in self.shelf.rules:
            wrong = check_rule(placed.rule, units, site)
            self.faults += (placed.fault(one.path, one.message) for one in wrong)
            instances = bind(placed.rule, site, configuration.rules).instances
            if placed.rule.priority == 1:
                refs = (ref for instance in instances for refs in instance.roles.values() for ref in refs)
                watched.update(ref.device for ref in refs)
            if complete and not instances and not _from_the_pack(placed):
                self.warnings.append(placed.fault(("id",), f"the rule {placed.rule.id} watches nothing here"))
        if complete:
            self.warnings += checks.unwatched_emergencies(found, watched)
            placed_by = {placed.rule.id: placed for placed in self.shelf.rules}
            for name, wrong_together in check_together(configuration.rules, site):
                self.faults.append(placed_by[name].fault(wrong_together.path, wrong_together.message))


def _from_the_pack(placed: PlacedRule) -> bool:
    """Whether a rule came with the gateway: those are for every school, and no school has all of it."""
    return Path(placed.fault((), "").file).resolve().is_relative_to(builtin_configs().resolve())


def _building(space: str, parents: Mapping[str, tuple[str, str | None]]) -> str:
    """The nearest building around a space, the space itself included; empty when there is none."""
    seen: set[str] = set()
    step: str | None = space
    while step is not None and step in parents and step not in seen:
        seen.add(step)
        kind, parent = parents[step]
        if kind == "building":
            return step
        step = parent
    return ""
