"""Profiles of Davis consoles: which quantity of the LOOP and LOOP2 packets a point is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from drivers.davis.codec import FIELDS
from drivers.profile import CapturedExchange, PointMap, Profile
from drivers.vocabulary import PointName


def _known(field: str) -> str:
    if field not in FIELDS:
        raise ValueError(f"unknown quantity; known: {', '.join(FIELDS)}")
    return field


class DavisPoint(PointMap):
    """One point; `field` names a quantity of `drivers.davis.codec.FIELDS`."""

    field: Annotated[str, AfterValidator(_known)]


class DavisProfile(Profile):
    """A console with what hangs on it."""

    family: Literal["davis"]
    points: Annotated[dict[PointName, DavisPoint], Field(min_length=1)]
    exchanges: tuple[CapturedExchange, ...] = ()

    def point_names(self) -> tuple[str, ...]:
        """The points in the profile's order."""
        return tuple(self.points)
