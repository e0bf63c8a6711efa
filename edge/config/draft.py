"""What of a configuration is valid, so that one bad device does not hide the faults of the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from cloud_sync.settings import AnyDestination
from edge.config.fault import Fault
from edge.config.models import Device, GatewayConfig, Line, SpaceSettings
from edge.config.spots import Data, Document, KeyPath
from edge.config.validation import Checker

_SECTIONS: Mapping[str, Any] = {
    "spaces": SpaceSettings,
    "lines": Line,
    "devices": Device,
    "sync": AnyDestination,
}


@dataclass(frozen=True, slots=True)
class Draft:
    """The settings without the entries at fault, and the way back to the document.

    `index` gives for the n-th valid entry of a section its index in the document, `ids`
    all ids of a section, those of entries at fault included.
    """

    settings: GatewayConfig
    document: Document
    index: Mapping[str, tuple[int, ...]]
    ids: Mapping[str, frozenset[str]]

    def at(self, section: str, number: int, *steps: str) -> KeyPath:
        """The document's key path of the `number`-th valid entry, or of what is in it."""
        return (section, self.index[section][number], *steps)

    def fault(self, section: str, number: int, step: str, message: str) -> Fault:
        """A fault at one key of the `number`-th valid entry."""
        return self.document.fault(self.at(section, number, step), message)


def draft(document: Document) -> tuple[Draft | None, list[Fault]]:
    """Validates the document; None where not even the frame around its entries is valid."""
    checker = Checker[GatewayConfig](GatewayConfig)
    settings, faults = checker.check(document)
    ids = {section: _ids(document, section) for section in _SECTIONS}
    if settings is not None:
        whole = {section: tuple(range(len(getattr(settings, section)))) for section in _SECTIONS}
        return Draft(settings, document, whole, ids), []
    kept = dict(document.data)
    index: dict[str, tuple[int, ...]] = {}
    for section, model in _SECTIONS.items():
        listed = _entries(document, section)
        index[section] = _valid(TypeAdapter(model), document, section, listed)
        kept[section] = [listed[number] for number in index[section]]
    settings = _frame(kept)
    if settings is None:
        return None, faults
    return Draft(settings, document, index, ids), faults


def _frame(data: dict[str, Data]) -> GatewayConfig | None:
    """The settings without the optional sections at fault; None when a required one is."""
    try:
        return GatewayConfig.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        broken = {str(detail["loc"][0]) for detail in error.errors(include_url=False) if detail["loc"]}
    required = {key for key, field in GatewayConfig.model_fields.items() if field.is_required()}
    if broken & required:
        return None
    kept = {key: value for key, value in data.items() if key not in broken}
    return GatewayConfig.model_validate_json(json.dumps(kept), strict=True)


def _entries(document: Document, section: str) -> list[Data]:
    entries = document.data.get(section)
    return entries if isinstance(entries, list) else []


def _ids(document: Document, section: str) -> frozenset[str]:
    entries = _entries(document, section)
    return frozenset(str(entry["id"]) for entry in entries if isinstance(entry, dict) and "id" in entry)


def _valid(
    adapter: TypeAdapter[Any], document: Document, section: str, entries: list[Data]
) -> tuple[int, ...]:
    good = []
    for number, entry in enumerate(entries):
        try:
            adapter.validate_json(json.dumps(entry), strict=True)
        except ValidationError:
            continue
        if not document.is_bad((section, number)):
            good.append(number)
    return tuple(good)
