"""The captured sentences of this folder as typed data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML


@dataclass(frozen=True)
class Sample:
    """One line as it came, and what stands in it."""

    name: str
    source: str
    line: bytes
    talker: str
    type: str
    fields: dict[int, str]
    items: list[tuple[str, str, str, str]]


def _sample(path: Path) -> Sample:
    data = YAML(typ="safe", pure=True).load(path)
    return Sample(
        path.stem,
        data["source"],
        data["line"].encode("ascii"),
        data["talker"],
        data["type"],
        data.get("fields", {}),
        [tuple(item) for item in data.get("items", ())],
    )


SAMPLES = tuple(_sample(path) for path in sorted((Path(__file__).parent / "sentences").glob("*.yaml")))
