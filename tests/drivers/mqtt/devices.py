"""Device slots for the tests of this folder."""

from __future__ import annotations

from typing import Any

from drivers.mqtt.device import DeviceSlot
from drivers.mqtt.profile import MqttProfile
from drivers.mqtt.settings import MqttDevice
from drivers.vocabulary import PointSpec

SPECS = {
    "temperature": PointSpec(unit="Cel", min=-40, max=60, zh="温度", en="Temperature"),
    "humidity": PointSpec(unit="%", min=0, max=100, zh="湿度", en="Humidity"),
    "energy_import": PointSpec(unit="kWh", counter=True, zh="电能", en="Energy"),
    "on": PointSpec(unit="bool", type="switch", zh="开启", en="On"),
    "open": PointSpec(unit="bool", type="switch", zh="打开", en="Open"),
    "pressed": PointSpec(unit="bool", type="switch", zh="按下", en="Pressed"),
    "action": PointSpec(unit="text", type="text", zh="动作", en="Action"),
}


def slot(
    name: str, topic: str, points: dict[str, dict[str, Any]], *, every: str = "60s", **more: Any
) -> DeviceSlot:
    """A device `name` on `topic`; `more` goes to the profile, `availability_topic` and `expected` (its
    identity) to the settings."""
    own = {"availability": more.pop("availability_topic")} if "availability_topic" in more else {}
    own |= {"identity": more.pop("expected")} if "expected" in more else {}
    profile = MqttProfile.model_validate(
        {
            "id": "p",
            "maker": "any",
            "model": "any",
            "kind": "classroom_env",
            "source": "written for this test",
            "family": "mqtt",
            "points": points,
            **more,
        }
    )
    settings = MqttDevice.model_validate(
        {
            "id": name,
            "space": "r301",
            "line": "broker",
            "profile": "p",
            "protocol": "mqtt",
            "topic": topic,
            "every": every,
            **own,
        }
    )
    return DeviceSlot(settings, profile, {point: SPECS[point] for point in points})


CLIMATE: dict[str, dict[str, Any]] = {
    "temperature": {"pointer": "/temperature"},
    "humidity": {"pointer": "/humidity"},
}
PLAIN: dict[str, dict[str, Any]] = {"temperature": {}}
BUTTON: dict[str, dict[str, Any]] = {
    "pressed": {"pointer": "/action", "map": {"emergency": True}, "event": True, "release_after": "1s"}
}
