"""The gateway's own numbers, as Prometheus names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """One Prometheus family: samples are pairs of labels and value."""

    name: str
    help: str
    type: Literal["counter", "gauge"]
    samples: tuple[tuple[Mapping[str, str], float], ...]
