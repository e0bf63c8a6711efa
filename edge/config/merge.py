"""A configuration file with its includes, as one document that still knows every place."""

from __future__ import annotations

from pathlib import Path

from edge.config.documents import read
from edge.config.fault import ConfigError, Fault, suggestion
from edge.config.files import identity, inside, is_file, matches
from edge.config.models import GatewayConfig, IncludedConfig
from edge.config.spots import Data, Document, KeyPath, Spot

MAX_FILES = 64
"""Files that one configuration may consist of."""


def read_with_includes(path: Path) -> Document:
    """The main file, with the lists of all included files appended in order.

    Raises `ConfigError` when the main file cannot be read; what is wrong with an include
    is collected in `Document.faults`.
    """
    document = read(path)
    _Merge(document, path).run()
    return document


class _Merge:
    def __init__(self, document: Document, path: Path) -> None:
        self._document = document
        self._path = path
        self._seen = [identity(path)]

    def run(self) -> None:
        self._include(self._document, self._path, [self._path])

    def _include(self, document: Document, path: Path, chain: list[Path]) -> None:
        names = document.data.get("include")
        if not isinstance(names, list):
            return  # absent, or a fault of type that validation reports
        for index, name in enumerate(list(names)):
            at: KeyPath = ("include", index)
            if isinstance(name, str) and not document.is_bad(at):
                self._one(document, at, path.parent / name, inside(name), chain)

    def _one(self, document: Document, at: KeyPath, path: Path, odd: str | None, chain: list[Path]) -> None:
        def report(message: str) -> None:
            self._document.faults.append(document.fault(at, message))

        resolved = identity(path)
        if odd:
            report(odd)
        elif resolved in [identity(link) for link in chain]:
            report("include cycle: " + " -> ".join(link.name for link in [*chain, path]))
        elif resolved in self._seen:
            report(f"{path.name} is included twice: remove one")
        elif len(self._seen) >= MAX_FILES:
            report(f"more than {MAX_FILES} files")
        elif not is_file(path):
            siblings = [file.name for file in matches(path.parent, "*.yaml")]
            report(f"there is no file {path}{suggestion(path.name, siblings) if siblings else ''}")
        else:
            self._seen.append(resolved)
            self._read(path, chain)

    def _read(self, path: Path, chain: list[Path]) -> None:
        try:
            included = read(path)
        except ConfigError as error:
            self._document.faults.extend(error.faults)
            return
        self._document.faults.extend(included.faults)
        for key in list(included.data):
            self._document.faults.extend(self._take(included, key))
        self._include(included, path, [*chain, path])

    def _take(self, included: Document, key: str) -> list[Fault]:
        """Moves one section of an included file into the document."""
        if included.is_bad((key,)) or key == "include":
            return []
        spot, value = included.root.entries[key], included.data[key]
        if key not in IncludedConfig.model_fields:
            if key in GatewayConfig.model_fields:
                return [included.fault((key,), f"only the main file may set {key}", key=True)]
            return [
                included.fault(
                    (key,), f"unknown key {key}{suggestion(key, IncludedConfig.model_fields)}", key=True
                )
            ]
        if key == "notify":
            return self._take_desks(included, spot, value)
        if not isinstance(value, list):
            return [included.fault((key,), "expected a list [...]")]
        mine = self._document.data.setdefault(key, [])
        if isinstance(mine, list):
            mine.extend(value)
            self._section(key, spot).items.extend(spot.items)
        return []

    def _take_desks(self, included: Document, spot: Spot, value: Data) -> list[Fault]:
        if not isinstance(value, dict):
            return [included.fault(("notify",), "expected a mapping {desk: [channels]}")]
        mine = self._document.data.setdefault("notify", {})
        if not isinstance(mine, dict):
            return []
        section = self._section("notify", spot)
        faults = []
        for desk, channels in value.items():
            if desk in mine:
                faults.append(
                    included.fault(("notify", desk), f"the desk {desk} is set elsewhere too", key=True)
                )
            else:
                mine[desk] = channels
                section.entries[desk] = spot.entries[desk]
        return faults

    def _section(self, key: str, like: Spot) -> Spot:
        return self._document.root.entries.setdefault(key, Spot(key, like.key, like.value))
