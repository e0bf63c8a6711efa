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


def say(device: Device, told: int, value: float, now: int, **options: Any) -> tuple[int, Origin, str]:
    """What is made of a message that tells a time."""
    payload = f'{{"time": {told / 1000}, "temperature": {value}}}'
    reading = device.says(payload, now=now, **options).readings[0]
    return reading.at, reading.origin, reading.reason


def test_a_log_that_comes_behind_a_live_message_is_history_at_its_own_times() -> None:
    device = Device(slot("lora", "a/lora", CLIMATE, **TIMED))
    assert say(device, NOON, 20, NOON) == (NOON, Origin.LIVE, "")
    for n in range(60, 0, -1):
        told = NOON - n * 60_000
        assert say(device, told, 30, NOON + 60 - n) == (told, Origin.BACKFILL, "")
    assert say(device, NOON + 60_000, 21, NOON + 60_000) == (NOON + 60_000, Origin.LIVE, "")
    assert device.counters.errors["clock"] == 0


def test_a_log_told_from_its_end_and_told_twice_keeps_its_times() -> None:
    device = Device(slot("lora", "a/lora", CLIMATE, **TIMED))
    say(device, NOON, 20, NOON)
    for _ in range(2):
        for n in range(1, 20):
            told = NOON - n * 5_000
            assert say(device, told, 30, NOON + n) == (told, Origin.BACKFILL, "")


def test_what_is_out_of_order_by_a_moment_is_of_now() -> None:
    device = Device(slot("lora", "a/lora", CLIMATE, **TIMED))
    say(device, NOON, 20, NOON)
    assert say(device, NOON - 1_000, 21, NOON + 500) == (NOON + 500, Origin.LIVE, "clock")


@pytest.mark.parametrize("retained", [False, True])
def test_the_same_message_again_keeps_its_instant_and_another_of_the_same_minute_is_new(
    retained: bool,
) -> None:
    device = Device(slot("lora", "a/lora", CLIMATE, **TIMED))
    say(device, NOON, 20, NOON)
    again = say(device, NOON, 20, NOON + 30_000, retained=retained)
    assert again == (NOON, Origin.BACKFILL, ""), "the store knows that instant"
    assert say(device, NOON, 21, NOON + 40_000) == (NOON + 40_000, Origin.LIVE, "clock")


def test_a_clock_that_stands_is_no_log() -> None:
    device = Device(slot("lora", "a/lora", CLIMATE, **TIMED))
    say(device, NOON, 20, NOON)
    heard = [say(device, NOON - 600_000, 20, NOON + n * 30_000) for n in range(1, 8)]
    assert [origin for _, origin, _ in heard[:2]] == [Origin.BACKFILL] * 2
    assert heard[3:] == [(NOON + n * 30_000, Origin.LIVE, "clock") for n in range(4, 8)]


@pytest.mark.parametrize("back_ms", [120_000, 3_600_000])
def test_a_clock_that_was_set_back_is_no_log(back_ms: int) -> None:
    device = Device(slot("lora", "a/lora", CLIMATE, **TIMED))
    say(device, NOON, 20, NOON)
    heard = [say(device, NOON + n * 30_000 - back_ms, 20, NOON + n * 30_000) for n in range(1, 12)]
    assert [origin for _, origin, _ in heard[2:]] == [Origin.LIVE] * 9
    assert {reason for _, _, reason in heard[2:]} == {"clock"}
    assert device.counters.clock.offset_ms == -back_ms


def test_a_clock_that_was_ahead_and_is_set_right_is_believed_at_once() -> None:
    device = Device(slot("lora", "a/lora", CLIMATE, **TIMED))
    say(device, NOON + 240_000, 20, NOON)
    assert say(device, NOON + 29_000, 20, NOON + 30_000)[1] is Origin.LIVE


def test_a_time_of_before_the_clock_was_ever_set_hides_no_log() -> None:
    device = Device(slot("lora", "a/lora", CLIMATE, **TIMED))
    say(device, NOON, 20, NOON)
    assert say(device, 10_000, 20, NOON + 1_000)[1:] == (Origin.LIVE, "clock")
    assert say(device, NOON - 60_000, 30, NOON + 2_000) == (NOON - 60_000, Origin.BACKFILL, "")


def test_topics_of_one_device_that_measure_at_their_own_times_hide_nothing_from_each_other() -> None:
    points = {"temperature": {"pointer": "/v"}, "humidity": {"suffix": "/h", "pointer": "/v"}}
    device = Device(slot("lora", "a/lora", points, **TIMED))
    for n in range(10):
        now = NOON + n * 60_000
        for suffix, behind in (("", 0), ("/h", 20_000)):
            heard = device.says(f'{{"time": {(now - behind) / 1000}, "v": 20}}', suffix, now=now + behind)
            assert heard.readings[0].origin is Origin.LIVE


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


def test_a_wildcard_in_a_topics_name_leads_to_nobody() -> None:
    routes: Routes[str] = Routes()
    routes.add("a/+/up", "wild")
    routes.add("a/x/up", "exact")
    assert routes.find("a/+/up") == routes.find("a/#/up") == routes.find("a/\0/up") == ()
    assert (routes.behind("a/+/up"), routes.behind("a/x/up")) == (("wild",), ("exact",))


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
