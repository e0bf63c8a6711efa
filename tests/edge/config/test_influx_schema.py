"""The district's documented schema is that of the vocabulary, the profiles and the code that sends."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud_sync.outbox import Entry
from drivers.vocabulary import PointSpec
from edge.cli import app
from edge.config.influx_schema import ALARM_FIELDS, ALARM_TAGS, as_markdown, field_type, measurements
from edge.config.library import Library, read_vocabulary
from edge.config.resources import builtin_configs
from edge.store.alarm_outbox import AlarmOutbox
from edge.store.alarms import AlarmStore
from rules.alarm import AlarmState, Change, Condition, Transition
from tests.support.stores import core

DOCS = Path(__file__).resolve().parent.parent.parent.parent / "docs"
NAMES = {float: "float", bool: "boolean", str: "string"}


def test_the_page_of_measurements_is_fresh() -> None:
    page = (DOCS / "district-measurements.md").read_text(encoding="utf-8")
    assert page == as_markdown(measurements()), "campus-edge schema influx > docs/district-measurements.md"


def test_the_command_prints_the_page() -> None:
    result = CliRunner().invoke(app, ["schema", "influx"])
    assert result.exit_code == 0
    assert "| `active_power` | float | `kW` | 有功功率 |" in result.stdout
    assert "| `on` | boolean |  | 开启 |" in result.stdout


def test_a_field_has_one_type_and_unit_in_all_profiles_of_a_kind() -> None:
    vocabulary, _ = read_vocabulary(builtin_configs() / "vocabulary.yaml")
    assert vocabulary is not None
    library = Library([builtin_configs() / "profiles"], vocabulary)
    known: dict[tuple[str, str], tuple[str, str, str]] = {}
    for name in library.names():
        profile = library.profile(name)
        assert profile is not None
        for point, spec in library.points(profile).items():
            mine = (field_type(spec), spec.unit, name)
            first = known.setdefault((profile.kind, point), mine)
            assert first[:2] == mine[:2], f"{profile.kind} {point}: {first} and {mine}"


@pytest.mark.parametrize(
    ("kind", "expected"), [("number", "float"), ("switch", "boolean"), ("text", "string")]
)
def test_the_vocabulary_fixes_the_type(kind: str, expected: str) -> None:
    assert (
        field_type(PointSpec.model_validate({"unit": "1", "type": kind, "zh": "点", "en": "p"})) == expected
    )


async def one_alarm(folder: Path) -> Entry:
    """What the outbox gives for one stored transition."""
    state = AlarmState(
        rule="co2-classroom", scope="r301", condition=Condition.ACTIVE, since=1000, occurrence="o1",
        device="env-301", point="co2", value=1650.0, message="CO2 1650",
    )  # fmt: skip
    async with core(folder) as database:
        await AlarmStore(database).save([Transition(Change.RAISED, state, 1000)])
        outbox = AlarmOutbox(database, {"district": "linwei", "school": "shangde"})
        (entry,) = (await outbox.take("district", 10)).entries
        return entry


async def test_alarm_fields_and_tags_are_those_that_are_sent(tmp_path: Path) -> None:
    sent = await one_alarm(tmp_path)
    assert set(sent.tags) == set(ALARM_TAGS)
    assert {name: NAMES[type(value)] for name, value in sent.fields.items()} == {
        name: kind for name, (kind, _) in ALARM_FIELDS.items()
    }
