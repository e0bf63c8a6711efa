"""The frames of this folder as typed data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from drivers.cjt188.codec import Station, address_bytes

FOLDER = Path(__file__).parent / "frames"


@dataclass(frozen=True)
class Sample:
    """One captured exchange: what was asked, the bytes that came, and what they say."""

    name: str
    station: Station
    di: str
    control: int
    request: bytes
    reply: bytes
    layout: Any
    unit_first: bool | None
    fields: dict[Any, float | str | None]
    refused: int | None
    fault: str


def _sample(path: Path) -> Sample:
    data: dict[str, Any] = YAML(typ="safe", pure=True).load(path)
    assert data["source"]
    return Sample(
        name=path.stem,
        station=Station(int(data["type"], 16), address_bytes(data["address"])),
        di=data["di"],
        control=int(data["control"], 16),
        request=bytes.fromhex(data.get("request", "")),
        reply=bytes.fromhex(data["reply"]),
        layout=data["layout"],
        unit_first=data["unit_first"],
        fields=data["fields"],
        refused=data.get("refused"),
        fault=data.get("fault", ""),
    )


SAMPLES = tuple(_sample(path) for path in sorted(FOLDER.glob("*.yaml")))
