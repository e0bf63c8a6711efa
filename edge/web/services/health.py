"""Whether the gateway is well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HealthWord = Literal["ok", "degraded", "failed"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be well, and what it found."""

    name: str
    status: HealthWord
    detail: str = ""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """The gateway's state; `ok` means that data moved recently."""

    status: HealthWord
    checks: tuple[Check, ...] = ()
