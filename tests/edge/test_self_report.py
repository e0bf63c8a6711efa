"""What the gateway says of itself is filed, and named as the district's schema has it."""

from __future__ import annotations

from edge.config.gateway_points import GATEWAY, POINTS
from edge.config.influx_schema import field_type, measurements
from edge.self_report import OWN_SOURCE


def test_the_schema_and_the_store_have_the_same_figures() -> None:
    (own,) = [one for one in measurements() if one.name == GATEWAY]
    assert list(own.fields) == list(POINTS)
    assert [shape.name for shape in OWN_SOURCE.points] == list(POINTS)
    assert OWN_SOURCE.kind == GATEWAY
    assert {field_type(spec) for spec in own.fields.values()} == {"float", "boolean", "string"}
