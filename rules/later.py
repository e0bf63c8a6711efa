"""Words of the rule language that this version knows of and refuses, each with a sentence."""

from __future__ import annotations

from typing import Annotated, Any, NoReturn

from pydantic import BeforeValidator, Field
from pydantic.json_schema import SkipJsonSchema

from drivers.settings import Settings

_NOT_YET = "is not supported yet by this version; remove it"


def _refuse(_: Any) -> NoReturn:
    raise ValueError(_NOT_YET)


Later = Annotated[SkipJsonSchema[None], BeforeValidator(_refuse), Field(default=None, exclude=True)]
"""A key whose mere presence is an error that says so, at that key's own place in the file."""


class LaterInRule(Settings):
    """Keys of a rule that come later: commands and findings."""

    do: Later
    steps: Later
    restore: Later
    finding: Later


class LaterInNode(Settings):
    """Keys of a condition that come later."""

    window: Later
    bucket: Later
