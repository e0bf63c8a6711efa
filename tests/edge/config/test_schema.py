"""The JSON Schemas are generated, and the one for editors is fresh."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from drivers.settings import parse_duration
from edge.config.schema import KINDS, schema, spell_duration

SCHEMA_FILE = Path(__file__).parents[3] / "configs" / "schema.json"


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_kind_has_a_schema_that_refuses_unknown_keys(kind: str) -> None:
    made = schema(kind)
    json.dumps(made)
    assert made["$schema"].endswith("2020-12/schema")
    objects = [made, *made.get("$defs", {}).values()]
    closed = [part for part in objects if part.get("type") == "object" and "properties" in part]
    assert closed
    assert all(part["additionalProperties"] is False for part in closed)


def test_the_schema_file_for_editors_is_fresh() -> None:
    """To renew it: campus-edge schema config > configs/schema.json"""
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8")) == schema("config")


def test_durations_are_texts_with_their_defaults_spelled_as_in_files() -> None:
    store = schema("config")["$defs"]["StoreSettings"]["properties"]
    assert store["keep_raw"]["type"] == "string"
    assert store["keep_raw"]["default"] == "400d"
    assert store["group"]["default"] == "10s"


@pytest.mark.parametrize("text", ["500ms", "30s", "5m", "2h", "400d", "90s", "0s", "1500ms"])
def test_a_duration_is_spelled_as_it_is_read(text: str) -> None:
    duration = parse_duration(text)
    assert isinstance(duration, timedelta)
    assert parse_duration(spell_duration(duration)) == duration
