"""One device: messages in, readings out; times, retained state, events and last wills."""

from __future__ import annotations

from typing import Any

import pytest

from drivers.line.counters import Cause, DeviceState
from drivers.mqtt import codec
from drivers.mqtt.device import DeviceSlot, Heard, MqttDeviceReader
from drivers.mqtt.routing import Routes, matches
from drivers.mqtt.settings import MqttDevice, MqttLine
from drivers.reading import Origin, Quality
from tests.drivers.mqtt.devices import BUTTON, CLIMATE, PLAIN, slot

NOON = 1_772_323_200_000


class Device:
    """A reader and a way to speak to it in text."""

    def __init__(self, of: DeviceSlot) -> None:
        self.slot = of
        self.reader = MqttDeviceReader(of)
        self.counters = of.counters

    def says(
        self, payload: str, suffix: str | None = "", *, retained: bool = False, now: int = NOON
    ) -> Heard:
        return self.reader.hear(suffix, codec.parse(payload.encode(), 65_536), retained, now)

    def values(self, payload: str, suffix: str = "", **options: Any) -> dict[str, Any]:
        heard = self.says(payload, suffix, **options)
        return {r.point: r.value if r.quality is Quality.GOOD else f"<{r.reason}>" for r in heard.readings}


def test_a_partial_message_leaves_the_other_points_alone() -> None:
    device = Device(slot("env", "z/env", CLIMATE))
    assert device.values('{"temperature": 21.5, "linkquality": 70}') == {"temperature": 21.5}
    assert device.values('{"linkquality": 70}') == {}
    assert device.counters.ok == 1


def test_a_value_without_use_is_a_bad_reading_and_the_other_one_good() -> None:
    device = Device(slot("env", "z/env", CLIMATE))
    assert device.values('{"temperature": null, "humidity": 40}') == {
        "temperature": "<not_available>",
        "humidity": 40.0,
    }
    assert device.values('{"temperature": 99, "humidity": {}}') == {
        "temperature": "<out_of_range>",
        "humidity": "<not_a_value>",
    }
    assert device.counters.errors == {"not_available": 1, "out_of_range": 1, "not_a_value": 1}
    assert device.counters.state is DeviceState.DEGRADED


def test_points_on_several_topics_are_read_from_their_own() -> None:
    points: dict[str, dict[str, Any]] = {
        "on": {"suffix": "/relay/0"},
        "temperature": {"suffix": "/status", "pointer": "/t"},
    }
    device = Device(slot("plug", "shellies/plug", points))
    assert device.reader.topics() == {"shellies/plug/relay/0": "/relay/0", "shellies/plug/status": "/status"}
    assert device.values("on", "/relay/0") == {"on": True}
    assert device.values('{"t": 40}', "/status") == {"temperature": 40.0}


def test_times_grow_strictly_even_when_the_clock_does_not() -> None:
    device = Device(slot("env", "z/env", PLAIN))
    stamps = [
        device.says("20", now=now).readings[0].at for now in (NOON, NOON, NOON - 5_000, NOON + 10, NOON + 10)
    ]
    assert stamps == [NOON, NOON + 1, NOON + 2, NOON + 10, NOON + 11]


TIMED: dict[str, Any] = {"time": "/time"}


@pytest.mark.parametrize(
    ("told", "at", "origin", "clock_errors"),
    [
        ('"2026-02-28T23:59:30Z"', NOON - 30_000, Origin.LIVE, 0),
        ('"2026-03-01T08:00:00+08:00"', NOON, Origin.LIVE, 0),
        ('"2026-02-28T12:00:00Z"', NOON - 43_200_000, Origin.BACKFILL, 0),
        ('"2026-03-01T00:00:00"', NOON, Origin.LIVE, 1),
        ('"1970-01-01T00:00:10Z"', NOON, Origin.LIVE, 1),
        ('"2026-03-01T00:06:00Z"', NOON, Origin.LIVE, 1),
        ("null", NOON, Origin.LIVE, 1),
    ],
)
def test_a_devices_own_time_counts_when_it_is_credible(
    told: str, at: int, origin: Origin, clock_errors: int
) -> None:
    device = Device(slot("lora", "a/lora", CLIMATE, **TIMED))
    reading = device.says(f'{{"time": {told}, "temperature": 20}}').readings[0]
    assert (reading.at, reading.received_at, reading.origin) == (at, NOON, origin)
    assert device.counters.errors["clock"] == clock_errors


def test_a_devices_time_never_runs_backwards() -> None:
    device = Device(slot("lora", "a/lora", CLIMATE, **TIMED))
    device.says('{"time": "2026-03-01T00:00:00Z", "temperature": 20}')
    again = device.says('{"time": "2026-03-01T00:00:00Z", "temperature": 20}', now=NOON + 7)
    assert again.readings[0].at == NOON + 7


