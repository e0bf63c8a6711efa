"""The broker's access list that we ship lets the gateway do what its profiles can do, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.mqtt.profile import MqttProfile
from drivers.mqtt.routing import matches
from tests.drivers.test_profiles import BY_FAMILY, ids

ACL = Path(__file__).parents[3] / "configs" / "mosquitto" / "acl"
WRITABLE = [p for p in BY_FAMILY["mqtt"] if any(point.write for point in p.points.values())]


def rights(user: str) -> list[tuple[str, str]]:
    """What an account may do besides what its name allows: (access, topic filter)."""
    found: list[tuple[str, str]] = []
    whose = ""
    for line in ACL.read_text(encoding="utf-8").splitlines():
        word, _, rest = line.partition(" ")
        if word == "user":
            whose = rest
        elif word == "topic" and whose == user:
            access, _, topic = rest.partition(" ")
            found.append((access, topic))
    return found


@pytest.mark.parametrize("profile", WRITABLE, ids=ids)
def test_what_a_profile_sets_the_gateway_may_publish(profile: MqttProfile) -> None:
    base = "zigbee2mqtt/lamp" if profile.id.startswith("zigbee2mqtt") else "shelly-201"
    topics = {base + point.write.suffix for point in profile.points.values() if point.write is not None}
    allowed = [topic for access, topic in rights("gateway") if access == "write"]
    for topic in topics:
        assert any(matches(one, topic) for one in allowed), f"{ACL.name} lacks: topic write {topic}"


def test_the_gateway_hears_all_and_says_no_value_and_the_onlooker_says_nothing() -> None:
    assert ("read", "#") in rights("gateway")
    said = [topic for access, topic in rights("gateway") if access != "read"]
    assert said
    assert not any(matches(one, topic) for one in said for topic in ("env-1/state", "zigbee2mqtt/smoke-1"))
    assert rights("onlooker") == [("read", "#")]
