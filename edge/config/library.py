"""The vocabulary and the device profiles: read on demand, checked against each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from pydantic import Field

from drivers.cjt188.profile import Cjt188Profile
from drivers.davis.profile import DavisProfile
from drivers.dlt645.profile import Dlt645Profile
from drivers.modbus.profile import ModbusProfile
from drivers.mqtt.profile import MqttProfile
from drivers.nmea.profile import NmeaProfile
from drivers.profile import Profile, point_spec
from drivers.text.profile import TextProfile
from drivers.vocabulary import PointSpec, Vocabulary
from edge.config.documents import read
from edge.config.fault import ConfigError, Fault, suggestion
from edge.config.files import is_file, matches
from edge.config.spots import Document
from edge.config.validation import Checker

AnyProfile = Annotated[
    ModbusProfile | Dlt645Profile | Cjt188Profile | DavisProfile | NmeaProfile | TextProfile | MqttProfile,
    Field(discriminator="family"),
]


def read_vocabulary(path: Path) -> tuple[Vocabulary | None, list[Fault]]:
    """The vocabulary, or what is wrong with its file."""
    try:
        document = read(path)
    except ConfigError as error:
        return None, list(error.faults)
    return Checker[Vocabulary](Vocabulary).check(document)


class Library:
    """The profiles of some folders; the first folder that has one wins.

    A profile is found by its file name, `<id>.yaml`, so that only those in use are read.
    """

    def __init__(self, folders: Sequence[Path], vocabulary: Vocabulary) -> None:
        self.faults: list[Fault] = []
        self._folders = folders
        self._vocabulary = vocabulary
        self._read: dict[str, Profile | None] = {}
        self._words: dict[str, MappingProxyType[str, PointSpec]] = {}

    @cached_property
    def _checker(self) -> Checker[Profile]:
        return Checker(AnyProfile)  # of all families: a MB, which only a profile that is read is worth

    def names(self) -> list[str]:
        """The ids of all profiles, sorted."""
        return sorted({path.stem for folder in self._folders for path in matches(folder, "*.yaml")})

    def knows(self, name: str) -> bool:
        """True when there is a file for the profile, valid or not."""
        return self._path(name) is not None

    def profile(self, name: str) -> Profile | None:
        """A valid profile; None when there is none, or it is at fault (told in `faults`, once)."""
        if name not in self._read:
            path = self._path(name)
            self._read[name] = self._load(path) if path else None
        return self._read[name]

    def points(self, profile: Profile) -> MappingProxyType[str, PointSpec]:
        """The words for each point of a valid profile of this library, in its order; the same object for
        all devices of a model."""
        if profile.id not in self._words:
            specs = {point: point_spec(profile, self._vocabulary, point) for point in profile.point_names()}
            self._words[profile.id] = MappingProxyType(specs)
        return self._words[profile.id]

    def _path(self, name: str) -> Path | None:
        paths = (folder / f"{name}.yaml" for folder in self._folders)
        return next((path for path in paths if is_file(path)), None)

    def _load(self, path: Path) -> Profile | None:
        try:
            document = read(path)
        except ConfigError as error:
            self.faults.extend(error.faults)
            return None
        profile, faults = self._checker.check(document)
        if profile is not None:
            faults = list(_profile_faults(profile, document, path.stem, self._vocabulary))
        self.faults.extend(faults)
        return None if faults else profile


def _profile_faults(profile: Profile, document: Document, stem: str, words: Vocabulary) -> Iterator[Fault]:
    if profile.id != stem:
        yield document.fault(("id",), f"the file is named {stem}.yaml, so the id must be {stem}")
    if profile.kind not in words.device_kinds:
        yield document.fault(
            ("kind",), f"unknown kind {profile.kind}{suggestion(profile.kind, words.device_kinds)}"
        )
    points = profile.point_names()
    for point in points:
        if point not in words.points and point not in profile.adds:
            hint = suggestion(point, words.points)
            message = (
                f"the point {point} is not in the vocabulary: add it under adds, with unit, zh and en{hint}"
            )
            yield document.fault(("points", point), message, key=True)
    for point in profile.adds:
        if point in words.points:
            message = f"{point} is in the vocabulary already: remove it here, the vocabulary fixes its unit"
            yield document.fault(("adds", point), message, key=True)
        elif point not in points:
            yield document.fault(("adds", point), f"no point {point} is read: remove it", key=True)
    yield from _exchange_faults(profile, document, points)


def _exchange_faults(profile: Profile, document: Document, points: Iterable[str]) -> Iterator[Fault]:
    for index, exchange in enumerate(getattr(profile, "exchanges", ())):
        for point in getattr(exchange, "expect", {}):
            if point not in points:
                at = ("exchanges", index, "expect", point)
                yield document.fault(
                    at, f"the profile has no point {point}{suggestion(point, points)}", key=True
                )