def test_a_clock_that_lags_for_good_neither_hides_an_alarm_nor_goes_unseen() -> None:
    device = Device(slot("lora", "a/lora", CLIMATE, **TIMED))
    readings = [
        device.says(
            f'{{"time": {(NOON + n * 30_000 - 3_600_000) / 1000}, "temperature": 20}}', now=NOON + n * 30_000
        ).readings[0]
        for n in range(6)
    ]
    assert [r.origin for r in readings[2:]] == [Origin.LIVE] * 4, "an hour late for good is not a buffer"
    assert {(r.quality, r.reason, r.at - r.received_at) for r in readings[2:]} == {(Quality.GOOD, "clock", 0)}
    assert device.counters.clock.offset_ms == -3_600_000
    assert device.counters.clock.replaced == 4
    assert device.counters.cause is Cause.CLOCK


def test_retained_state_is_marked_as_such() -> None:
    device = Device(slot("env", "z/env", CLIMATE))
    assert device.says('{"temperature": 20}', retained=True).readings[0].origin is Origin.RETAINED
    assert device.says('{"temperature": 20}').readings[0].origin is Origin.LIVE


def test_a_button_speaks_only_when_it_is_pressed_and_falls_back_by_itself() -> None:
    device = Device(slot("sos", "z/sos", BUTTON))
    heard = device.says('{"action": "emergency", "battery": 90}')
    assert [(r.point, r.value) for r in heard.readings] == [("pressed", True)]
    assert [(r.point, r.value, r.after_ms) for r in heard.releases] == [("pressed", False, 1000)]
    after = device.reader.release(heard.releases[0], NOON)
    assert (after.value, after.at) == (False, NOON + 1)


@pytest.mark.parametrize("payload", ['{"action": ""}', '{"action": null}', '{"action": "single"}', "{}"])
def test_what_is_no_press_is_no_reading(payload: str) -> None:
    assert Device(slot("sos", "z/sos", BUTTON)).says(payload) == Heard([], [])


def test_a_retained_press_is_history_and_no_event() -> None:
    device = Device(slot("sos", "z/sos", BUTTON))
    assert device.says('{"action": "emergency"}', retained=True) == Heard([], [])


def test_a_last_will_changes_the_health_and_makes_no_reading() -> None:
    device = Device(slot("env", "z/env", CLIMATE, availability="/availability"))
    assert device.reader.topics() == {"z/env": "", "z/env/availability": None}
    device.says('{"temperature": 20}')
    assert device.says('{"state": "offline"}', None) == Heard([], [])
    assert (device.counters.state, device.counters.cause) == (DeviceState.SILENT, Cause.POWER_OR_WIRING)
    device.says("online", None)
    assert device.counters.state is DeviceState.OK
    device.says("perhaps", None)
    assert device.counters.errors["availability"] == 1


def test_the_settings_availability_goes_before_the_profiles() -> None:
    device = Device(slot("env", "z/env", CLIMATE, availability="/lwt", availability_topic="gw/state"))
    assert device.reader.topics() == {"z/env": "", "gw/state": None}


@pytest.mark.parametrize(
    ("wanted", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a/", True),
        ("a/+", "a", False),
        ("a/+", "a/b/c", False),
        ("+/b", "/b", True),
        ("a/+/c", "a/x/c", True),
        ("a/+/c", "a/x/d", False),
    ],
)
def test_a_plus_stands_for_exactly_one_level(wanted: str, topic: str, expected: bool) -> None:
    assert matches(wanted, topic) is expected


def test_a_topic_leads_to_every_device_that_wants_it() -> None:
    routes: Routes[str] = Routes()
    routes.add("a/+/up", "wild")
    routes.add("a/x/up", "exact")
    routes.add("a/x/up", "second")
    assert routes.find("a/x/up") == ("exact", "second", "wild")
    assert routes.find("a/y/up") == ("wild",)
    assert routes.find("a/y/down") == ()
    assert routes.filters() == ("a/x/up", "a/+/up")


def test_topics_invented_for_ever_cost_no_memory() -> None:
    routes: Routes[int] = Routes()
    routes.add("a/+", 1)
    for n in range(20_000):
        assert routes.find(f"a/{n}") == (1,)
    assert len(routes._found) <= 8192


@pytest.mark.parametrize(
    "topic",
    ["", "+", "+/+", "#", "a/#", "a/b+", "$SYS/broker", "a\0b", "/", "x" * 257, "a/b/c/d/e/f/g/h/i"],
)
def test_a_topic_names_one_device(topic: str) -> None:
    with pytest.raises(ValueError, match="topic"):
        MqttDevice(id="d", space="s", line="l", profile="p", protocol="mqtt", topic=topic)


@pytest.mark.parametrize("topic", ["zigbee2mqtt/一楼/按钮 1", "application/+/device/24e1/event/up", "/a"])
def test_topics_of_the_field_are_accepted(topic: str) -> None:
    assert MqttDevice(id="d", space="s", line="l", profile="p", protocol="mqtt", topic=topic).topic == topic


@pytest.mark.parametrize(
    "url", ["mqtt://", "tcp://h:1", "mqtt://h:0", "mqtt://h:99999", "mqtt://u:p@h:1", "mqtt://h/x", "h:1883"]
)
def test_a_brokers_url_is_host_and_port(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        MqttLine(id="b", url=url)


def test_the_port_follows_the_scheme() -> None:
    assert MqttLine(id="b", url="mqtt://h").address == ("h", 1883)
    assert MqttLine(id="b", url="mqtts://h").address == ("h", 8883)
    assert MqttLine(id="b", url="mqtts://h:8884").address == ("h", 8884)
